"""The vocoders' weights: one safetensors file each, half precision, configuration inside."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from loradar.errors import CheckpointError
from loradar.files import atomic_path
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.config import AnyVocoderConfig, build_vocoder
from loradar.vocoders.neural.shipped import missing_vocoder, weights_digest, weights_path

FORMAT = "loradar-vocoder-1"


def save_vocoder(
    model: NeuralVocoder, path: Path | str, info: dict[str, Any] | None = None
) -> None:
    """Write a model's weights (float16) and configuration, whole or not at all.

    Parameters
    ----------
    model : NeuralVocoder
        Any family.
    path : Path or str
        The ``.safetensors`` file.
    info : dict, optional
        What else to keep: how it was trained, its dev distance; JSON values.

    Raises
    ------
    CheckpointError
        A weight is not finite in half precision.
    """
    tensors = {}
    for name, tensor in model.state_dict().items():
        half = tensor.detach().cpu()
        if half.is_floating_point():
            half = half.half()
            if not torch.isfinite(half).all():
                raise CheckpointError(f"{path}: {name} holds values that float16 cannot")
        tensors[name] = half.contiguous()
    metadata = {
        "format": FORMAT,
        "config": model.config.model_dump_json(),
        "info": json.dumps(info or {}, sort_keys=True),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def read_vocoder(path: Path | str) -> NeuralVocoder:
    """Rebuild a model from its file: float32, on the CPU, for inference.

    Raises
    ------
    CheckpointError
        The file is missing, not one of these, or does not fit its own configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; loradar vocoder train makes it")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a vocoder of this version (format {FORMAT})")
    try:
        config: Any = TypeAdapter(AnyVocoderConfig).validate_json(metadata["config"])
    except (KeyError, ValidationError):
        raise CheckpointError(f"{path}: its configuration is missing or not valid") from None
    # Fresh weights draw from the global generator, which belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        model = build_vocoder(config)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: does not fit its configuration: {reason}") from None
    return model.eval().requires_grad_(False)


def load_vocoder(name: str) -> NeuralVocoder:
    """Return a shipped model, read once a process and again when its file changes.

    Parameters
    ----------
    name : str
        ``istft``, ``gan``, ``flow`` or ``codec``.

    Raises
    ------
    CheckpointError
        It does not ship with this build, or the file is altered.
    """
    missing = missing_vocoder(name)
    if missing:
        raise CheckpointError(f"neural vocoder {name}: {missing}")
    return _shipped(weights_path(name), weights_digest(name))


@lru_cache(maxsize=8)
def _shipped(path: Path, digest: str) -> NeuralVocoder:
    return read_vocoder(path)
