"""Readers of public corpora, and of plain folders, as manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loradar.corpora.manifest import Manifest, read_manifest
from loradar.corpora.protocols.asvspoof2019 import asvspoof2019_la
from loradar.corpora.protocols.folder import folder
from loradar.corpora.protocols.in_the_wild import in_the_wild
from loradar.corpora.protocols.librispeech import librispeech
from loradar.errors import ConfigError

READERS: dict[str, Callable[[Path | str], Manifest]] = {
    "manifest": read_manifest,
    "asvspoof2019_la": asvspoof2019_la,
    "in_the_wild": in_the_wild,
    "librispeech": librispeech,
    "folder": folder,
}


def read_corpus(name: str, path: Path | str) -> Manifest:
    """Read a corpus by the name of its reader.

    Raises
    ------
    ConfigError
        No reader is called that.
    InputError
        The corpus is not there or is malformed.
    """
    if name not in READERS:
        raise ConfigError(f"no corpus reader is called {name!r}; there are {', '.join(READERS)}")
    return READERS[name](path)


__all__ = ["READERS", "asvspoof2019_la", "folder", "in_the_wild", "librispeech", "read_corpus"]
