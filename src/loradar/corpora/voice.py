"""A physical voice model: glottal pulses and noise through a moving vocal tract.

Source and filter after Fant (1960) and Klatt and Klatt (1990): a polynomial glottal flow
derivative with a return phase, its periods and amplitudes unsteady (jitter, shimmer), breath
that follows the glottis, a cascade of resonances that walks between vowel targets, and hiss and
bursts of a second, front cavity. It babbles; it says no words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import ndimage, signal

Real = NDArray[np.float64]

SAMPLE_RATE = 16_000
HOP = 80  # 5 ms: how often the tract moves
_OVERSAMPLING = 3  # glottal closures are sharp; drawn at 16 kHz they would alias

# First three resonances of ten English vowels, hertz (Peterson and Barney 1952, men).
_VOWELS = np.array(
    [
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
        (490, 1350, 1690),
    ],
    float,
)
_UPPER = np.array([3500.0, 4500.0, 5500.0])
_BANDWIDTHS = np.array([70.0, 90.0, 140.0, 220.0, 350.0, 600.0])
# Front cavity of the hisses, from sh-like to f-like: centre and bandwidth, hertz.
_HISSES = ((2800.0, 900.0), (4200.0, 1200.0), (5800.0, 1500.0), (6500.0, 3500.0))


@dataclass(frozen=True)
class Speaker:
    """What stays the same from one utterance of a speaker to the next.

    Attributes
    ----------
    f0 : float
        Mean pitch, hertz.
    tract : float
        Length of the vocal tract relative to a man's: resonances are divided by it.
    jitter, shimmer : float
        Standard deviation of a period and of a pulse's amplitude, relative.
    open_quotient : float
        Share of the period in which the glottis is open.
    return_s : float
        Time constant of the closure, seconds: longer is softer.
    breath : float
        Level of aspiration beside the voice.
    pace : float
        Factor on every duration.
    melody : float
        Depth of pitch accents, relative.
    """

    f0: float
    tract: float
    jitter: float
    shimmer: float
    open_quotient: float
    return_s: float
    breath: float
    pace: float
    melody: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """Draw a speaker; a high voice goes with a short tract, loosely, as it does in people."""
    height = rng.uniform(0.0, 1.0)
    return Speaker(
        f0=float(95.0 * (2.25**height) * rng.uniform(0.92, 1.08)),
        tract=float(1.08 - 0.25 * height + rng.uniform(-0.04, 0.04)),
        jitter=float(rng.uniform(0.004, 0.014)),
        shimmer=float(rng.uniform(0.03, 0.09)),
        open_quotient=float(rng.uniform(0.5, 0.72)),
        return_s=float(rng.uniform(0.0002, 0.0006)),
        breath=float(rng.uniform(0.02, 0.09)),
        pace=float(rng.uniform(0.85, 1.25)),
        melody=float(rng.uniform(0.08, 0.22)),
    )


@dataclass
class _Score:
    """What an utterance does, every 5 ms: frames [N] of each control."""

    formants: Real  # [N, 6] hertz
    voice: Real
    breath: Real
    hiss: Real
    burst: Real
    cavity: Real  # [N, 2] centre and bandwidth of the hiss, hertz
    f0: Real


def speak(speaker: Speaker, seconds: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Utter random syllables.

    Parameters
    ----------
    speaker : Speaker
        The voice.
    seconds : float
        Length.
    rng : numpy.random.Generator
        Draws all that varies between utterances.

    Returns
    -------
    ndarray of float32, [T]
        16 kHz, dry, RMS 0.05 or so, faint room tone in the pauses.
    """
    length = round(seconds * SAMPLE_RATE)
    score = _compose(speaker, -(-length // HOP), rng)
    pulses, open_glottis = _glottis(speaker, score, rng)
    noise = rng.standard_normal(len(pulses))
    # Breath is loudest while air flows, hence modulated by the opening.
    breath = noise * (0.3 + open_glottis) * _per_sample(score.breath)
    throat = _tract(pulses * _per_sample(score.voice) + breath, score.formants)
    friction = _front_cavity(rng.standard_normal(len(pulses)), score.cavity)
    # Levels of hisses and bursts are relative to the mean vowel.
    vowels = _per_sample(score.voice) > 0.6
    level = float(np.sqrt(np.mean(throat[vowels] ** 2))) if vowels.any() else 1.0
    hiss = friction / np.std(friction) * _per_sample(score.hiss + score.burst) * level
    low_cut = signal.butter(2, 50, "highpass", fs=SAMPLE_RATE, output="sos")
    speech = signal.sosfilt(low_cut, throat + hiss)[:length]
    speech *= 0.05 / max(float(np.sqrt(np.mean(speech**2))), 1e-9)
    return (speech + 2e-5 * rng.standard_normal(length)).astype(np.float32)


def _compose(speaker: Speaker, frames: int, rng: np.random.Generator) -> _Score:
    """Draw syllables until ``frames`` are full, then let everything move smoothly."""
    scale = 1.0 / speaker.tract
    formants = np.zeros((frames, 6))
    voice, breath, hiss, burst, accent = np.zeros((5, frames))
    cavity = np.tile(np.array(_HISSES[2]), (frames, 1))
    upper = _UPPER * rng.uniform(0.97, 1.03, 3)

    def vowel() -> Real:
        target = _VOWELS[rng.integers(len(_VOWELS))] * rng.normal(1.0, 0.03, 3)
        return np.concatenate([target, upper]) * scale

    place = 0
    current = vowel()

    def hold(milliseconds: float) -> slice:
        """Take the next stretch of frames, the tract on its way to the current target."""
        nonlocal place
        count = max(1, round(milliseconds * speaker.pace / 5.0 * rng.uniform(0.8, 1.2)))
        stretch = slice(place, min(place + count, frames))
        formants[stretch] = current
        place = stretch.stop
        return stretch

    hold(rng.uniform(60, 160))
    while place < frames:
        current = vowel()
        onset = rng.choice(["hiss", "stop", "murmur", "none"], p=[0.28, 0.3, 0.27, 0.15])
        if onset == "hiss":
            part = hold(85)
            cavity[part] = _HISSES[rng.integers(len(_HISSES))]
            hiss[part] = rng.uniform(0.08, 0.35)
            voice[part] = rng.choice([0.0, 0.25], p=[0.7, 0.3])
        elif onset == "stop":
            voice[hold(60)] = rng.choice([0.0, 0.06])
            part = hold(10)
            cavity[part] = _HISSES[rng.integers(len(_HISSES))]
            burst[part] = rng.uniform(0.15, 0.6)
            breath[hold(rng.uniform(10, 50))] = 4.0 * speaker.breath
        elif onset == "murmur":
            part = hold(65)
            voice[part] = 0.45
            formants[part, 0] = 280.0 * scale
        part = hold(rng.uniform(80, 210))
        voice[part] = rng.uniform(0.7, 1.0)
        breath[part] = speaker.breath
        middle = (part.start + part.stop) / 2
        bump = np.exp(-0.5 * ((np.arange(frames) - middle) / 18.0) ** 2)
        accent += bump * rng.normal(0.0, speaker.melody)
        if rng.random() < 0.3:  # a glide: the vowel moves on to another
            current = vowel()
            voice[hold(90)] = 0.8
        if rng.random() < 0.12:
            hold(rng.uniform(140, 380))
    fall = 1.06 - 0.16 * np.arange(frames) / frames
    sway = ndimage.gaussian_filter1d(rng.standard_normal(frames), 25) * 0.12
    wander = ndimage.gaussian_filter1d(rng.standard_normal((frames, 6)), 12, axis=0) * 0.06
    return _Score(
        formants=np.minimum(ndimage.gaussian_filter1d(formants, 5, axis=0) * (1 + wander), 6800.0),
        voice=ndimage.gaussian_filter1d(voice, 1.8),
        breath=ndimage.gaussian_filter1d(breath, 1.5),
        hiss=ndimage.gaussian_filter1d(hiss, 2.2),
        burst=ndimage.gaussian_filter1d(burst, 0.5),
        cavity=ndimage.gaussian_filter1d(cavity, 1.5, axis=0),
        f0=np.clip(speaker.f0 * fall * np.exp(accent) * (1 + sway), 60.0, 420.0),
    )


def _glottis(speaker: Speaker, score: _Score, rng: np.random.Generator) -> tuple[Real, Real]:
    """Flow derivative and opening of the glottis, both [N * HOP], pulse by pulse."""
    rate = SAMPLE_RATE * _OVERSAMPLING
    length = len(score.f0) * HOP * _OVERSAMPLING
    flow, opening = np.zeros(length), np.zeros(length)
    start = float(rng.uniform(0.0, 100.0))
    while start < length:
        f0 = score.f0[min(int(start) // (HOP * _OVERSAMPLING), len(score.f0) - 1)]
        period = rate / f0 * max(0.7, 1.0 + speaker.jitter * rng.standard_normal())
        strength = max(0.2, 1.0 + speaker.shimmer * rng.standard_normal())
        opened = speaker.open_quotient * period * rng.uniform(0.97, 1.03)
        first = int(np.ceil(start))
        time = np.arange(first, min(int(np.ceil(start + period)), length)) - start
        share = np.minimum(time / opened, 1.0)
        # Klatt's polynomial: flow share^2 (1 - share), its derivative -1 at the closure.
        pulse = 2.0 * share - 3.0 * share**2
        closed = time > opened
        pulse[closed] = -np.exp(-(time[closed] - opened) / (speaker.return_s * rate))
        flow[first : first + len(time)] = strength * pulse
        opening[first : first + len(time)] = np.where(closed, 0.0, 6.75 * share**2 * (1 - share))
        start += period
    halved = [soxr.resample(track, rate, SAMPLE_RATE) for track in (flow, opening)]
    fitted = [np.resize(track, len(score.f0) * HOP) for track in halved]
    return fitted[0], np.maximum(fitted[1], 0.0)


def _tract(source: Real, formants: Real) -> Real:
    """Pass [N * HOP] through six resonances in cascade, moved every ``HOP`` samples."""
    sections = _resonators(formants, np.broadcast_to(_BANDWIDTHS, formants.shape))
    return _moving_filter(source, sections)


def _front_cavity(friction: Real, cavity: Real) -> Real:
    """Pass noise [N * HOP] through one resonance and the zero at 0 Hz that lips make."""
    sections = _resonators(cavity[:, :1], cavity[:, 1:])
    sections[:, :, 0] = 1.0 - np.exp(-np.pi * cavity[:, 1:] / SAMPLE_RATE)
    sections[:, :, 1] = -sections[:, :, 0]
    return _moving_filter(friction, sections)


def _resonators(centre: Real, width: Real) -> Real:
    """Second-order sections [N, K, 6] of unit gain at 0 Hz, from hertz [N, K]."""
    radius = np.exp(-np.pi * width / SAMPLE_RATE)
    first = -2.0 * radius * np.cos(2.0 * np.pi * centre / SAMPLE_RATE)
    sections = np.zeros((*centre.shape, 6))
    sections[..., 3], sections[..., 4], sections[..., 5] = 1.0, first, radius**2
    sections[..., 0] = 1.0 + first + radius**2
    return sections


def _moving_filter(x: Real, sections: Real) -> Real:
    """Filter [N * HOP] by sections [N, K, 6], one set a hop, the state carried over."""
    result = np.empty_like(x)
    state = np.zeros((sections.shape[1], 2))
    for number, sos in enumerate(sections):
        part = slice(number * HOP, (number + 1) * HOP)
        result[part], state = signal.sosfilt(sos, x[part], zi=state)
    return result


def _per_sample(track: Real) -> Real:
    """Interpolate [N] to [N * HOP]."""
    places = (np.arange(len(track) * HOP) + 0.5) / HOP - 0.5
    return np.interp(places, np.arange(len(track)), track)
