"""Long recordings made of clips, with spoofed or human stretches spliced in, to measure on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from loradar.audio.joining import SPLICES, How, Samples, joined, levelled, loudest, splice
from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.errors import InputError

LENGTHS = ("1", "2", "4", "several")
#: Lengths of the stretches, in s, by the name of the length.
STRETCHES = {"1": (1.0,), "2": (2.0,), "4": (4.0,), "several": (2.0, 2.0, 2.0)}
KINDS = ("spoof", "other", "same")
CALLS = ("turn", "side")
SENTENCE_S, TURN_S = 4.0, 6.0
LEAST_CLIPS = 5  # of a voice whose clips alone make a background
_LINE = 0.0005  # RMS of a telephone line on which nobody speaks: -66 dB
_TRIES = 20


@dataclass(frozen=True)
class Span:
    """Where a stretch was put in, in s; channels count from 1, 0: there is one only."""

    start: float
    end: float
    spoof: bool
    channel: int = 0


@dataclass(frozen=True)
class Spliced:
    """A recording that is known to the sample.

    Attributes
    ----------
    name : str
        Unlike any other of its set.
    kind : str
        What was put in: ``spoof``; ``other``: human speech of another recording; ``same``: of the
        same speaker; ``none``: nothing.
    splice : str
        ``hard``, ``crossfade``, ``pause``; ``turn``: one turn of one side of a call; ``side``: all
        turns of one side; ``long``: a hard cut in a recording of many minutes.
    length : str
        Of the stretches in s, or ``several``.
    background : str
        ``one voice``, ``several voices``, or ``recordings`` when those were given.
    samples : ndarray of float32, [T] or [T, 2]
        16 kHz.
    spans : tuple of Span
        Where the stretches are; that of a side, from its first turn to its last.
    stretches : tuple of ndarray
        The stretches alone.
    """

    name: str
    kind: str
    splice: str
    length: str
    background: str
    samples: Samples
    spans: tuple[Span, ...] = ()
    stretches: tuple[Samples, ...] = ()


@dataclass(frozen=True)
class Amount:
    """How many recordings, of how many seconds.

    Attributes
    ----------
    per_cell : int
        Recordings a splice, length of stretch and kind; twice as many calls a kind.
    seconds : float
        Length of their background.
    long : int
        Long recordings of each kind: with one spoofed sentence, with a human one of another
        recording, with none.
    long_seconds : float
        Length of those.
    """

    per_cell: int = 10
    seconds: float = 60.0
    long: int = 20
    long_seconds: float = 600.0


class Splicer:
    """Makes recordings from labelled clips.

    Parameters
    ----------
    clips : DataFrame
        A manifest's table: ``path,label,attack,speaker``. Both classes; spoofed clips are put in,
        human ones too, and make the background where no other is given.
    amount : Amount
        How many.
    seed : int
        The same clips and seed give the same recordings.
    voices : mapping of str to sequence of str, optional
        Voice -> files of human speech for the backgrounds, in the order in which they are joined.

    Raises
    ------
    InputError
        A class is missing, or no speaker is known of enough human clips.
    """

    def __init__(
        self,
        clips: pd.DataFrame,
        amount: Amount | None = None,
        seed: int = 0,
        voices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.amount, self._seed = amount or Amount(), seed
        human = clips[clips["label"] == "bonafide"]
        order = np.random.default_rng(seed).permutation(int((clips["label"] == "spoof").sum()))
        self._spoof = clips[clips["label"] == "spoof"].iloc[order].reset_index(drop=True)
        if human.empty or self._spoof.empty:
            missing = "human" if human.empty else "spoofed"
            raise InputError(f"no {missing} clip among {len(clips)}: both classes are needed")
        self._speaker = dict(zip(human["path"], human["speaker"].fillna(""), strict=True))
        self._given = voices is not None
        if voices is None:
            known = human[human["speaker"].fillna("") != ""]
            grouped = known.groupby("speaker")["path"].apply(list)
            voices = {str(k): v for k, v in grouped.items() if len(v) >= LEAST_CLIPS}
            if not voices:
                raise InputError(
                    f"no speaker has {LEAST_CLIPS} human clips or more: give --background"
                )
        self._voices = {name: list(paths) for name, paths in sorted(voices.items())}

    def __len__(self) -> int:
        cells = len(SPLICES) * len(LENGTHS) * len(KINDS) * self.amount.per_cell
        return cells + 2 * self.amount.per_cell * 4 + self.amount.long * 3

    def __iter__(self) -> Iterator[Spliced]:
        cells = product(SPLICES, LENGTHS)
        for cell, (how, length) in enumerate(cells):
            for number, kind in product(range(self.amount.per_cell), KINDS):
                yield self._inserted(cell, number, kind, how, length)
        calls = (("spoof", "turn"), ("spoof", "side"), ("other", "turn"), ("none", "turn"))
        for number, (kind, splice_) in product(range(2 * self.amount.per_cell), calls):
            yield self._call(100, number, kind, splice_)
        for number, kind in product(range(self.amount.long), ("spoof", "other", "none")):
            yield self._inserted(200, number, kind, "hard", "long")

    def _inserted(self, cell: int, number: int, kind: str, how: How, length: str) -> Spliced:
        # One generator for what all kinds of a number share: background and places.
        shared = np.random.default_rng([self._seed, cell, number])
        own = np.random.default_rng([self._seed, cell, number, *kind.encode()])
        long = length == "long"
        seconds = self.amount.long_seconds if long else self.amount.seconds
        lengths = (SENTENCE_S,) if long else STRETCHES[length]
        one = kind == "same" or self._given or number % 2 == 0
        voice = list(self._voices)[int(shared.integers(len(self._voices)))]
        names: list[str] = []
        stretches: list[Samples] = []
        if kind == "spoof":
            stretches = self._fakes(cell * 7 + number, lengths, own)
        elif kind != "none":
            names, stretches = self._humans(kind, voice if one else None, lengths, own)
        samples = self._background(voice if one else None, seconds, names, shared)
        places = (np.arange(len(stretches)) + shared.uniform(0.25, 0.75)) / max(len(stretches), 1)
        spans: list[Span] = []
        room = len(samples)
        for place, stretch in zip(places, stretches, strict=True):
            at = round(float(place) * room) + len(samples) - room
            samples, start, end = splice(samples, stretch, at, how, own)
            spans.append(Span(start / SAMPLE_RATE, end / SAMPLE_RATE, kind == "spoof"))
        return Spliced(
            name=f"{'long' if long else f'{how}-{length}'}-{kind}-{number:03d}",
            kind=kind,
            splice="long" if long else how,
            length=f"{SENTENCE_S:g}" if long else length,
            background=self._told(one),
            samples=_safe(samples),
            spans=tuple(spans),
            stretches=tuple(stretches),
        )

    def _call(self, cell: int, number: int, kind: str, what: str) -> Spliced:
        shared = np.random.default_rng([self._seed, cell, number])
        own = np.random.default_rng([self._seed, cell, number, *kind.encode(), *what.encode()])
        names = list(self._voices)
        picked = [names[int(k)] for k in shared.permutation(len(names))[:2]]
        orders = [shared.permutation(self._voices[voice]) for voice in picked]
        if len(orders) == 1:  # one voice alone is known: it speaks to itself
            orders = [orders[0][::2], orders[0][1::2]]
        side = int(shared.integers(2))
        turns = max(2, round(self.amount.seconds / SENTENCE_S))
        middle = turns // 2 + (turns // 2 - side) % 2  # a turn of that side
        parts: tuple[list[Samples], list[Samples]] = ([], [])
        spans, stretches, done = [], [], 0
        for turn in range(turns):
            speaks = turn % 2
            order = orders[speaks]
            clip = self._read(str(order[turn // 2 % len(order)]), TURN_S)
            if kind != "none" and speaks == side and (what == "side" or turn == middle):
                if kind == "spoof":
                    (clip,) = self._fakes(number, (SENTENCE_S,), own)
                else:
                    voice = picked[speaks % len(picked)]
                    (clip,) = self._humans("other", voice, (SENTENCE_S,), own)[1]
                times = (done / SAMPLE_RATE, (done + len(clip)) / SAMPLE_RATE)
                spans.append(Span(*times, kind == "spoof", side + 1))
                stretches.append(clip)
            parts[speaks].append(clip)
            line = _LINE * shared.standard_normal(len(clip))
            parts[1 - speaks].append(line.astype(np.float32))
            done += len(clip)
        if what == "side" and spans:
            # All of a side's turns are one stretch: on the line between them nobody speaks.
            spans = [Span(spans[0].start, spans[-1].end, kind == "spoof", side + 1)]
        return Spliced(
            name=f"call-{what}-{kind}-{number:03d}",
            kind=kind,
            splice=what,
            length=f"{SENTENCE_S:g}" if what == "turn" else "side",
            background=self._told(one=True),
            samples=_safe(np.stack([joined(part) for part in parts], axis=1)),
            spans=tuple(spans),
            stretches=tuple(stretches),
        )

    def _told(self, one: bool) -> str:
        if self._given:
            return "recordings"
        return "one voice" if one else "several voices"

    def _background(
        self, voice: str | None, seconds: float, without: list[str], rng: np.random.Generator
    ) -> Samples:
        """Join a voice's clips, or everybody's, to ``seconds``; they come again when too few."""
        pool = list(self._speaker) if voice is None else self._voices[voice]
        if self._given:
            # Recordings stay in their order, from some point on.
            pool = [*np.roll(np.array(pool, object), -int(rng.integers(len(pool))))]
        else:
            pool = [str(path) for path in rng.permutation(pool)]
        pool = [path for path in pool if path not in without] or pool
        size, parts, held, place = round(seconds * SAMPLE_RATE), [], 0, 0
        while held < size:
            part = self._read(pool[place % len(pool)], (size - held) / SAMPLE_RATE)
            parts.append(part)
            held, place = held + len(part), place + 1
        return joined(parts)[:size]

    def _fakes(
        self, number: int, lengths: Sequence[float], rng: np.random.Generator
    ) -> list[Samples]:
        """Stretches of one attack, of others where its clips are too short or too few."""
        first = self._spoof.iloc[number % len(self._spoof)]
        same = self._spoof.loc[self._spoof["attack"] == first["attack"], "path"]
        names = [first["path"], *rng.permutation(same), *rng.permutation(self._spoof["path"])]
        return self._long_enough(names, lengths)[1]

    def _humans(
        self, kind: str, voice: str | None, lengths: Sequence[float], rng: np.random.Generator
    ) -> tuple[list[str], list[Samples]]:
        """Human clips, and their stretches, of the background's speaker or of others."""
        if kind == "same" and voice is not None:
            pool = self._voices[voice]
        else:
            mine = set() if voice is None else set(self._voices[voice])
            others = [p for p, speaker in self._speaker.items() if speaker != voice]
            pool = [path for path in others if path not in mine] or list(self._speaker)
        return self._long_enough(rng.permutation(pool).tolist(), lengths)

    def _long_enough(
        self, names: Sequence[str], lengths: Sequence[float]
    ) -> tuple[list[str], list[Samples]]:
        """The first clips that are as long as is asked for; short ones where there are no more."""
        found: list[tuple[str, Samples]] = []
        short: list[tuple[str, Samples]] = []
        for name in dict.fromkeys(names):
            seconds = lengths[len(found)]
            stretch = self._stretch(name, seconds)
            enough = len(stretch) >= 0.9 * seconds * SAMPLE_RATE
            (found if enough else short).append((name, stretch))
            if len(found) == len(lengths):
                break
            if len(short) == _TRIES:
                break
        chosen = [*found, *sorted(short, key=lambda pair: -len(pair[1]))] * len(lengths)
        return [n for n, _ in chosen[: len(lengths)]], [s for _, s in chosen[: len(lengths)]]

    def _stretch(self, path: str, seconds: float) -> Samples:
        return loudest(self._read(path, max(seconds, TURN_S)), seconds)

    def _read(self, path: str, seconds: float) -> Samples:
        return levelled(load_audio(path, duration_s=max(seconds, 1.0)))


def _safe(samples: Samples) -> Samples:
    return np.clip(samples, -1.0, 1.0).astype(np.float32)
