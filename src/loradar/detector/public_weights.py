"""Published weights of other groups, loaded into detectors of ours."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from loradar.detector.aasist import VARIANTS
from loradar.detector.building import build_detector
from loradar.detector.config import (
    AdaptationConfig,
    BackendConfig,
    DetectorConfig,
    FrontEndConfig,
    RawAasistConfig,
)
from loradar.detector.model import Detector
from loradar.errors import CheckpointError, InputError


def load_public_aasist(path: Path | str, front_end: FrontEndConfig | None = None) -> Detector:
    """Load the AASIST or AASIST-L of clovaai/aasist (MIT; trained on ASVspoof 2019 LA).

    Parameters
    ----------
    path : Path or str
        Its state dict: as published (``AASIST.pth``), or as safetensors.
    front_end : FrontEndConfig, optional
        Default: the waveform as it is, as published.

    Returns
    -------
    Detector
        In evaluation mode, nothing to train.

    Raises
    ------
    InputError
        The file is missing, or neither safetensors nor a state dict of tensors alone.
    CheckpointError
        The tensors are not those of AASIST.
    """
    tensors = _read(Path(path))
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


def _read(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors; nothing in it is executed."""
    try:
        if path.suffix not in (".pth", ".pt"):
            return load_file(path)  # type: ignore[no-any-return]
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: cannot be read as a state dict ({reason})") from None
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise InputError(f"{path}: not a state dict of named tensors")
    return tensors
