"""Checkpoint folders.

``config.json`` says how to rebuild the model, ``model.safetensors`` has its trained tensors,
``preprocessor_config.json`` is for transformers' ``pipeline`` alone.
Nothing is pickled; other files of the folder are left alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from loradar import __version__
from loradar.detector.building import build_detector
from loradar.detector.config import DetectorConfig, HuggingFaceEncoderConfig
from loradar.detector.front_end import SAMPLE_RATE
from loradar.detector.model import Detector
from loradar.detector.pretrained import config_of
from loradar.errors import CheckpointError, ConfigError
from loradar.files import atomic_path, sha256_of, write_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# Version 2 has experts that were grown or frozen, 3 branches; what has neither is written as 1.
FORMAT, FORMAT_VERSION = "loradar-detector", 3

#: What transformers' ``pipeline`` needs beside it; `loradar.register` tells it the model type.
PREPROCESSOR = "preprocessor_config.json"
FOR_TRANSFORMERS: dict[str, Any] = {
    "model_type": FORMAT,
    "architectures": ["LoradarForAudioClassification"],
    "id2label": {"0": "spoof", "1": "bonafide"},
    "label2id": {"spoof": 0, "bonafide": 1},
}


def base_hash(tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of ``tensors``, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_detector(detector: Detector, folder: Path | str, *, self_contained: bool = False) -> None:
    """Write a detector into ``folder``.

    Parameters
    ----------
    detector : Detector
        The model.
    folder : Path or str
        Made when missing; files other than the three written here stay as they are.
    self_contained : bool
        Save the encoder too, so that loading needs neither hub nor local base. Always so where
        the encoder has no base to load: a baseline, an inline configuration, mode ``full``; and
        of a detector that was saved so.
    """
    folder, config = Path(folder), detector.config
    encoder = config.encoder
    needs_base = isinstance(encoder, HuggingFaceEncoderConfig) and encoder.id is not None
    alone = self_contained or detector.self_contained
    alone = alone or not needs_base or not detector.keeps_encoder
    state = detector.whole_state() if alone else detector.trained_state()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    record: dict[str, Any] = {
        "format": FORMAT,
        "format_version": _version_for(config),
        **FOR_TRANSFORMERS,
        "loradar_version": __version__,
        "detector": config.to_dict(),
        "self_contained": alone,
        "weights_sha256": sha256_of(folder / WEIGHTS),
    }
    if isinstance(encoder, HuggingFaceEncoderConfig) and detector.encoder is not None:
        if alone:
            record["encoder_config"] = config_of(detector.encoder.model)
        else:
            record["base"] = {"id": encoder.id, "sha256": base_hash(detector.base_tensors())}
    write_preprocessor(folder)
    # Last, because it vouches for the weights.
    write_json(folder / CONFIG, record)


def write_preprocessor(folder: Path) -> None:
    """Write what ``transformers.pipeline`` asks a folder about its input: raw 16 kHz samples."""
    write_json(
        folder / PREPROCESSOR,
        {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "sampling_rate": SAMPLE_RATE,
            "do_normalize": False,
            "return_attention_mask": True,
        },
    )


def load_detector(
    folder: Path | str, *, device: torch.device | str = "cpu", base: str | None = None
) -> Detector:
    """Load a detector, ready for evaluation.

    Parameters
    ----------
    folder : Path or str
        A checkpoint folder.
    device : torch.device or str
        Where to put it.
    base : str, optional
        Where the base encoder is now, if not where the checkpoint says; its weights must be the
        same.

    Raises
    ------
    CheckpointError
        A file is missing, altered or of a newer format, or the base encoder is another one.
    InputError
        The base encoder cannot be had.
    """
    folder = Path(folder)
    record = _read_record(folder)
    config = _read_config(folder, record, base)
    tensors = _read_weights(folder, record)
    # A seed keeps the caller's random state untouched; every tensor is replaced below.
    detector = build_detector(config, seed=0, probe=False)
    alone = bool(record.get("self_contained"))
    if not alone:
        _check_base(folder, record, detector)
    _fill(folder, detector.whole_state() if alone else detector.trained_state(), tensors)
    detector.self_contained = alone
    return detector.to(device).eval()


def _version_for(config: DetectorConfig) -> int:
    if config.branches:
        return 3
    mixture = config.adaptation.mixture
    return 2 if mixture is not None and (mixture.grown or mixture.frozen) else 1


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder}: not a detector checkpoint (no {CONFIG})")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not the configuration of a Loradar detector")
    version = record.get("format_version")
    if not isinstance(version, int):
        raise CheckpointError(f"{path}: format_version is missing")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written by a newer Loradar (format {version}, this one reads up to "
            f"{FORMAT_VERSION}): upgrade with pip install -U loradar"
        )
    return record


def _read_config(folder: Path, record: dict[str, Any], base: str | None) -> DetectorConfig:
    values = record.get("detector")
    try:
        if not isinstance(values, dict):
            raise ConfigError("detector: the section is missing")
        encoder = values.get("encoder")
        if not isinstance(encoder, dict):
            raise ConfigError("detector.encoder: the section is missing")
        encoder = dict(encoder)
        if record.get("self_contained"):
            if "encoder_config" in record:
                encoder |= {"id": None, "revision": None, "config": record["encoder_config"]}
        elif base is not None:
            encoder |= {"id": base, "revision": None}
        return DetectorConfig.from_dict({**values, "encoder": encoder})
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from None


def _read_weights(folder: Path, record: dict[str, Any]) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder}: {WEIGHTS} is missing")
    if sha256_of(path) != record.get("weights_sha256"):
        raise CheckpointError(
            f"{path}: altered or incomplete: its SHA-256 is not the one in {CONFIG}; "
            "copy the whole folder again"
        )
    try:
        return load_file(path)  # type: ignore[no-any-return]
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None


def _check_base(folder: Path, record: dict[str, Any], detector: Detector) -> None:
    base = record.get("base") or {}
    if base_hash(detector.base_tensors()) != base.get("sha256"):
        encoder: Any = detector.config.encoder
        raise CheckpointError(
            f"{folder}: trained on another base encoder than {encoder.id} now gives "
            f"(SHA-256 differs from that of {base.get('id')} at training time); give the original"
        )


def _fill(folder: Path, state: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    path = folder / WEIGHTS
    missing, unknown = sorted(state.keys() - tensors.keys()), sorted(tensors.keys() - state.keys())
    if missing:
        raise CheckpointError(f"{path}: {len(missing)} tensors are missing, first {missing[0]}")
    if unknown:
        raise CheckpointError(f"{path}: {len(unknown)} tensors are unknown, first {unknown[0]}")
    with torch.no_grad():
        for name, place in state.items():
            if place.shape != tensors[name].shape:
                raise CheckpointError(
                    f"{path}: {name} has shape {list(tensors[name].shape)}, "
                    f"the model needs {list(place.shape)}"
                )
            place.copy_(tensors[name])
