"""Rendering copies of clips through attacks, and measuring them."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE
from loradar.errors import LoradarError
from loradar.evaluation.copies.clips import Clip
from loradar.evaluation.copies.pair import MEASURES, Original
from loradar.evaluation.copies.spectral import resampled
from loradar.evaluation.copies.summary import Estimate, estimate, verdict
from loradar.evaluation.copies.trivial import Trivial, trivial_eer
from loradar.evaluation.det import FloatArray
from loradar.evaluation.suites.baselines import average_spectrum
from loradar.vocoders.attacks import Attack, Source

RTF = "rtf"
WARM_UP_S = 1.0


def _resampled(
    source: Source, settings: Mapping[str, Any], rng: np.random.Generator
) -> NDArray[np.float32]:
    return resampled(source.samples)


# No attack: the row that the others are read against.
REFERENCE = Attack("resampling", "reference", "classical", lambda rng: {}, _resampled)


@dataclass(frozen=True)
class Copy:
    """One copy as measured; ``failure`` says why there is none."""

    clip: str
    speaker: str
    settings: dict[str, Any]
    measures: dict[str, float | None] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Findings:
    """What was found about one attack.

    Attributes
    ----------
    attack : Attack
        The attack, or `REFERENCE`.
    copies : list of Copy
        In the order of the clips.
    measures : dict
        `pair.MEASURES` and ``rtf`` (seconds of work a second of copy) -> estimate over clips.
    trivial : Trivial or None
        Equal error rate of the average spectrum.
    verdict : str
        See `summary.verdict`; empty for the reference and for an attack that made no copy.
    """

    attack: Attack
    copies: list[Copy]
    measures: dict[str, Estimate | None]
    trivial: Trivial | None
    verdict: str

    @property
    def failures(self) -> list[str]:
        """One line for each copy that could not be made."""
        return [
            f"{self.attack.name}: {copy.clip}: {copy.failure}"
            for copy in self.copies
            if copy.failure
        ]


def offers(clips: Sequence[Clip]) -> frozenset[str]:
    """Return what the clips can give an attack, of ``transcript`` and ``other`` (a speaker)."""
    found = set()
    if all(clip.transcript for clip in clips):
        found.add("transcript")
    if len({clip.speaker for clip in clips}) > 1:
        found.add("other")
    return frozenset(found)


def gather(
    clips: Sequence[Clip],
    attacks: Sequence[Attack],
    *,
    seed: int = 0,
    keep: Callable[[str, int, NDArray[np.float32]], None] = lambda *_: None,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> list[Findings]:
    """Copy every clip through every attack and measure what comes out.

    Parameters
    ----------
    clips : sequence of Clip
        The sources, at 16 kHz.
    attacks : sequence of Attack
        All able to run here and on these clips.
    seed : int
        Each copy has a generator of its own, from this, the attack and the clip.
    keep : callable
        Called with (attack's name, place of the clip, copy) for each copy made.
    progress : callable
        Called with (done, total, what).

    Returns
    -------
    list of Findings
        The resampling round trip first, then the attacks.
    """
    originals = [Original(clip.samples, SAMPLE_RATE) for clip in clips]
    spectra = [average_spectrum(clip.samples, clip.name) for clip in clips]
    total = (len(attacks) + 1) * len(clips)
    found: list[Findings] = []
    for attack in [REFERENCE, *attacks]:
        copies: list[Copy] = []
        pairs: list[tuple[FloatArray, FloatArray, Clip]] = []
        _warm_up(attack, clips, seed)
        for place, clip in enumerate(clips):
            settings: dict[str, Any] = {}
            try:
                rng = _generator(seed, attack, clip)
                settings = attack.draw(rng)
                source = _source(clips, place, rng)
                start = time.perf_counter()
                samples = attack.render(source, settings, rng)
                seconds = time.perf_counter() - start
                measures = originals[place].compare(samples) if attack.aligned else {}
                pairs.append((spectra[place], average_spectrum(samples, clip.name), clip))
            except LoradarError as error:
                copies.append(Copy(clip.name, clip.speaker, settings, failure=str(error)))
            else:
                measures[RTF] = seconds * SAMPLE_RATE / len(samples)
                copies.append(Copy(clip.name, clip.speaker, settings, measures))
                keep(attack.name, place, samples)
            progress(len(found) * len(clips) + place + 1, total, "copying and measuring")
        floor = found[0].measures["log_spectral_db"] if found else None
        found.append(_findings(attack, copies, pairs, floor, seed))
    return found


def copies_to_show(
    clips: Sequence[Clip], attacks: Sequence[Attack], *, seed: int = 0
) -> dict[tuple[str, int], NDArray[np.float32]]:
    """Copy the first of ``clips`` through `REFERENCE` and each attack, unmeasured.

    Attacks that need a transcript are left out where the clip has none; voice conversion takes
    another speaker of ``clips``.

    Returns
    -------
    dict
        (attack's name, 0) -> copy [T].
    """
    made = {}
    for attack in [REFERENCE, *attacks]:
        if attack.needs <= offers(clips):
            rng = _generator(seed, attack, clips[0])
            settings = attack.draw(rng)
            made[attack.name, 0] = attack.render(_source(clips, 0, rng), settings, rng)
    return made


def _findings(
    attack: Attack,
    copies: list[Copy],
    pairs: list[tuple[FloatArray, FloatArray, Clip]],
    floor: Estimate | None,
    seed: int,
) -> Findings:
    measures = {
        name: estimate([copy.measures.get(name) for copy in copies], seed=seed)
        for name in (*MEASURES, RTF)
    }
    trivial = None
    if pairs:
        trivial = trivial_eer(
            np.stack([source for source, _, _ in pairs]),
            np.stack([copy for _, copy, _ in pairs]),
            [clip.speaker for _, _, clip in pairs],
            [clip.name for _, _, clip in pairs],
        )
    said = ""
    if pairs and attack is not REFERENCE:
        spectral, cepstral = measures["log_spectral_db"], measures["mel_cepstral_db"]
        said = verdict(attack.kind, spectral, cepstral, trivial, floor)
    return Findings(attack, copies, measures, trivial, said)


def _generator(seed: int, attack: Attack, clip: Clip) -> np.random.Generator:
    return np.random.default_rng(
        [seed, *(zlib.crc32(n.encode()) for n in (attack.name, clip.name))]
    )


def _source(clips: Sequence[Clip], place: int, rng: np.random.Generator) -> Source:
    clip = clips[place]
    strangers = [other for other in clips if other.speaker != clip.speaker]
    other = strangers[int(rng.integers(len(strangers)))].samples if strangers else None
    return Source(clip.samples, SAMPLE_RATE, clip.transcript, other)


def _warm_up(attack: Attack, clips: Sequence[Clip], seed: int) -> None:
    """Make a short copy that nobody times: weights load, plans and caches fill."""
    rng = _generator(seed, attack, clips[0])
    short = Source(
        clips[0].samples[: round(WARM_UP_S * SAMPLE_RATE)],
        SAMPLE_RATE,
        clips[0].transcript,
        clips[-1].samples,
    )
    try:
        attack.render(short, attack.draw(rng), rng)
    except LoradarError:
        return  # the clips themselves will say so, one by one
