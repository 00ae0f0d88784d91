"""ASVspoof 2019, logical access (https://doi.org/10.7488/ds/2555)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.errors import InputError

CORPUS = "asvspoof2019_la"
ABOUT = About(
    name=CORPUS,
    title="ASVspoof 2019 LA",
    paper="https://arxiv.org/abs/1911.01601",
    url="https://doi.org/10.7488/ds/2555 (LA.zip)",
    licence="ODC-By 1.0",
    clips="25,380 train, 24,844 dev, 71,237 eval",
    classes="bona fide: VCTK; spoof: A01 to A06 (train, dev), A07 to A19 (eval)",
    layout="LA/ASVspoof2019_LA_cm_protocols/*.txt (plain or .gz)\n"
    "LA/ASVspoof2019_LA_{train,dev,eval}/flac/*.flac",
    facts="README.LA.txt of the release",
    size="LA.zip 7.1 GB (second-hand)",
    figures="counts: the protocol files; licence: huggingface.co/datasets/LanceaKing/asvspoof2019",
    rules="A16 and A19 of eval are the systems A04 and A06 of train, with other speakers.",
    checked="the protocol files, at full size; the audio tree was not",
)
PROTOCOLS = {
    "train": "ASVspoof2019.LA.cm.train.trn.txt",
    "dev": "ASVspoof2019.LA.cm.dev.trl.txt",
    "eval": "ASVspoof2019.LA.cm.eval.trl.txt",
}
_PROTOCOL_FOLDER = "ASVspoof2019_LA_cm_protocols"


def asvspoof2019_la(root: Path | str) -> Manifest:
    """Read the corpus as it is unpacked from ``LA.zip``.

    Parameters
    ----------
    root : Path or str
        The folder ``LA`` or the one around it: ``ASVspoof2019_LA_cm_protocols/*.txt`` (plain or
        ``.gz``) and ``ASVspoof2019_LA_{train,dev,eval}/flac/*.flac``.

    Returns
    -------
    Manifest
        The splits whose protocol file is there: 25,380 + 24,844 + 71,237 clips in all. Whether
        the audio is there is not looked at.

    Raises
    ------
    InputError
        No protocol file is there, or one is malformed.
    """
    root = Path(root)
    base = root / "LA" if (root / "LA" / _PROTOCOL_FOLDER).is_dir() else root
    tables = []
    for split, name in PROTOCOLS.items():
        plain = base / _PROTOCOL_FOLDER / name
        for protocol in (plain, plain.with_name(name + ".gz")):
            if protocol.is_file():
                audio = base / f"ASVspoof2019_LA_{split}" / "flac"
                tables.append(read_protocol(protocol, split, audio))
                break
    if not tables:
        raise InputError(
            f"{root}: no ASVspoof 2019 LA corpus: {_PROTOCOL_FOLDER}/{PROTOCOLS['train']} "
            "(or dev, eval; plain or .gz) is not there; give the folder LA"
        )
    return Manifest(pd.concat(tables, ignore_index=True), source=str(root))


def read_protocol(path: Path | str, split: str, audio: Path | str) -> pd.DataFrame:
    """Read one countermeasure protocol file.

    Parameters
    ----------
    path : Path or str
        Lines ``SPEAKER CLIP - ATTACK KEY``, plain or ``.gz``.
    split : str
        ``train``, ``dev`` or ``eval``.
    audio : Path or str
        The folder of the FLAC files.

    Returns
    -------
    DataFrame
        The columns of a manifest, one row a clip.

    Raises
    ------
    InputError
        A line is not of that form: file, line and what is wrong.
    """
    path = Path(path)
    prefix = Path(audio).as_posix()
    rows = []
    for number, line in _lines(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 5:
            raise InputError(
                f"{path}: line {number} has {len(fields)} fields, "
                "not the five SPEAKER CLIP - ATTACK KEY"
            )
        speaker, clip, _, attack, key = fields
        if key not in ("bonafide", "spoof"):
            raise InputError(f"{path}: line {number}: the key {key!r} is not bonafide or spoof")
        attack = "" if attack == "-" else attack
        rows.append((f"{prefix}/{clip}.flac", key, attack, speaker, split, CORPUS))
    if not rows:
        raise InputError(f"{path}: holds no trials; get the protocol file again")
    return pd.DataFrame(rows, columns=["path", "label", "attack", "speaker", "split", "corpus"])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            yield from enumerate(file, start=1)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a protocol file: {error}") from None
