"""Clips joined to recordings, and stretches spliced into them, as an editor would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loradar.audio.reading import SAMPLE_RATE

Samples = NDArray[np.float32]
How = Literal["hard", "crossfade", "pause"]
SPLICES: tuple[How, ...] = ("hard", "crossfade", "pause")

LEVEL = 0.05  # RMS, -26 dB of full scale
CROSSFADE_S, PAUSE_S, JOINT_S = 0.05, 0.5, 0.005
_FRAME = SAMPLE_RATE // 20
_SEARCHED_S = 0.5  # how far from the place asked for a quiet one is looked for


def levelled(samples: Samples, level: float = LEVEL) -> Samples:
    """Scale a clip to an RMS, or as near to it as it can come without clipping.

    Examples
    --------
    >>> bool(np.isclose(levelled(np.array([0.5, -0.5], "f4")), [0.05, -0.05]).all())
    True
    """
    rms, peak = float(np.sqrt(np.mean(samples**2))), float(np.abs(samples).max(initial=0.0))
    if rms == 0:
        return samples
    return (samples * min(level / rms, 0.99 / peak)).astype(np.float32)


def faded(samples: Samples, *, start: bool = True, end: bool = True) -> Samples:
    """Fade a clip in and out over 5 ms, so that it joins others without a click."""
    made, size = samples.copy(), min(round(JOINT_S * SAMPLE_RATE), len(samples) // 2)
    ramp = np.linspace(0.0, 1.0, size, dtype=np.float32)
    if start:
        made[:size] *= ramp
    if end:
        made[len(made) - size :] *= ramp[::-1]
    return made


def joined(clips: Sequence[Samples]) -> Samples:
    """Put clips one behind the other, each `faded`."""
    return np.concatenate([faded(c) for c in clips]) if clips else np.zeros(0, np.float32)


def loudest(samples: Samples, seconds: float) -> Samples:
    """Return the stretch of ``seconds`` with the most energy; all of a shorter clip."""
    size = round(seconds * SAMPLE_RATE)
    if size >= len(samples):
        return samples
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[size:] - energy[:-size]))
    return samples[start : start + size]


def floor_noise(like: Samples, length: int, rng: np.random.Generator) -> Samples:
    """Make noise as loud as the quietest tenth of a recording's 50 ms."""
    frames = like[: len(like) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt((frames**2).mean(axis=1)) if len(frames) else np.zeros(1)
    quiet = float(np.quantile(levels, 0.1))
    return (quiet * rng.standard_normal(length)).astype(np.float32)


def splice(
    background: Samples, stretch: Samples, at: int, how: How, rng: np.random.Generator
) -> tuple[Samples, int, int]:
    """Insert a stretch into a recording, where it is quiet.

    Parameters
    ----------
    background, stretch : ndarray of float32, [T], [S]
        16 kHz mono.
    at : int
        Sample of the background; the quietest 50 ms within 0.5 s of it are cut.
    how : {"hard", "crossfade", "pause"}
        Nothing between; both ends crossfaded over 50 ms (equal power); 0.5 s of noise as quiet as
        the background's quiet parts before and after.
    rng : numpy.random.Generator
        For that noise.

    Returns
    -------
    (ndarray of float32, int, int)
        The recording, and where in it the stretch begins and ends (middle of a crossfade).
    """
    at = quiet_place(background, at)
    before, after = background[:at], background[at:]
    if how == "crossfade":
        fade = min(round(CROSSFADE_S * SAMPLE_RATE), len(stretch) // 2, len(before), len(after))
        made = _crossfaded(_crossfaded(before, stretch, fade), after, fade)
        return made, at - fade // 2, at - fade + len(stretch) - fade // 2
    gap = round(PAUSE_S * SAMPLE_RATE) if how == "pause" else 0
    gaps = [floor_noise(background, gap, rng) for _ in range(2)]
    made = np.concatenate([before, gaps[0], stretch, gaps[1], after])
    return made, at + gap, at + gap + len(stretch)


def quiet_place(samples: Samples, at: int) -> int:
    """Return the middle of the quietest 50 ms within 0.5 s of a sample."""
    reach = round(_SEARCHED_S * SAMPLE_RATE)
    low, high = max(0, at - reach), min(len(samples), at + reach)
    count = (high - low) // _FRAME
    if count < 1:
        return at
    power = (samples[low : low + count * _FRAME].reshape(count, _FRAME) ** 2).mean(axis=1)
    return low + int(np.argmin(power)) * _FRAME + _FRAME // 2


def _crossfaded(left: Samples, right: Samples, fade: int) -> Samples:
    angle = np.linspace(0.0, np.pi / 2, fade, dtype=np.float32)
    both = left[len(left) - fade :] * np.cos(angle) + right[:fade] * np.sin(angle)
    return np.concatenate([left[: len(left) - fade], both, right[fade:]])
