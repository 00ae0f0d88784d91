"""A spectrogram CNN beside a detector: two models of which each hears what the other does not."""

from __future__ import annotations

from loradar.detector.building import build_detector
from loradar.detector.config import BranchConfig
from loradar.detector.model import Detector
from loradar.detector.spectrogram_cnn import SpectrogramCnn
from loradar.errors import InputError


def join(detector: Detector, cnn: Detector, scale: float) -> Detector:
    """Return a detector with a trained CNN beside it, whose logits are added.

    Parameters
    ----------
    detector : Detector
        On a Hugging Face encoder, or a spectrogram CNN itself; with or without branches.
    cnn : Detector
        A spectrogram CNN, trained by itself behind the same front end.
    scale : float
        What the CNN's logits are multiplied by, above 0.

    Returns
    -------
    Detector
        A new one, in evaluation mode; neither of the two is changed.

    Raises
    ------
    InputError
        Either is something else, their front ends differ, or the scale is not positive.
    """
    if detector.encoder is None and not isinstance(detector.backend, SpectrogramCnn):
        raise InputError(f"encoder {detector.config.encoder.type} takes no branches")
    if not isinstance(cnn.backend, SpectrogramCnn) or cnn.branches:
        raise InputError("the branch must be a spectrogram CNN by itself (spectrogram_cnn)")
    if detector.config.front_end != cnn.config.front_end:
        raise InputError("detector and CNN were trained behind different front ends (front_end)")
    if not scale > 0:
        raise InputError(f"scale {scale:g} of the branch: it must be above 0")
    beside = detector.config.branches
    config = detector.config.model_copy(update={"branches": (*beside, BranchConfig(scale=scale))})
    joined = build_detector(config, seed=0, probe=False)
    state = detector.state_dict()
    own = f"branches.{len(beside)}."
    state |= {own + name: tensor for name, tensor in cnn.backend.state_dict().items()}
    joined.load_state_dict(state)
    joined.self_contained = detector.self_contained
    return joined.eval()
