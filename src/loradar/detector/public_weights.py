"""Published weights of other groups, loaded into detectors of ours."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from loradar.detector.aasist import VARIANTS
from loradar.detector.config import (
    AdaptationConfig,
    BackendConfig,
    DetectorConfig,
    FrontEndConfig,
    RawAasistConfig,
)
from loradar.detector.model import Detector, build_detector
from loradar.errors import CheckpointError, InputError


def load_public_aasist(path: Path | str, front_end: FrontEndConfig | None = None) -> Detector:
    """Load the AASIST or AASIST-L of clovaai/aasist (MIT; trained on ASVspoof 2019 LA).

    Parameters
    ----------
    path : Path or str
        Its state dict as safetensors.
    front_end : FrontEndConfig, optional
        Default: the waveform as it is, as published.

    Returns
    -------
    Detector
        In evaluation mode, nothing to train.

    Raises
    ------
    InputError
        The file is missing or not safetensors.
    CheckpointError
        The tensors are not those of AASIST.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from None
    maps = tensors["pos_S"].shape[-1] if "pos_S" in tensors else None
    variants = [name for name, sizes in VARIANTS.items() if sizes.maps == maps]
    if not variants:
        raise CheckpointError(f"{path}: not the weights of AASIST or AASIST-L")
    config = DetectorConfig(
        encoder=RawAasistConfig.model_validate({"type": "raw_aasist", "variant": variants[0]}),
        front_end=front_end or FrontEndConfig(normalise=False),
        adaptation=AdaptationConfig(mode="frozen"),
        backend=BackendConfig(name="none"),
    )
    detector = build_detector(config, seed=0)
    try:
        with torch.no_grad():
            detector.backend.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: not the weights of {variants[0]}: {reason}") from None
    return detector.eval()
