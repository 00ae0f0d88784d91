"""Encoders with their weights: by hub name, local folder, or from a configuration alone.

Our own kind needs torch alone; every other comes from transformers, which is imported for it then.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from loradar.detector.spectral import MODEL_TYPE, SpectralConfig, SpectralNetwork
from loradar.embedded import ENCODER_ID, encoder_folder
from loradar.errors import ConfigError, InputError
from loradar.files import atomic_path, write_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_SIZES = {item.name for item in fields(SpectralConfig)}


def register_models() -> None:
    """Make transformers' ``AutoModel`` know our own model types.

    Examples
    --------
    >>> from transformers import AutoConfig
    >>> register_models()
    >>> AutoConfig.for_model("loradar-spectral").hidden_size
    192
    """
    from loradar.detector.hub_models import register

    register()


def load_model(id: str, revision: str | None = None) -> nn.Module:
    """Load a pre-trained model in float32.

    Parameters
    ----------
    id : str
        ``loradar-embedded`` for the encoder inside the package; a local folder with
        ``config.json`` and ``model.safetensors``; or a name on the hub.
    revision : str, optional
        Branch, tag or commit on the hub.

    Raises
    ------
    InputError
        The folder or the hub does not give the model; says how to give a local folder.
    CheckpointError
        The embedded encoder is altered.
    """
    place = str(encoder_folder()) if id == ENCODER_ID else id
    local = Path(place).is_dir()
    if not local and (id.count("/") > 1 or id.startswith((".", "/", "~"))):
        raise InputError(f"{id}: no such folder; encoder.id is a local folder or a name on the hub")
    if local:
        values = _check_folder(Path(place))
        if values.get("model_type") == MODEL_TYPE:
            return _load_own(id, Path(place), values)
    from loradar.detector.hub_models import load

    model, missing = load(id, place, revision, local=local)
    _refuse_missing(id, model, missing)
    return model


def make_model(config: dict[str, Any]) -> nn.Module:
    """Make a model with random weights (torch's global generator).

    Parameters
    ----------
    config : dict
        A transformers configuration with ``model_type``.

    Raises
    ------
    ConfigError
        The model type or a key of the configuration is unknown, or the values do not fit.
    """
    if config.get("model_type") != MODEL_TYPE:
        from loradar.detector.hub_models import make

        return make(config)
    others = config.keys() - _SIZES - {"model_type"}
    if others:
        # What any configuration of transformers may hold is no mistake, and says nothing here.
        from loradar.detector.hub_models import common_keys

        unknown = sorted(others - common_keys())
        if unknown:
            raise ConfigError(f"encoder.config: {MODEL_TYPE} has no {', '.join(unknown)}")
    try:
        return SpectralNetwork(_own_config(config))
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"encoder.config: {' '.join(str(error).split())}") from None


def config_of(model: Any) -> dict[str, Any]:
    """Return the configuration of a model, enough for `make_model`."""
    values: dict[str, Any] = model.config.to_diff_dict()
    dropped = {"transformers_version", "dtype", "torch_dtype", "architectures", "_name_or_path"}
    kept = {key: value for key, value in values.items() if key not in dropped}
    return {**kept, "model_type": model.config.model_type}


def save_model(model: Any, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write ``config.json`` and ``model.safetensors``, which `load_model` and transformers read.

    Parameters
    ----------
    model : nn.Module
        A model of transformers or of our own, without adapters.
    folder : Path
        Made when missing; its other files stay as they are.
    dtype : torch.dtype
        Of the parameters in the file; buffers keep theirs.
    """
    parameters = dict(model.named_parameters())
    tensors = {
        name: (tensor.to(dtype) if name in parameters else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    own = isinstance(model, SpectralNetwork)
    values = {
        **model.config.to_diff_dict(),
        # By this name transformers knows it.
        "architectures": ["SpectralModel" if own else type(model).__name__],
        "model_type": model.config.model_type,
        "dtype": str(dtype).removeprefix("torch."),
    }
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / CONFIG, values)


def _own_config(values: dict[str, Any]) -> SpectralConfig:
    return SpectralConfig(**{name: value for name, value in values.items() if name in _SIZES})


def _load_own(id: str, folder: Path, values: dict[str, Any]) -> SpectralNetwork:
    try:
        # What is drawn here is replaced below, and must not move what a run's seed gives.
        with torch.random.fork_rng(devices=[]):
            model = SpectralNetwork(_own_config(values))
        tensors = load_file(folder / WEIGHTS)
        state = model.state_dict()
        _refuse_missing(id, model, sorted(state.keys() - tensors.keys()))
        model.load_state_dict({name: tensors[name] for name in state})
    except InputError:
        raise
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"{id}: cannot load the encoder from this folder ({reason}); "
            f"give the folder that loradar pretrain wrote, with {CONFIG} and {WEIGHTS}"
        ) from None
    return model.eval()


def _check_folder(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: no config.json; a local encoder is a transformers folder")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no .safetensors weights; pickled weights (.bin) are not read from folders"
        )
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CONFIG}: cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{folder / CONFIG}: not a configuration of transformers")
    return values


def _refuse_missing(id: str, model: nn.Module, names: list[str]) -> None:
    if names:
        raise InputError(
            f"{id}: the weights lack {len(names)} tensors of a {type(model).__name__}, "
            f"for instance {names[0]}; is this the right model?"
        )
