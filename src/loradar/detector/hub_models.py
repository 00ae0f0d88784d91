"""Models of transformers: loaded from the hub or a folder, or made from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig
from transformers.utils import logging as transformers_logging

from loradar.detector.log_spectrum import FRONT_END
from loradar.detector.spectral import MODEL_TYPE
from loradar.detector.spectral_model import SpectralModel, SpectralModelConfig
from loradar.errors import ConfigError, InputError


def register() -> None:
    """Make ``AutoConfig`` and ``AutoModel`` know our own model types."""
    AutoConfig.register(MODEL_TYPE, SpectralModelConfig, exist_ok=True)
    AutoModel.register(SpectralModelConfig, SpectralModel, exist_ok=True)


def load(id: str, place: str, revision: str | None, *, local: bool) -> tuple[nn.Module, list[str]]:
    """Load a model in float32, and tell which of the tensors it needs were not there.

    Parameters
    ----------
    id : str
        What errors call it.
    place : str
        A folder, or a name on the hub.
    revision : str, optional
        Branch, tag or commit on the hub.
    local : bool
        Whether ``place`` is a folder; then nothing is fetched, and no pickle read.

    Raises
    ------
    InputError
        The folder or the hub does not give the model; says how to give a local folder.
    """
    register()
    options: dict[str, Any] = {"revision": revision or "main"}
    if local:
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
    return model, sorted(name for name in report["missing_keys"] if _matters(name))


# What transformers raises on values that do not fit one another.
_MISFITS = (ValueError, TypeError, RuntimeError, StrictDataclassError)


def make(config: dict[str, Any]) -> nn.Module:
    """Make a model of transformers; see `loradar.detector.pretrained.make_model`."""
    values = dict(config)
    model_type = values.pop("model_type")
    try:
        known = AutoConfig.for_model(model_type).to_dict()
    except ValueError:
        raise ConfigError(f"encoder.config: unknown model_type {model_type!r}") from None
    # transformers takes any key and ignores it; a misspelt size must not pass.
    own = {FRONT_END} if model_type == "wav2vec2-bert" else set()
    unknown = sorted(values.keys() - known.keys() - common_keys() - own)
    if unknown:
        raise ConfigError(f"encoder.config: {model_type} has no {', '.join(unknown)}")
    try:
        with _quiet(progress=False):
            built = AutoConfig.for_model(model_type, **values)
            return AutoModel.from_config(built, dtype=torch.float32)  # type: ignore[no-any-return]
    except (LookupError, AttributeError, *_MISFITS) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"encoder.config: {reason}") from None


def common_keys() -> set[str]:
    """Return what every configuration of transformers may hold."""
    return {*PreTrainedConfig().to_dict(), "architectures", "dtype", "torch_dtype"}


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
