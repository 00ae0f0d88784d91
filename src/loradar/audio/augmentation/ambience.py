"""Synthesised surroundings, for those who have no recordings of them: music, voices, hum."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic import Field
from scipy import signal

from loradar.audio.augmentation.channels import coloured_noise
from loradar.audio.augmentation.effects import Effect, Range, Samples, rms

Real = NDArray[np.float64]
Kind = Literal["music", "babble", "hum"]
_CHORDS = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (2, 5, 9), (0, 4, 9))  # semitones above the root
_VOICES = 6
_TALK_RATE = 8_000  # babble has nothing of note above 4 kHz


class Ambience(Effect):
    """Music, distant voices or mains hum under the clip, at a ratio drawn from ``snr_db``.

    Made anew each time: ``music`` is broken chords of decaying tones, ``babble`` six voices of
    gliding pulses through wandering resonances (nobody's words, and no machine's either), ``hum``
    the harmonics of 50 or 60 Hz with a little hiss. Recordings are better: see `Background`.
    """

    effect_name: ClassVar[str] = "ambience"

    snr_db: Range = (5.0, 25.0)
    kinds: tuple[Kind, ...] = Field(("music", "babble", "hum"), min_length=1)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with the surroundings added."""
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        snr_db = rng.uniform(*self.snr_db)
        sound = _MAKERS[kind](len(samples), sample_rate, rng)
        loudness = rms(sound)
        if loudness == 0:
            return samples.copy()
        level = rms(samples) * 10.0 ** (-snr_db / 20.0) / loudness
        return samples + np.float32(level) * sound.astype(np.float32)


def music(length: int, sample_rate: int, rng: np.random.Generator) -> Real:
    """Return broken chords [length]: a note each half beat, a new chord each two beats."""
    step = max(1, round(sample_rate * rng.uniform(0.15, 0.35)))
    root = rng.uniform(110.0, 330.0)
    slope, decay_s = rng.uniform(0.8, 2.0), rng.uniform(0.2, 0.8)
    # Notes begin before the clip does, so that it opens in the middle of a piece.
    count = 8 + -(-length // step)
    reach = round(2 * decay_s * sample_rate)
    time = np.arange(reach) / sample_rate
    envelope = np.exp(-time / (decay_s / 2)) * np.minimum(1.0, time / 0.005)
    sound = np.zeros(length + 8 * step + reach)
    notes: dict[float, Real] = {}
    chord: tuple[int, ...] = _CHORDS[0]
    for index in range(count):
        if index % 4 == 0:
            chord = _CHORDS[int(rng.integers(len(_CHORDS)))]
        pitch = root * 2.0 ** ((chord[int(rng.integers(3))] + 12 * int(rng.integers(2))) / 12)
        if pitch not in notes:
            orders = np.arange(1, 9)
            orders = orders[orders * pitch < 0.45 * sample_rate]
            waves = np.sin(2 * np.pi * pitch * orders[:, None] * time)
            notes[pitch] = envelope * (orders**-slope @ waves)
        start = index * step
        part = sound[start : start + reach]
        part += rng.uniform(0.4, 1.0) * notes[pitch][: len(part)]
    return sound[8 * step : 8 * step + length]


def babble(length: int, sample_rate: int, rng: np.random.Generator) -> Real:
    """Return several voices at once [length], as from the next table."""
    count = -(-length * _TALK_RATE // sample_rate) + _TALK_RATE // 10
    seconds = count / _TALK_RATE
    at = np.arange(count) / _TALK_RATE
    talk = np.zeros(count)
    for _ in range(_VOICES):
        syllables = max(3, round(seconds * rng.uniform(3.0, 6.0)))
        knots = np.linspace(0.0, seconds, syllables)
        pitch = np.interp(at, knots, rng.uniform(85.0, 255.0) * rng.uniform(0.85, 1.2, syllables))
        loudness = np.interp(at, knots, rng.uniform(0.0, 1.0, syllables) ** 2)
        breath = 0.1 * rng.standard_normal(count)
        source = (np.diff(np.floor(np.cumsum(pitch) / _TALK_RATE), prepend=0.0) + breath) * loudness
        # Resonances move from syllable to syllable: short stretches, each through its own.
        voice = np.zeros(count)
        for low, high, width in (
            (250.0, 800.0, 90.0),
            (900.0, 2300.0, 130.0),
            (2300.0, 3300.0, 200.0),
        ):
            voice += _moving_resonance(source, rng.uniform(low, high, syllables), width)
        talk += voice
    heard: Real = np.resize(soxr.resample(talk, _TALK_RATE, sample_rate), length)
    return heard


def hum(length: int, sample_rate: int, rng: np.random.Generator) -> Real:
    """Return mains hum [length]: harmonics of 50 or 60 Hz, odd ones stronger, and hiss."""
    mains = (50.0, 60.0)[int(rng.integers(2))] * rng.uniform(0.998, 1.002)
    orders = np.arange(1, 25)
    orders = orders[orders * mains < 0.45 * sample_rate]
    levels = rng.uniform(0.2, 1.0, len(orders)) / orders ** rng.uniform(0.3, 1.0)
    levels[1::2] *= 0.4
    phases = rng.uniform(0.0, 2 * np.pi, len(orders))
    turn = 2 * np.pi * mains * np.arange(length) / sample_rate
    # By harmonics of one rotation: sines of 24 frequencies would take ten times as long.
    rotation, tone = np.exp(1j * turn), np.zeros(length)
    power = np.ones(length, np.complex128)
    for level, phase in zip(levels, phases, strict=True):
        power = power * rotation
        tone += level * (power * np.exp(1j * phase)).imag
    hiss = coloured_noise(length, -0.5, rng)
    ratio_db = rng.uniform(5.0, 25.0)
    return np.asarray(tone + rms(tone) * 10.0 ** (-ratio_db / 20.0) * hiss, np.float64)


def _moving_resonance(source: Real, centres: Real, width: float) -> Real:
    """Filter ``source`` [T] through a resonance that jumps between ``centres``, without clicks."""
    radius = np.exp(-np.pi * width / _TALK_RATE)
    edges = np.linspace(0, len(source), len(centres) + 1).astype(int)
    state, parts = np.zeros(2), []
    for centre, start, end in zip(centres, edges[:-1], edges[1:], strict=True):
        angle = 2 * np.pi * centre / _TALK_RATE
        taps = [1.0, -2.0 * radius * np.cos(angle), radius**2]
        part, state = signal.lfilter([1.0 - radius], taps, source[start:end], zi=state)
        parts.append(part)
    return np.concatenate(parts)


_MAKERS = {"music": music, "babble": babble, "hum": hum}
