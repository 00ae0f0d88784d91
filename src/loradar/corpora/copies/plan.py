"""What is to be made: which clips, under which names, by which attacks, in which split."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
import pandas as pd

from loradar.corpora.copies.randomness import generator, rank
from loradar.corpora.manifest import Manifest
from loradar.errors import InputError
from loradar.vocoders.attacks import Attack

_LOG = logging.getLogger(__name__)
NAME, VOICE = "_name", "_voice"
_OTHERS = 3  # candidates for the other voice, should the first not be readable
_TRIES = 30
_LONGEST = 200  # bytes of a name that still leave room for a suffix; file systems take 255


@dataclass(frozen=True)
class Job:
    """One source clip and what to make of it.

    Attributes
    ----------
    name : str
        The clip's name in the copies: ``pair_id``, and the files' names.
    path : str
        Its file.
    attacks : tuple of str
        Names, in the order of `ATTACKS`.
    channel : str
        Name of the channel that source and copies go through; empty for none.
    transcript : str
        What is said; may be empty.
    others : tuple of str
        Clips of other speakers of the same split, in the order to try.
    """

    name: str
    path: str
    attacks: tuple[str, ...]
    channel: str
    transcript: str
    others: tuple[str, ...]


def bona_fide(manifest: Manifest, out: Path) -> pd.DataFrame:
    """Return the rows to copy, with the columns `NAME` and `VOICE` (who speaks) added.

    Rows labelled spoof are left out, empty labels count as bona fide, clips below ``out`` (an
    earlier run's, when the folder lies inside the source) do not count at all.

    Raises
    ------
    InputError
        Nothing is left.
    """
    table = manifest.table
    inside = os.path.abspath(out) + os.sep  # noqa: PTH100 - as in Manifest, links are kept
    table = table[~table["path"].str.startswith(inside)]
    if table.empty:
        raise InputError(f"{out}: every clip of {manifest.source} lies in it; give another folder")
    spoofed = int((table["label"] == "spoof").sum())
    table = table[table["label"] != "spoof"].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{manifest.source}: holds no bona fide clip to copy; every row is spoof")
    if spoofed:
        _LOG.info("%s: %d clips labelled spoof are left out", manifest.source, spoofed)
    unlabelled = int((table["label"] == "").sum())
    if unlabelled:
        _LOG.info("%s: %d clips have no label and count as bona fide", manifest.source, unlabelled)
    table[NAME] = names = clip_names(list(table["path"]))
    table[VOICE] = [
        f"{corpus}/{speaker}" if speaker else f"\0{name}"
        for corpus, speaker, name in zip(table["corpus"], table["speaker"], names, strict=True)
    ]
    return table


def fill_splits(table: pd.DataFrame, seed: int) -> None:
    """Fill ``split`` where no row has one: 80, 10 and 10 % of the voices, drawn by ``seed``."""
    if (table["split"] != "").any():
        return
    voices = sorted(set(table[VOICE]), key=lambda voice: rank(seed, "split", voice))
    least = 1 if len(voices) >= 3 else 0
    part = max(least, round(0.1 * len(voices)))
    splits = dict.fromkeys(voices, "train")
    splits.update(dict.fromkeys(voices[:part], "eval"))
    splits.update(dict.fromkeys(voices[part : 2 * part], "dev"))
    table["split"] = [splits[voice] for voice in table[VOICE]]
    by = "speaker" if (table["speaker"] != "").all() else "clip where no speaker is named"
    counts = ", ".join(f"{name} {n}" for name, n in table["split"].value_counts().items())
    _LOG.info("the source names no split: drawn by %s (clips: %s)", by, counts)


def clip_names(paths: Sequence[str]) -> list[str]:
    """Give every clip a short name that no other has.

    The file's name without suffix; where two share it, the path below the folder common to all,
    with the suffix where even that is shared. Names too long for a file of another format are cut,
    with a part of their hash at the end.

    Examples
    --------
    >>> clip_names(["/c/a/1.wav", "/c/b/2.wav"]), clip_names(["/c/a/1.wav", "/c/b/1.wav"])
    (['1', '2'], ['a/1', 'b/1'])
    """
    return [_short_enough(name) for name in _names(paths)]


def _names(paths: Sequence[str]) -> list[str]:
    root = os.path.commonpath([PurePath(path).parent for path in paths])
    below = [PurePath(path).relative_to(root) for path in paths]
    for names in (
        [path.stem for path in below],
        [path.with_suffix("").as_posix() for path in below],
    ):
        # Some file systems do not tell A from a.
        if len({name.casefold() for name in names}) == len(names):
            return names
    return [path.as_posix() for path in below]


def _short_enough(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    raw = last.encode()
    if len(raw) <= _LONGEST:
        return name
    start = raw[: _LONGEST - 9].decode(errors="ignore")
    return f"{folder}{slash}{start}-{hashlib.sha256(raw).hexdigest()[:8]}"


def offers(table: pd.DataFrame) -> frozenset[str]:
    """Return what the clips offer to attacks, of ``transcript`` and ``other``."""
    found = set()
    if any(_transcripts(table)):
        found.add("transcript")
    if table[VOICE].nunique() > 1:
        found.add("other")
    return frozenset(found)


def plan(
    table: pd.DataFrame,
    attacks: Sequence[Attack],
    *,
    per_clip: int,
    channels: Sequence[str],
    seed: int,
) -> list[Job]:
    """Deal attacks and channels to clips in turn, so that all are used evenly.

    Parameters
    ----------
    table : DataFrame
        As `bona_fide` gives it.
    attacks : sequence of Attack
        Those that can run.
    per_clip : int
        Copies a clip; above the number of attacks means all.
    channels : sequence of str
        Names to deal, ``""`` for none; empty means none for all.
    seed : int
        Equal seeds deal equally, whatever the order of the rows.

    Returns
    -------
    list of Job
        In the order of the table. A clip that lacks what every attack needs has none.
    """
    names, splits, voices = (list(table[key]) for key in (NAME, "split", VOICE))
    paths, transcripts = list(table["path"]), _transcripts(table)
    order = sorted(range(len(names)), key=lambda row: rank(seed, "turn", names[row]))
    others: dict[int, tuple[str, ...]] = {}
    if any("other" in attack.needs for attack in attacks):
        others = _other_voices(order, names, splits, voices, paths, seed)
    uses = np.zeros(len(attacks), int)
    ties = generator(seed, "ties")
    jobs: dict[int, Job] = {}
    for turn, row in enumerate(order):
        have = {"transcript"} if transcripts[row] else set()
        have |= {"other"} if others.get(row) else set()
        able = np.array([attack.needs <= have for attack in attacks])
        # Least used first; among equals, by lot.
        ranked = np.lexsort((ties.permutation(len(attacks)), uses))
        chosen = sorted(int(place) for place in ranked[able[ranked]][:per_clip])
        uses[chosen] += 1
        jobs[row] = Job(
            names[row],
            paths[row],
            tuple(attacks[place].name for place in chosen),
            channels[turn % len(channels)] if channels else "",
            transcripts[row],
            others.get(row, ()),
        )
    return [jobs[row] for row in range(len(names))]


def _other_voices(
    order: Sequence[int],
    names: Sequence[str],
    splits: Sequence[str],
    voices: Sequence[str],
    paths: Sequence[str],
    seed: int,
) -> dict[int, tuple[str, ...]]:
    """Draw for each row some clips of other voices, from its own split alone."""
    members: dict[str, list[int]] = {}
    for row in order:
        members.setdefault(splits[row], []).append(row)
    found: dict[int, tuple[str, ...]] = {}
    for split, rows in members.items():
        if len({voices[row] for row in rows}) < 2:
            _LOG.info("split %r has one voice alone: no voice conversion there", split)
            continue
        for row in rows:
            rng = generator(seed, "other", names[row])
            drawn: list[int] = []
            tries = 0
            # At least one; more where they are easily found.
            while not drawn or (len(drawn) < _OTHERS and tries < _TRIES):
                other = rows[int(rng.integers(len(rows)))]
                if voices[other] != voices[row] and other not in drawn:
                    drawn.append(other)
                tries += 1
            found[row] = tuple(paths[other] for other in drawn)
    return found


def _transcripts(table: pd.DataFrame) -> list[str]:
    if "transcript" not in table:
        return [""] * len(table)
    return [text.strip() if isinstance(text, str) else "" for text in table["transcript"]]
