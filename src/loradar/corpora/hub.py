"""Data sets of the Hugging Face hub: as they lie there in Parquet, or streamed by its library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from loradar.corpora.labels import SPLIT_WORDS, label_of, with_notes
from loradar.corpora.manifest import Manifest
from loradar.corpora.shards import Sample, shards
from loradar.errors import ConfigError, InputError

PREFIX = "hub:"
#: Where the hub keeps the Parquet version that it makes of data sets which have none themselves.
CONVERTED = "refs/convert/parquet"
_TAKEN = ("attack", "speaker")


def hub(name: Path | str) -> Manifest:
    """Read a data set of the hub by its name: its Parquet files, fetched once to the hub's cache.

    Parameters
    ----------
    name : Path or str
        ``OWNER/NAME``, ``OWNER/NAME:SPLIT`` (``train`` where none is named) or
        ``OWNER/NAME:SPLIT+SPLIT``.

    Returns
    -------
    Manifest
        Paths that lie inside the cached files. Labels are as `shards.shards` reads them; the split
        is the one asked for, in the manifest's words, and ``corpus`` the data set's name where it
        has no such column.

    Raises
    ------
    InputError
        It cannot be had, has no Parquet version of a split, or that holds no audio.
    """
    repository, _, splits = str(name).partition(":")
    tables = []
    for split in (splits or "train").split("+"):
        table = pd.concat([shards(path).table for path in _fetched(repository, split)])
        table.loc[table["split"] == "", "split"] = SPLIT_WORDS.get(split.lower(), "")
        tables.append(table)
    table = pd.concat(tables, ignore_index=True).fillna("")
    table.loc[table["corpus"] == "", "corpus"] = repository.rpartition("/")[2]
    return Manifest(table, source=f"{PREFIX}{name}")


def _fetched(repository: str, split: str) -> list[Path]:
    """Return the Parquet files of a split, from the hub or from its cache."""
    from huggingface_hub import snapshot_download

    # As uploads name them, and as the hub itself does: data/train-00000-of-00002, default/train/0.
    patterns = [f"*{split}{end}" for end in ("-*.parquet", "/*.parquet", ".parquet")]
    for revision in (None, CONVERTED):
        try:
            folder = snapshot_download(
                repository, repo_type="dataset", revision=revision, allow_patterns=patterns
            )
        except (OSError, ValueError) as error:  # what the hub's library raises derives from these
            reason = " ".join(str(error).split())
            raise InputError(f"{PREFIX}{repository}: cannot be had: {reason}") from None
        # The cache may hold other splits of the same data set.
        found = [
            path
            for path in sorted(Path(folder).rglob("*.parquet"))
            if split in (path.stem, path.parent.name) or path.stem.startswith(f"{split}-")
        ]
        if found:
            return found
    raise InputError(f"{PREFIX}{repository}: no Parquet files of the split {split!r} on the hub")


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
    for index, given in enumerate(stream):
        row: dict[str, Any] = with_notes(given)
        audio = row.pop("audio")
        if audio.get("bytes") is None:
            raise InputError(f"{PREFIX}{name}: row {index} holds no audio")
        path = Path(audio.get("path") or f"{index:08d}.wav").name
        label = label_of(row.get("label"), names, f"{PREFIX}{name}: row {index}")
        if label == "bonafide" and "attack" in row:
            row["attack"] = ""
        kept = {key: row[key] for key in _TAKEN if key in row}
        others = {key: value for key, value in row.items() if _simple(key, value)}
        corpus = repository.rpartition("/")[2]
        own = {"label": label, "split": SPLIT_WORDS.get(split.lower(), ""), "corpus": corpus}
        yield path, audio["bytes"], {**others, **kept, **own}


def _simple(key: str, value: object) -> bool:
    return key not in ("path", "label", "split") and isinstance(value, str | int | float)
