"""Loading transformers models: by hub name, local folder, or from a configuration alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from loradar.detector.log_spectrum import FRONT_END
from loradar.detector.spectral_model import MODEL_TYPE, SpectralConfig, SpectralModel
from loradar.embedded import ENCODER_ID, encoder_folder
from loradar.errors import ConfigError, InputError
from loradar.files import atomic_path, write_json


def register_models() -> None:
    """Make transformers' ``AutoModel`` know our own model types; `load_model` does it too.

    Examples
    --------
    >>> register_models()
    >>> AutoConfig.for_model("loradar-spectral").hidden_size
    192
    """
    AutoConfig.register(MODEL_TYPE, SpectralConfig, exist_ok=True)
    AutoModel.register(SpectralConfig, SpectralModel, exist_ok=True)


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
    register_models()
    place = str(encoder_folder()) if id == ENCODER_ID else id
    local = Path(place).is_dir()
    if not local and (id.count("/") > 1 or id.startswith((".", "/", "~"))):
        raise InputError(f"{id}: no such folder; encoder.id is a local folder or a name on the hub")
    options: dict[str, Any] = {"revision": revision or "main"}
    if local:
        _check_folder(Path(place))
        options = {"use_safetensors": True, "local_files_only": True}
    try:
        with _quiet(progress=not local):
            model, report = AutoModel.from_pretrained(
                place, dtype=torch.float32, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = "this folder" if local else "the Hugging Face hub"
        raise InputError(
            f"{id}: cannot load the encoder from {where} ({reason}); check name and network, "
            "or set encoder.id to a local folder with config.json and model.safetensors"
        ) from None
    missing = sorted(name for name in report["missing_keys"] if _matters(name))
    if missing:
        raise InputError(
            f"{id}: the weights lack {len(missing)} tensors of a {type(model).__name__}, "
            f"for instance {missing[0]}; is this the right model?"
        )
    return model  # type: ignore[no-any-return]


# What transformers raises on values that do not fit one another.
_MISFITS = (ValueError, TypeError, RuntimeError, StrictDataclassError)


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
    register_models()
    values = dict(config)
    model_type = values.pop("model_type")
    try:
        known = AutoConfig.for_model(model_type).to_dict()
    except ValueError:
        raise ConfigError(f"encoder.config: unknown model_type {model_type!r}") from None
    # transformers takes any key and ignores it; a misspelt size must not pass.
    own = {FRONT_END} if model_type == "wav2vec2-bert" else set()
    unknown = sorted(values.keys() - known.keys() - _extra_keys() - own)
    if unknown:
        raise ConfigError(f"encoder.config: {model_type} has no {', '.join(unknown)}")
    try:
        with _quiet(progress=False):
            built = AutoConfig.for_model(model_type, **values)
            return AutoModel.from_config(built, dtype=torch.float32)  # type: ignore[no-any-return]
    except (LookupError, AttributeError, *_MISFITS) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"encoder.config: {reason}") from None


def config_of(model: Any) -> dict[str, Any]:
    """Return the configuration of a transformers model, enough for `make_model`."""
    values: dict[str, Any] = model.config.to_diff_dict()
    dropped = {"transformers_version", "dtype", "torch_dtype", "architectures", "_name_or_path"}
    kept = {key: value for key, value in values.items() if key not in dropped}
    return {**kept, "model_type": model.config.model_type}


def save_model(model: Any, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write ``config.json`` and ``model.safetensors``, which `load_model` reads.

    Parameters
    ----------
    model : PreTrainedModel
        A model without adapters.
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
    values = {
        **model.config.to_diff_dict(),
        "architectures": [type(model).__name__],
        "model_type": model.config.model_type,
        "dtype": str(dtype).removeprefix("torch."),
    }
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / "config.json", values)


def _extra_keys() -> set[str]:
    return {*PreTrainedConfig().to_dict(), "architectures", "dtype", "torch_dtype"}


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; a local encoder is a transformers folder")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no .safetensors weights; pickled weights (.bin) are not read from folders"
        )


def _matters(name: str) -> bool:
    # Not used here: Whisper's decoder, and the vector that masks features in pre-training.
    return not name.startswith("decoder.") and not name.endswith("masked_spec_embed")


@contextmanager
def _quiet(*, progress: bool) -> Iterator[None]:
    """Silence reports on unused weights and retries, and progress bars unless ``progress``."""
    hub = logging.getLogger("huggingface_hub")
    hub_level = hub.level
    hub.setLevel(logging.ERROR)
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity(logging.ERROR)
    if not progress:
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        hub.setLevel(hub_level)
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
