"""Deepfake-Eval-2024, audio: what circulated on social media in 2024."""

from __future__ import annotations

from pathlib import Path

from loradar.corpora.manifest import UNKNOWN_ATTACK, Manifest
from loradar.corpora.protocols.about import About
from loradar.corpora.protocols.tree import csv_rows, first_there, manifest_of
from loradar.errors import InputError

ABOUT = About(
    name="deepfake_eval_2024",
    title="Deepfake-Eval-2024 (audio)",
    paper="https://arxiv.org/abs/2503.02857",
    url="https://huggingface.co/datasets/nuriachandra/Deepfake-Eval-2024 (on request)",
    licence="CC BY-SA 4.0",
    clips="1,980 rows",
    hours="56.5",
    classes="real and fake, as judged by analysts; the generators are unknown",
    layout="audio-metadata-publish.csv (Filename, Ground Truth, Finetuning Set)\n"
    "audio-data/*.mp3, *.wav, *.m4a, *.mp4",
    facts="github.com/nii-yamagishilab/AntiDeepfake (protocols/DeepfakeEval2024_*.py), "
    "github.com/sadjadeb/DetectZoo",
    figures="licence, hours: its card; rows: github.com/sadjadeb/DetectZoo, not checked again",
    rules="The column Finetuning Set gives train and test (here: eval). Rows whose truth is "
    "neither real nor fake are left out. Clips are long (minutes), several languages, music and "
    "several speakers: figures on cut segments and on whole files are not comparable.",
)
_LISTS = ("audio-metadata-publish.csv", "audio-metadata-publish-with-links.csv")
_NAMES = ("Filename", "Ground Truth", "Finetuning Set")


def deepfake_eval_2024(root: Path | str) -> Manifest:
    """Read the list.

    Parameters
    ----------
    root : Path or str
        The folder with ``audio-metadata-publish.csv`` and ``audio-data/``.

    Returns
    -------
    Manifest
        Free columns: what else the list holds, in lower case. Whether the audio is there is not
        looked at.

    Raises
    ------
    InputError
        The list is missing or malformed.
    """
    root = Path(root)
    path = first_there(root / name for name in _LISTS)
    rows, free = [], []
    for _, row in csv_rows(path, _NAMES) if path else ():
        label = {"real": "bonafide", "fake": "spoof"}.get(row["Ground Truth"].strip().lower())
        if label is None:
            continue
        split = {"train": "train", "test": "eval"}.get(row["Finetuning Set"].strip().lower(), "")
        free = [name for name in row if name not in _NAMES and name != "None"]
        attack = UNKNOWN_ATTACK if label == "spoof" else ""
        clip = f"{root.as_posix()}/audio-data/{row['Filename'].strip()}"
        rows.append((clip, label, attack, split, *(row[name] for name in free)))
    columns = [_column(name) for name in free]
    if len(set(columns)) < len(columns):
        raise InputError(f"{path}: two of its columns have the same name: {', '.join(free)}")
    return manifest_of(
        rows,
        ("path", "label", "attack", "split", *columns),
        corpus=ABOUT.name,
        source=root,
        hint=f"{_LISTS[0]} with real and fake rows is not there",
    )


def _column(name: str) -> str:
    tidy = "_".join(name.strip().lower().split())
    # A list's own "label" or "path" must not stand in for the manifest's.
    return f"listed_{tidy}" if tidy in ("path", "label", "attack", "speaker", "corpus") else tidy
