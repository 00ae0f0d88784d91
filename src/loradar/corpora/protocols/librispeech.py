"""LibriSpeech: read audiobooks (Panayotov et al., ICASSP 2015; https://www.openslr.org/12)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.errors import InputError

CORPUS = "librispeech"
ABOUT = About(
    name=CORPUS,
    title="LibriSpeech",
    paper="https://www.danielpovey.com/files/2015_icassp_librispeech.pdf",
    url="https://www.openslr.org/12",
    licence="CC BY 4.0",
    clips="292,367",
    size="60 GB",
    hours="982",
    classes="bona fide alone: for copies (corpus copies)",
    layout="LibriSpeech/SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac and *.trans.txt\n"
    "LibriSpeech/SPEAKERS.TXT",
    facts="README.TXT of the release",
    figures="test-clean: as unpacked; all else: README.TXT, openslr.org/12, not checked again",
    checked="test-clean, as it is unpacked",
)


def librispeech(root: Path | str) -> Manifest:
    """Read the corpus: ``SUBSET/SPEAKER/CHAPTER/*.flac`` with ``*.trans.txt`` beside them.

    Parameters
    ----------
    root : Path or str
        The folder ``LibriSpeech``, one around it, or one subset.

    Returns
    -------
    Manifest
        Every FLAC file that is there, bona fide, no split. Free columns: ``subset`` (for instance
        ``test-clean``), ``chapter``, ``transcript`` (capitals; empty where there is none) and
        ``gender`` (F, M; empty where ``SPEAKERS.TXT`` is not there).

    Raises
    ------
    InputError
        The folder is missing, holds no such tree, or a transcript file is malformed.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder LibriSpeech or a subset of it")
    base = root.absolute()
    genders = _genders(base)
    rows = []
    for chapter in sorted({clip.parent for clip in base.rglob("*-*-*.flac")}):
        transcripts = _transcripts(chapter)
        speaker, subset = chapter.parent.name, chapter.parent.parent.name
        for clip in sorted(chapter.glob("*-*-*.flac")):
            if clip.name.split("-")[:2] != [speaker, chapter.name]:
                raise InputError(
                    f"{clip}: does not lie in SPEAKER/CHAPTER/ as its name says; "
                    "unpack the corpus again"
                )
            text, gender = transcripts.get(clip.stem, ""), genders.get(speaker, "")
            rows.append(
                (str(clip), "bonafide", speaker, CORPUS, subset, chapter.name, text, gender)
            )
    if not rows:
        raise InputError(
            f"{root}: no LibriSpeech corpus: SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac "
            "is not there; give the folder LibriSpeech or a subset of it"
        )
    names = ["path", "label", "speaker", "corpus", "subset", "chapter", "transcript", "gender"]
    return Manifest(pd.DataFrame(rows, columns=names), source=str(root))


def _transcripts(chapter: Path) -> dict[str, str]:
    """Clip -> text, from lines ``CLIP TEXT``."""
    found: dict[str, str] = {}
    for path in chapter.glob("*.trans.txt"):
        for number, line in enumerate(_lines(path), start=1):
            clip, _, text = line.strip().partition(" ")
            if clip and not text:
                raise InputError(f"{path}: line {number} is not CLIP TEXT; get the file again")
            found[clip] = text
    return found


def _genders(base: Path) -> dict[str, str]:
    """Speaker -> F or M, from lines ``ID | SEX | SUBSET | MINUTES | NAME``."""
    places = (base, base.parent, *sorted(base.glob("*")))
    path = next((p / "SPEAKERS.TXT" for p in places if (p / "SPEAKERS.TXT").is_file()), None)
    found: dict[str, str] = {}
    for line in _lines(path) if path else []:
        fields = [part.strip() for part in line.split("|")]
        if len(fields) >= 3 and not line.startswith(";") and fields[1] in ("F", "M"):
            found[fields[0]] = fields[1]
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
