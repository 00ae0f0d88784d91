"""Adapters on disk: ``moe_lora.safetensors`` and ``moe_lora.json``.

The JSON holds the format's version, the settings, and shape, type and SHA-256 of each tensor, all
under one SHA-256 of its own. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, uint8

from loradar.errors import CheckpointError, ConfigError
from loradar.files import atomic_path, write_json
from loradar.moe_lora.config import MoeLoraConfig

FORMAT = "loradar.moe_lora"
# Version 2 has experts that were grown or frozen. A mixture without is written as version 1, which
# every Loradar reads.
FORMAT_VERSION = 2
TENSORS_NAME = "moe_lora.safetensors"
CONFIG_NAME = "moe_lora.json"


def write_adapters(
    folder: Path | str, config: MoeLoraConfig, tensors: Mapping[str, Tensor]
) -> None:
    """Write settings and tensors to ``folder`` (made when missing), each file whole."""
    folder = Path(folder)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(folder / TENSORS_NAME) as temporary:
        save_file(plain, temporary)
    body = {
        "format": FORMAT,
        "format_version": 2 if config.grown or config.frozen else 1,
        "config": config.to_dict(),
        "tensors": {name: _describe(tensor) for name, tensor in sorted(plain.items())},
    }
    write_json(folder / CONFIG_NAME, {**body, "sha256": _hash_json(body)})


def read_adapters(folder: Path | str) -> tuple[MoeLoraConfig, dict[str, Tensor]]:
    """Read and check what `write_adapters` wrote.

    Returns
    -------
    config : MoeLoraConfig
    tensors : dict of str to Tensor
        On the CPU, bit for bit as saved.

    Raises
    ------
    CheckpointError
        For a file that is missing, altered, of another kind or of a newer version.
    """
    folder = Path(folder)
    body = _read_config(folder / CONFIG_NAME)
    try:
        config = MoeLoraConfig.from_dict(body["config"])
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG_NAME}: {error}") from None
    path = folder / TENSORS_NAME
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not there; it belongs to {CONFIG_NAME}") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    compare_names(tensors, body["tensors"], str(path))
    for name, tensor in tensors.items():
        if _describe(tensor) != body["tensors"][name]:
            raise CheckpointError(f"{path}: tensor {name} is not the one that was saved; altered?")
    return config, tensors


def compare_names(found: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    """Raise `CheckpointError` when ``found`` lacks names in ``wanted``, or has others."""
    for kind, names in (
        ("lacks", sorted(set(wanted) - set(found))),
        ("has the unknown", sorted(set(found) - set(wanted))),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(f"{where}: {kind} tensor {names[0]}{more}")


def _read_config(path: Path) -> dict[str, Any]:
    """Return the checked JSON of ``path``, without its hash."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: not there; this is no folder of saved MoE-LoRA adapters"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not the settings of MoE-LoRA adapters (no format {FORMAT})")
    version = body.get("format_version")
    if version not in range(1, FORMAT_VERSION + 1):
        raise CheckpointError(
            f"{path}: format version {version!r}, but this Loradar reads 1 to {FORMAT_VERSION}; "
            "use the Loradar that wrote it or a newer one"
        )
    digest = body.pop("sha256", None)
    if digest != _hash_json(body):
        raise CheckpointError(f"{path}: its SHA-256 does not fit its content; altered?")
    return body


def _describe(tensor: Tensor) -> dict[str, Any]:
    content = tensor.flatten().view(uint8).numpy().tobytes()
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _hash_json(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
