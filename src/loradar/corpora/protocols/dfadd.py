"""DFADD: diffusion and flow-matching text-to-speech in VCTK voices."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import SURVEY, About
from loradar.corpora.protocols.tree import clips_below, manifest_of

ABOUT = About(
    name="dfadd",
    title="DFADD",
    paper="https://arxiv.org/abs/2409.08731",
    url="https://huggingface.co/datasets/isjwdu/DFADD (the ZIP files, those of April 2025)",
    licence="MIT (its repository); VCTK CC BY 4.0",
    clips="44,455 bona fide, 163,500 spoof; test: 755 bona fide, 5 x 600 spoof",
    classes="bona fide: VCTK; spoof: GradTTS, MatchaTTS, NaturalSpeech2, PflowTTS, StyleTTS2",
    layout="DATASET_VCTK_BONAFIDE/{train,valid,test}/*\nDATASET_SYSTEM/{train,valid,test}/*",
    facts="its README.md, github.com/nii-yamagishilab/AntiDeepfake (protocols/DFADD.py)",
    size="42.7 GB (second-hand)",
    figures=f"in all: {SURVEY}; test: some 3,760 rows of its Hugging Face viewer agree; licence: "
    "LICENSE of its repository",
    rules="The first release paired Matcha-TTS audio with wrong labels. The paper reports each "
    "system against all bona fide test clips (--by attack does).",
)
_SPLITS = {"train": "train", "valid": "dev", "test": "eval"}
_REAL = "VCTK_BONAFIDE"


def dfadd(root: Path | str) -> Manifest:
    """Read the folders.

    Parameters
    ----------
    root : Path or str
        The folder with ``DATASET_*``.

    Returns
    -------
    Manifest
        Official splits. The speaker is VCTK's; ``pair_id`` names the sentence.

    Raises
    ------
    InputError
        No such folder is there.
    """
    root = Path(root)
    rows = []
    for folder in sorted(root.glob("DATASET_*")):
        system = folder.name.removeprefix("DATASET_")
        label, attack = ("bonafide", "") if system == _REAL else ("spoof", system)
        for clip in clips_below(folder):
            split = _SPLITS.get(clip.partition("/")[0])
            parts = Path(clip).stem.split("_")
            if split is not None:
                pair = "_".join(parts[:2])
                rows.append((f"{folder.as_posix()}/{clip}", label, attack, parts[0], split, pair))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "split", "pair_id"),
        corpus=ABOUT.name,
        source=root,
        hint="DATASET_SYSTEM/{train,valid,test}/ is not there; unpack the ZIP files",
    )
