"""A spectrogram CNN beside a detector: two models of which each hears what the other does not."""

from __future__ import annotations

from loradar.detector.config import BranchConfig
from loradar.detector.model import Detector, build_detector
from loradar.detector.spectrogram_cnn import SpectrogramCnn
from loradar.errors import InputError


def join(detector: Detector, cnn: Detector, scale: float) -> Detector:
    """Return a detector with a trained CNN beside it, whose logits are added.

    Parameters
    ----------
    detector : Detector
        On a Hugging Face encoder, without a branch.
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
    if detector.encoder is None or detector.branch is not None:
        raise InputError("the detector must have an encoder, and no branch yet")
    if not isinstance(cnn.backend, SpectrogramCnn):
        raise InputError("the branch must be a spectrogram CNN (encoder.type spectrogram_cnn)")
    if detector.config.front_end != cnn.config.front_end:
        raise InputError("detector and CNN were trained behind different front ends (front_end)")
    if not scale > 0:
        raise InputError(f"scale {scale:g} of the branch: it must be above 0")
    config = detector.config.model_copy(update={"branch": BranchConfig(scale=scale)})
    joined = build_detector(config, seed=0, probe=False)
    state = detector.state_dict()
    state |= {f"branch.{name}": tensor for name, tensor in cnn.backend.state_dict().items()}
    joined.load_state_dict(state)
    joined.self_contained = detector.self_contained
    return joined.eval()
