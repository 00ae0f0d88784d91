"""What a user may point a command at: a manifest, a corpus folder, or a folder of audio."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loradar.audio.archives import holds_audio, members
from loradar.audio.reading import AUDIO_SUFFIXES
from loradar.cli.console import note
from loradar.corpora.hub import PREFIX
from loradar.corpora.manifest import Manifest, read_manifest
from loradar.corpora.protocols import CORPORA, read_corpus
from loradar.corpora.protocols.about import ALL
from loradar.corpora.shards import shards_of
from loradar.errors import InputError

if TYPE_CHECKING:
    from loradar.scoring.journal import Clip


def clips_of(source: Path) -> tuple[Iterator[Clip], int | None]:
    """Return the clips of a source, one after the other, and how many (None: nobody knows).

    Parameters
    ----------
    source : Path
        What `read_source` takes; a tar shard, whose members are the clips; or ``-``, a list of
        files on standard input, one a line.

    Raises
    ------
    InputError
        Nothing is there, or no audio.
    """
    from loradar.scoring.journal import Clip

    if str(source) == "-":
        return (Clip(line) for line in _listed()), None
    if source.suffix.lower() == ".tar" and source.is_file():
        names = [n for n in members(source) if Path(n).suffix.lower() in AUDIO_SUFFIXES]
        if not names:
            raise InputError(f"{source}: no audio in this shard")
        return (Clip(str(source / name), corpus=source.stem) for name in names), len(names)
    if source.is_dir() and not _is_corpus(source):
        # Not through a table, which holds no name that is not UTF-8.
        files = _audio_below(source)
        return (Clip(path, corpus=source.name) for path in files), len(files)
    table = read_source(source).table
    columns = [
        table[name].fillna("").astype(str) if name in table else [""] * len(table)
        for name in ("path", "label", "attack", "corpus")
    ]
    return (Clip(*row) for row in zip(*columns, strict=True)), len(table)


def read_source(source: Path, corpus: str | None = None) -> Manifest:
    """Read clips from wherever they are.

    Parameters
    ----------
    source : Path
        A manifest (CSV, Parquet); a shard (tar, Parquet with embedded audio) or a folder of them; a
        folder with ``manifest.csv``; a folder with ``bonafide/`` or ``spoof/``; any other folder of
        audio, whose clips get no label; ``hub:OWNER/NAME[:SPLIT]``, a data set of the hub.
    corpus : str, optional
        Read the folder as this public corpus, for instance ``asvspoof2019_la`` or
        ``asvspoof2021_la:eval``. Which subset it is, is said aloud.

    Raises
    ------
    InputError
        Nothing is there, or no audio.
    """
    if names_hub(source):
        if corpus is not None:
            raise InputError(f"{source}: leave out --corpus {corpus}")
        manifest = read_corpus("hub", str(source).removeprefix(PREFIX))
        _tell_phases(manifest)
        return manifest
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if corpus is not None:
        manifest = read_corpus(corpus, source)
        tell_subset(corpus, manifest)
        return manifest
    if source.is_file() and source.suffix.lower() in AUDIO_SUFFIXES:
        raise InputError(
            f"{source}: is one recording: give a folder of them or a manifest (loradar detect "
            "judges single recordings)"
        )
    if source.is_file():
        shard = source.suffix == ".tar" or holds_audio(source)
        return read_corpus("shards", source) if shard else read_manifest(source)
    if not _is_corpus(source):
        return _unlabelled(source)
    if (source / "manifest.csv").is_file():
        return read_manifest(source / "manifest.csv")
    if (source / "bonafide").is_dir() or (source / "spoof").is_dir():
        return read_corpus("folder", source)
    return read_corpus("shards", source)


def _is_corpus(folder: Path) -> bool:
    """Whether a folder holds more than audio: a manifest, classes or shards."""
    if (folder / "manifest.csv").is_file() or any(
        (folder / name).is_dir() for name in ("bonafide", "spoof")
    ):
        return True
    return any(path.suffix == ".tar" or holds_audio(path) for path in shards_of(folder))


def _listed() -> Iterator[str]:
    """Yield the lines of standard input, names that are not UTF-8 as the system has them."""
    raw = getattr(sys.stdin, "buffer", None)
    for line in sys.stdin if raw is None else map(os.fsdecode, raw):
        name = line.rstrip("\r\n")
        if name.strip():
            yield name


def names_hub(source: Path) -> bool:
    """Whether it names a data set of the hub instead of a file."""
    return str(source).startswith(PREFIX)


def tell_subset(corpus: str, manifest: Manifest) -> None:
    """Say which subset of a corpus was read, where it has several."""
    name = corpus.partition(":")[0]
    subsets = CORPORA[name][0].subsets if name in CORPORA else ()
    if subsets:
        read = manifest.source.rpartition(":")[2]
        note(f"{name}: the subset {read} (there are {', '.join(subsets)}, {ALL}; {name}:SUBSET)")


def _tell_phases(manifest: Manifest) -> None:
    """Say that a challenge's phases lie side by side: figures over all of them are others."""
    phases = manifest.table["phase"].unique() if "phase" in manifest.table else ()
    if len(phases) > 1:
        note(
            f"{manifest.source} holds the phases {', '.join(phases)}: take one, --where phase=eval"
        )


def _unlabelled(root: Path) -> Manifest:
    import pandas as pd

    clips = []
    for path in _audio_below(root):
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            shown = os.fsencode(path).decode("utf-8", "replace")
            note(f"{shown}: left out: its name is not UTF-8; rename it")
            continue
        clips.append(path)
    if not clips:
        raise InputError(f"{root}: no file has a name in UTF-8; rename them")
    table = pd.DataFrame({"path": clips, "corpus": root.name})
    return Manifest(table, source=str(root))


def _audio_below(root: Path) -> list[str]:
    """Return the absolute paths of a folder's audio, sorted; links that lead nowhere included."""
    clips = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and (path.is_file() or path.is_symlink())
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not clips:
        raise InputError(f"{root}: no audio in this folder ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return [os.path.normpath(path.absolute()) for path in clips]
