"""Plain LoRA adapters as PEFT keeps them: ``adapter_config.json`` and its tensors.

Read and written without PEFT. What is more than plain LoRA (DoRA, biases, further trained modules,
starts that change the base weights) is refused: an expert could not stand for it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from loradar.errors import CheckpointError
from loradar.files import atomic_path, write_json
from loradar.moe_lora.mixture import MoeLora

CONFIG_NAME = "adapter_config.json"
TENSORS_NAME = "adapter_model.safetensors"

#: Settings that say nothing about what is computed, or that are taken into account.
_HARMLESS = {
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
}
#: Starts that leave the base weights as they are.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(\.default)?\.weight")


def read_peft(folder: Path | str) -> dict[str, tuple[Tensor, Tensor]]:
    """Read a plain LoRA adapter.

    Parameters
    ----------
    folder : path
        Holds ``adapter_config.json`` and ``adapter_model.safetensors``.

    Returns
    -------
    dict of str to (Tensor, Tensor)
        By the module's name in the model PEFT wrapped: ``A`` ``[r, d_in]``, and ``B``
        ``[d_out, r]`` times the adapter's own scale, float32.

    Raises
    ------
    CheckpointError
        A file is missing or unreadable, or it is not a plain LoRA.
    """
    folder = Path(folder)
    config = _read_config(folder / CONFIG_NAME)
    path = folder / TENSORS_NAME
    if not path.is_file():
        pickled = (folder / "adapter_model.bin").exists()
        more = "; pickled weights (.bin) are not read: save them as safetensors" if pickled else ""
        raise CheckpointError(f"{path}: not there{more}")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from None
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None or tensor.ndim != 2:
            raise CheckpointError(f"{path}: {name} is no matrix of a plain LoRA on linear modules")
        sides.setdefault(match["module"], {})[match["side"]] = tensor.float()
    found = {}
    for module, pair in sides.items():
        if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            raise CheckpointError(f"{path}: {module} lacks A or B, or they do not fit each other")
        found[module] = (pair["A"], pair["B"] * _scale(config, module, pair["A"].shape[0]))
    if not found:
        raise CheckpointError(f"{path}: holds no adapter")
    return found


def write_peft(
    folder: Path | str,
    tensors: Mapping[str, tuple[Tensor, Tensor]],
    *,
    scale: float,
    base: str | None = None,
) -> None:
    """Write a plain LoRA adapter that ``peft.PeftModel.from_pretrained`` loads.

    Parameters
    ----------
    folder : path
        Made when missing.
    tensors : mapping of str to (Tensor, Tensor)
        ``A`` and ``B`` by module, all of one rank.
    scale : float
        Factor on ``B A``.
    base : str, optional
        What the base model is called.
    """
    folder = Path(folder)
    ranks = {A.shape[0] for A, _ in tensors.values()}
    if len(ranks) != 1:
        raise CheckpointError(f"one rank is needed, not {sorted(ranks)}")
    (rank,) = ranks
    alpha = scale * rank
    plain = {}
    for module, (A, B) in tensors.items():
        for side, tensor in (("A", A), ("B", B)):
            name = f"base_model.model.{module}.lora_{side}.weight"
            plain[name] = tensor.detach().cpu().contiguous().clone()
    with atomic_path(folder / TENSORS_NAME) as temporary:
        save_file(plain, temporary, metadata={"format": "pt"})
    write_json(
        folder / CONFIG_NAME,
        {
            "peft_type": "LORA",
            "task_type": None,
            "base_model_name_or_path": base,
            "inference_mode": True,
            "r": rank,
            "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "target_modules": sorted(tensors),
        },
    )


def export_expert(
    mixture: MoeLora, number: int, folder: Path | str, *, base: str | None = None
) -> None:
    """Write one expert, its gate taken as 1, as a plain LoRA of the base model.

    Parameters
    ----------
    mixture : MoeLora
        The handle.
    number : int
        The expert.
    folder : path
        See `write_peft`.
    base : str, optional
        What the base model is called.

    Raises
    ------
    ConfigError
        When there is no such expert.
    """
    write_peft(folder, mixture.tensors_of(number), scale=mixture.config.scale, base=base)


@torch.no_grad()
def import_expert(mixture: MoeLora, folder: Path | str) -> int:
    """Append a plain LoRA adapter as an expert.

    It is a grown expert, so its gate is 0 and the model's answers are the same until the gate is
    trained. Modules that it does not adapt start as those of a new expert whose ``B`` is zero;
    smaller ranks in some modules are filled up with zeros.

    Parameters
    ----------
    mixture : MoeLora
        The handle; see `MoeLora.add_expert` on what is frozen.
    folder : path
        See `read_peft`.

    Returns
    -------
    int
        The expert's number.

    Raises
    ------
    CheckpointError
        See `read_peft`; and when it adapts a module that the mixture does not, or another size.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for module, pair in read_peft(folder).items():
        # The adapter may have been trained on a model that holds ours.
        own = [name for name in mixture.adapters if f".{module}".endswith(f".{name}")]
        if not own:
            raise CheckpointError(
                f"{folder}: it adapts {module}, which the model's experts do not "
                f"(theirs are called {', '.join(mixture.config.targets)})"
            )
        name = max(own, key=len)
        adapter = mixture.adapters[name]
        sizes = (pair[0].shape[1], pair[1].shape[0])
        if sizes != (adapter.in_features, adapter.out_features):
            raise CheckpointError(
                f"{folder}: {module} maps {sizes[0]} to {sizes[1]} features, in the model "
                f"{adapter.in_features} to {adapter.out_features}"
            )
        if name in found:
            raise CheckpointError(f"{folder}: two of its modules are the model's {name}")
        found[name] = pair
    rank = max(A.shape[0] for A, _ in found.values())
    number = mixture.add_expert(rank)
    for name, adapter in mixture.adapters.items():
        expert = adapter.grown_experts[-1]
        expert.B.zero_()
        if name in found:
            A, B = found[name]
            expert.A.zero_()
            expert.A[: A.shape[0]] = A.to(expert.A)
            expert.B[:, : A.shape[0]] = (B / mixture.config.scale).to(expert.B)
    return number


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: not there; this is no folder of a PEFT adapter") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise CheckpointError(f"{path}: its peft_type is {kind}, not LORA")
    more = sorted(key for key, value in config.items() if value and key not in _HARMLESS)
    if config.get("bias", "none") != "none":
        more.append("bias")
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        more.append(f"init_lora_weights={config['init_lora_weights']}")
    if more:
        raise CheckpointError(f"{path}: more than plain LoRA: {', '.join(more)}")
    return config


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """Return the factor PEFT puts on ``B A`` in one module."""
    alpha = config.get("lora_alpha", 8)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = value
            break
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
