"""LibriSeVoc: LibriTTS through six neural vocoders."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.corpora.protocols.tree import clips_below, manifest_of

ABOUT = About(
    name="librisevoc",
    title="LibriSeVoc",
    paper="https://arxiv.org/abs/2304.13085",
    url="https://github.com/csun22/Synthetic-Voice-Detection-Vocoder-Artifacts",
    licence="CC BY-SA 4.0 (its Hugging Face card)",
    clips="13,201 real, 79,206 generated",
    classes="bona fide: gt; spoof: diffwave, melgan, parallel_wave_gan, wavegrad, wavenet, wavernn",
    layout="gt/READER_CHAPTER_PART_UTTERANCE.wav\nVOCODER/READER_CHAPTER_PART_UTTERANCE_gen.wav",
    facts="its README.md and main.py, github.com/Jessegator/SONAR (README.md)",
    figures=f"counts: main.py (13,201 a folder), {SURVEY}; licence: not checked (its code: MIT)",
    rules="Its own split is the first 60 / 20 / 20 % of each folder as the file system happens to "
    "list it, which nobody can repeat and which puts one reader on both sides: none is given "
    "here. pair_id names the utterance.",
)


def librisevoc(root: Path | str) -> Manifest:
    """Read the folders.

    Parameters
    ----------
    root : Path or str
        The folder with ``gt/`` and one folder a vocoder, or the one around it.

    Returns
    -------
    Manifest
        No split. The speaker is the LibriTTS reader.

    Raises
    ------
    InputError
        No such folder is there.
    """
    root = Path(root)
    base = root / "LibriSeVoc" if (root / "LibriSeVoc" / "gt").is_dir() else root
    rows = []
    for clip in clips_below(base) if (base / "gt").is_dir() else ():
        folder, _, name = clip.rpartition("/")
        stem = Path(name).stem.removesuffix("_gen")
        if not folder or stem.count("_") != 3:
            continue
        label, attack = ("bonafide", "") if folder == "gt" else ("spoof", folder)
        reader = stem.partition("_")[0]
        rows.append((f"{base.as_posix()}/{clip}", label, attack, reader, stem))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "pair_id"),
        corpus=ABOUT.name,
        source=root,
        hint="gt/READER_CHAPTER_PART_UTTERANCE.wav is not there",
    )
