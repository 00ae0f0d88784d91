"""In-the-Wild: public figures, real and faked (Müller et al., Interspeech 2022)."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from loradar.corpora.manifest import UNKNOWN_ATTACK, Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.errors import InputError

CORPUS = "in_the_wild"
ABOUT = About(
    name=CORPUS,
    title="In-the-Wild",
    paper="https://arxiv.org/abs/2203.16263",
    url="https://huggingface.co/datasets/mueller91/In-The-Wild",
    licence="CC BY-SA 4.0 (its Hugging Face card)",
    clips="31,779 (19,963 real, 11,816 fake)",
    hours="37.9 (20.7 real, 17.2 fake)",
    classes="recordings of public figures; spoof: fakes of them found online, systems unknown",
    layout="meta.csv (file,speaker,label: bona-fide or spoof)\n*.wav beside it",
    facts="its card, github.com/nii-yamagishilab/AntiDeepfake (protocols/In-the-Wild.py)",
    size="8.2 GB (second-hand)",
    figures=f"licence, hours: its card; counts: {SURVEY}",
    rules="Evaluation only, all of it.",
)
_LABELS = {"bona-fide": "bonafide", "spoof": "spoof"}
_COLUMNS = {"file", "speaker", "label"}


def in_the_wild(root: Path | str) -> Manifest:
    """Read the corpus: ``meta.csv`` (file, speaker, label) and the clips beside it.

    Parameters
    ----------
    root : Path or str
        The folder ``release_in_the_wild``.

    Returns
    -------
    Manifest
        Every clip in split ``eval``, the attack unknown.

    Raises
    ------
    InputError
        ``meta.csv`` is missing or malformed: row, column and what is wrong.
    """
    meta = Path(root) / "meta.csv"
    try:
        with meta.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(reader.fieldnames or ()) >= _COLUMNS:
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise InputError(f"{meta}: needs the columns file, speaker, label; found {found}")
            lines = list(reader)
    except FileNotFoundError:
        raise InputError(
            f"{meta}: no such file; give the corpus folder that holds meta.csv"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{meta}: cannot be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=2):
        label = _LABELS.get(line["label"] or "")
        if label is None:
            raise InputError(
                f"{meta}: row {number}, column label: {line['label']!r} is not bona-fide or spoof"
            )
        attack = UNKNOWN_ATTACK if label == "spoof" else ""
        rows.append((line["file"], label, attack, line["speaker"], "eval", CORPUS))
    if not rows:
        raise InputError(f"{meta}: holds no rows; get the file again")
    columns = ["path", "label", "attack", "speaker", "split", "corpus"]
    return Manifest(pd.DataFrame(rows, columns=columns), source=str(meta), folder=root)
