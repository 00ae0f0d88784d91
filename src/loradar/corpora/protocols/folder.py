"""A plain folder of clips: ``bonafide/`` and ``spoof/ATTACK/``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from loradar.audio.reading import AUDIO_SUFFIXES
from loradar.corpora.manifest import SPLITS, UNKNOWN_ATTACK, Manifest
from loradar.errors import InputError


def folder(root: Path | str) -> Manifest:
    """Read a folder whose subfolders say what the clips are.

    Parameters
    ----------
    root : Path or str
        ``bonafide/...`` and ``spoof/ATTACK/...``, at any depth below, any audio suffix; or such a
        pair below each of ``train``, ``dev`` and ``eval``. Clips right in ``spoof/`` have the
        attack ``unknown``. Hidden files are left out.

    Returns
    -------
    Manifest
        Clips in the order of their paths; ``corpus`` is the folder's name.

    Raises
    ------
    InputError
        The folder is missing or holds no clip in such a place.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give one that holds bonafide/ and spoof/ATTACK/")
    corpus = root.absolute().name
    rows: list[tuple[str, ...]] = []
    for split in ("", *SPLITS):
        top = root / split
        for label in ("bonafide", "spoof"):
            for clip in sorted((top / label).rglob("*")):
                inside = clip.relative_to(top / label)
                hidden = any(part.startswith(".") for part in inside.parts)
                if hidden or clip.suffix.lower() not in AUDIO_SUFFIXES or not clip.is_file():
                    continue
                attack = ""
                if label == "spoof":
                    attack = inside.parts[0] if len(inside.parts) > 1 else UNKNOWN_ATTACK
                rows.append((str(clip.absolute()), label, attack, "", split, corpus))
    if not rows:
        raise InputError(
            f"{root}: no audio in bonafide/ or spoof/ATTACK/ (nor below train/, dev/, eval/); "
            "sort the clips into such folders or give a manifest"
        )
    columns = ["path", "label", "attack", "speaker", "split", "corpus"]
    return Manifest(pd.DataFrame(rows, columns=columns), source=str(root))
