"""Datasets of the Hugging Face hub, through the ``datasets`` library where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loradar.corpora.shards import Sample
from loradar.errors import ConfigError, InputError

PREFIX = "hub:"
LABELS = {
    **dict.fromkeys(("bonafide", "bona-fide", "bona_fide", "genuine", "real", "human"), "bonafide"),
    **dict.fromkeys(("spoof", "spoofing", "spoofed", "fake", "deepfake", "synthetic"), "spoof"),
}
_TAKEN = ("attack", "speaker")


def hub_clips(name: str) -> Iterator[Sample]:
    """Stream a dataset that has a column ``audio``; nothing is decoded.

    Parameters
    ----------
    name : str
        ``OWNER/NAME``, ``OWNER/NAME:SPLIT`` (``train`` where none is named).

    Yields
    ------
    name, file, row
        As `write_samples` takes them. A ``label`` in the usual words (real, fake, bonafide,
        spoof, ...) becomes the manifest's; other columns are kept as they are.

    Raises
    ------
    ConfigError
        The library is not installed (``pip install datasets``).
    InputError
        The dataset cannot be had, has no audio, or a label is not known.
    """
    try:
        import datasets
    except ImportError:
        raise ConfigError(
            "datasets of the hub need the library datasets: pip install 'loradar[hub]'"
        ) from None
    repository, _, split = name.partition(":")
    split = split or "train"
    try:
        stream: Any = datasets.load_dataset(repository, split=split, streaming=True)
        stream = stream.cast_column("audio", datasets.Audio(decode=False))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{PREFIX}{name}: cannot be had: {reason}") from None
    features = stream.features or {}
    names = getattr(features.get("label"), "names", None)
    part = {"train": "train", "validation": "dev", "dev": "dev", "test": "eval", "eval": "eval"}
    for index, row in enumerate(stream):
        audio = row.pop("audio")
        if audio.get("bytes") is None:
            raise InputError(f"{PREFIX}{name}: row {index} holds no audio")
        path = Path(audio.get("path") or f"{index:08d}.wav").name
        kept = {key: row[key] for key in _TAKEN if key in row}
        others = {key: value for key, value in row.items() if _simple(key, value)}
        label = _label(row.get("label"), names, f"{PREFIX}{name}: row {index}")
        corpus = repository.rpartition("/")[2]
        own = {"label": label, "split": part.get(split, ""), "corpus": corpus}
        yield path, audio["bytes"], {**others, **kept, **own}


def _simple(key: str, value: object) -> bool:
    return key not in ("path", "label", "split") and isinstance(value, str | int | float)


def _label(value: object, names: list[str] | None, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and names:
        value = names[value]
    word = str(value).strip().lower()
    if word not in LABELS:
        raise InputError(f"{where}: the label {value!r} is none of {', '.join(LABELS)}")
    return LABELS[word]
