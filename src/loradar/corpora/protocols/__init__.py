"""Readers of public corpora, and of plain folders, as manifests.

One file a corpus: an `About` and a function from its folder to a `Manifest`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from loradar.corpora.hub import hub
from loradar.corpora.manifest import Manifest, read_manifest
from loradar.corpora.protocols import (
    add,
    asvspoof5,
    asvspoof2019,
    asvspoof2021,
    codecfake,
    deepfake_eval_2024,
    dfadd,
    fake_or_real,
    fakeavceleb,
    in_the_wild,
    librisevoc,
    librispeech,
    mlaad,
    partial_spoof,
    sonar,
    spoofceleb,
    wavefake,
)
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.folder import folder
from loradar.corpora.shards import shards
from loradar.errors import ConfigError

Reader = Callable[..., Manifest]

#: Every public corpus, by the name that recipes and commands use.
CORPORA: dict[str, tuple[About, Reader]] = {
    about.name: (about, reader)
    for about, reader in (
        (asvspoof2019.ABOUT, asvspoof2019.asvspoof2019_la),
        (asvspoof2021.LA, asvspoof2021.asvspoof2021_la),
        (asvspoof2021.DF, asvspoof2021.asvspoof2021_df),
        (asvspoof5.ABOUT, asvspoof5.asvspoof5),
        (in_the_wild.ABOUT, in_the_wild.in_the_wild),
        (fakeavceleb.ABOUT, fakeavceleb.fakeavceleb),
        (wavefake.ABOUT, wavefake.wavefake),
        (librisevoc.ABOUT, librisevoc.librisevoc),
        (mlaad.ABOUT, mlaad.mlaad),
        (dfadd.ABOUT, dfadd.dfadd),
        (codecfake.VCTK, codecfake.codecfake),
        (codecfake.ALM, codecfake.codecfake_alm),
        (sonar.ABOUT, sonar.sonar),
        (fake_or_real.ABOUT, fake_or_real.fake_or_real),
        (add.ADD_2022, add.add2022),
        (add.ADD_2023, add.add2023),
        (spoofceleb.ABOUT, spoofceleb.spoofceleb),
        (partial_spoof.ABOUT, partial_spoof.partial_spoof),
        (deepfake_eval_2024.ABOUT, deepfake_eval_2024.deepfake_eval_2024),
        (librispeech.ABOUT, librispeech.librispeech),
    )
}

READERS: dict[str, Reader] = {
    "manifest": read_manifest,
    "folder": folder,
    "shards": shards,
    "hub": hub,
    **{name: reader for name, (_, reader) in CORPORA.items()},
}


def read_corpus(name: str, path: Path | str) -> Manifest:
    """Read a corpus by the name of its reader.

    Parameters
    ----------
    name : str
        A key of `READERS`. ``NAME:SUBSET`` names a subset of a corpus that has some, for
        instance ``asvspoof2021_la:hidden``; without it the corpus's default is read.
    path : Path or str
        The corpus's folder, the manifest, or for ``hub`` the data set's name.

    Raises
    ------
    ConfigError
        No reader is called that, or the corpus has no such subset.
    InputError
        The corpus is not there or is malformed.
    """
    reader, colon, subset = name.partition(":")
    if reader not in READERS:
        raise ConfigError(f"no corpus reader is called {reader!r}; there are {', '.join(READERS)}")
    if not colon:
        return READERS[reader](path)
    if reader not in CORPORA:
        raise ConfigError(f"{reader} has no subsets: leave out {subset!r}")
    chosen = CORPORA[reader][0].choose(subset)
    return READERS[reader](path, subset=chosen)


__all__ = ["CORPORA", "READERS", "About", "Reader", "folder", "read_corpus"]
