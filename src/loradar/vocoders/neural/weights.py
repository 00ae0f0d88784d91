"""The vocoders' weights: one safetensors file each, half precision, configuration inside."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from loradar.errors import CheckpointError
from loradar.files import atomic_path, sha256_of
from loradar.vocoders.neural.base import NeuralVocoder
from loradar.vocoders.neural.config import AnyVocoderConfig, build_vocoder

SHIPPED = Path(__file__).parents[1] / "weights"
SUMS = "SHA256SUMS"
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


@cache
def load_vocoder(name: str) -> NeuralVocoder:
    """Return a shipped model, read once a process.

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
        raise CheckpointError(missing)
    path = SHIPPED / f"{name}.safetensors"
    if sha256_of(path) != _sums().get(path.name):
        raise CheckpointError(f"{path}: altered: its SHA-256 is not in {SUMS}; install again")
    return read_vocoder(path)


def missing_vocoder(name: str) -> str | None:
    """Return None when a shipped model is there, else one line that says what is missing."""
    if (SHIPPED / f"{name}.safetensors").is_file():
        return None
    return f"the weights of the neural vocoder {name} are not installed ({SHIPPED})"


def _sums() -> dict[str, str]:
    path = SHIPPED / SUMS
    if not path.is_file():
        raise CheckpointError(f"{path}: is missing; install again")
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}
