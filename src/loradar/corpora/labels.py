"""The words by which data sets name the classes and the splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from loradar.errors import InputError

LABELS = {
    **dict.fromkeys(("bonafide", "bona-fide", "bona_fide", "genuine", "real", "human"), "bonafide"),
    **dict.fromkeys(("spoof", "spoofing", "spoofed", "fake", "deepfake", "synthetic"), "spoof"),
}
#: What the hub calls its splits, and others theirs.
SPLIT_WORDS = {
    **{"train": "train", "training": "train"},
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "dev"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "eval"),
}

#: Where others keep what the manifest has a column for.
_NOTED = {"attack_id": "attack", "speaker_id": "speaker"}


def with_notes(row: Mapping[str, object]) -> dict[str, object]:
    """Make columns of a column ``notes`` that holds a JSON object, as in the Arena's data sets.

    What the row says itself wins over its notes; ``attack_id`` and ``speaker_id`` become
    ``attack`` and ``speaker``.

    Examples
    --------
    >>> with_notes({"label": 1, "notes": '{"codec": "alaw", "attack_id": "A07"}'})
    {'codec': 'alaw', 'attack': 'A07', 'label': 1}
    """
    text = row.get("notes")
    if not (isinstance(text, str) and text.startswith("{")):
        return dict(row)
    try:
        noted = json.loads(text)
    except ValueError:
        return dict(row)
    told = {_NOTED.get(key, key): value for key, value in noted.items()}
    return {**told, **{key: value for key, value in row.items() if key != "notes"}}


def label_of(value: object, names: Sequence[str] | None, where: str) -> str:
    """Return ``bonafide`` or ``spoof`` for a label in the usual words; empty for none.

    Parameters
    ----------
    value : object
        The word, or a place in ``names``; None and empty text stand for no label.
    names : sequence of str, optional
        What whole numbers stand for.
    where : str
        For messages.

    Raises
    ------
    InputError
        Nobody says what this label means.
    """
    if value is None or value == "":
        return ""
    if names and isinstance(value, int) and 0 <= value < len(names):
        value = names[value]
    word = str(value).strip().lower()
    if word not in LABELS:
        raise InputError(f"{where}: the label {value!r} is none of {', '.join(LABELS)}")
    return LABELS[word]
