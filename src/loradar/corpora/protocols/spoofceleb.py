"""SpoofCeleb: VoxCeleb speech in the wild, and 23 synthesisers trained on it."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import Manifest
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.tree import csv_rows, manifest_of

ABOUT = About(
    name="spoofceleb",
    title="SpoofCeleb",
    paper="https://arxiv.org/abs/2409.17285",
    url="https://huggingface.co/datasets/jungjee/spoofceleb",
    licence="CC BY 4.0",
    clips="2,540,421 train, 55,741 dev, 91,130 eval",
    classes="bona fide: VoxCeleb1 (a00); spoof: a01 to a23",
    layout="spoofceleb/metadata/{train,development,evaluation}.csv (file,speaker,attack)\n"
    "spoofceleb/flac/{train,development,evaluation}/aNN/SPEAKER/*.flac",
    facts="github.com/nii-yamagishilab/AntiDeepfake (protocols/SpoofCeleb.py)",
    size="134 GB (second-hand)",
    figures="counts: huggingface.co/datasets/DeepFense/SpoofCeleb; licence: its page",
    rules="a00 is bona fide whatever its folder is called.",
)
_SPLITS = {"train": "train", "development": "dev", "evaluation": "eval"}


def spoofceleb(root: Path | str) -> Manifest:
    """Read the lists.

    Parameters
    ----------
    root : Path or str
        The folder ``spoofceleb`` or the one around it.

    Returns
    -------
    Manifest
        The splits whose list is there. Whether the audio is there is not looked at.

    Raises
    ------
    InputError
        No list is there, or one is malformed.
    """
    root = Path(root)
    base = root / "spoofceleb" if (root / "spoofceleb" / "metadata").is_dir() else root
    rows = []
    for name, split in _SPLITS.items():
        path = base / "metadata" / f"{name}.csv"
        if not path.is_file():
            continue
        folder = (base / "flac" / name).as_posix()
        for _, row in csv_rows(path, ("file", "speaker", "attack")):
            real = row["attack"] == "a00"
            label, attack = ("bonafide", "") if real else ("spoof", row["attack"])
            rows.append((f"{folder}/{row['file']}", label, attack, row["speaker"], split))
    return manifest_of(
        rows,
        ("path", "label", "attack", "speaker", "split"),
        corpus=ABOUT.name,
        source=root,
        hint="metadata/train.csv (or development, evaluation) is not there",
    )
