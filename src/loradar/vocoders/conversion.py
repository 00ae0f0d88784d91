"""Voice conversion: speech given another speaker's pitch and timbre, its timing kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import logsumexp

from loradar.vocoders.analysis import Real, Samples, cepstral_envelope, like
from loradar.vocoders.world import Parameters, analyse, coarsen, synthesise

_PERIOD = 10.0  # milliseconds
_OTHER_SECONDS = 8.0  # of the other speaker, enough for statistics
_VOICED = 20  # frames that statistics of pitch need
_LOUD = 6.9  # nepers of power below the loudest frame: 30 dB
_GAIN = 3.5  # nepers of power, the most that an average envelope may change: 15 dB
_WARPS = np.linspace(0.82, 1.22, 21)


def voice_statistics(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    other: NDArray[Any],
    warp: float | None = None,
    average: float = 1.0,
    expression: float = 1.0,
    dimensions: int | None = None,
) -> Samples:
    """Map pitch, formants and average envelope to another speaker's statistics.

    The logarithm of the pitch takes the other's mean and standard deviation; the envelope is
    stretched in frequency (vocal tract length) and its long-term average moved to the other's.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Not used: WORLD's noise is always the same.
    other : ndarray, [T2]
        Speech of another speaker.
    warp : float, optional
        Factor of all formants; estimated from the average envelopes when not given.
    average : float
        How far the average envelope moves, 0 to 1.
    expression : float
        Factor of the deviations of the mapped log pitch from its mean.
    dimensions : int, optional
        Numbers a frame that are kept of the envelope; see `loradar.vocoders.world.coarsen`.

    Returns
    -------
    ndarray of float32, [T]
    """
    speech, target = _analyse_both(samples, other, sample_rate)
    aim = _average(target)
    factor = warp if warp is not None else _estimate_warp(_average(speech), aim)
    moved = replace(speech, log_power=_stretch(speech.log_power, factor))
    change = np.clip(cepstral_envelope((aim - _average(moved))[None], 30), -_GAIN, _GAIN)
    moved = replace(
        moved,
        f0=_map_pitch(speech.f0, target.f0, expression),
        log_power=moved.log_power + average * change,
        aperiodicity=np.clip(_stretch(speech.aperiodicity, factor), 0.0, 1.0),
    )
    moved = coarsen(moved, sample_rate, dimensions, "measured")
    return like(synthesise(moved, sample_rate), samples)


def voice_exemplars(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    other: NDArray[Any],
    neighbours: int = 4,
    context: int = 2,
    smooth: float = 1.0,
    expression: float = 1.0,
) -> Samples:
    """Replace each frame's envelope by the most alike ones of another speaker.

    Frame selection, as in attack S1 of ASVspoof 2015 (Wu et al. 2015); likeness is measured on
    cepstra with each speaker's own mean and deviation taken out.

    Parameters
    ----------
    samples, sample_rate, rng, other, expression
        As for `voice_statistics`.
    neighbours : int
        Frames of the other speaker averaged for one.
    context : int
        Frames to either side that must be alike too.
    smooth : float
        Standard deviation of a Gaussian over the chosen envelopes, in frames of 10 ms.

    Returns
    -------
    ndarray of float32, [T]
    """
    speech, target = _analyse_both(samples, other, sample_rate)
    tree = cKDTree(_context(_cepstra(target), context))
    neighbours = min(neighbours, len(target.f0))
    _, chosen = tree.query(_context(_cepstra(speech), context), k=neighbours)
    rows = np.asarray(chosen).reshape(len(speech.f0), neighbours)
    picked = target.log_power[rows].mean(axis=1)
    if smooth > 0:
        picked = ndimage.gaussian_filter1d(picked, smooth, axis=0, mode="nearest")
    # The energy stays the source's, so that the copy runs in time with it.
    loudness = logsumexp(speech.log_power, axis=1) - logsumexp(picked, axis=1)
    made = replace(
        speech,
        f0=_map_pitch(speech.f0, target.f0, expression),
        log_power=picked + loudness[:, None],
    )
    return like(synthesise(made, sample_rate), samples)


def _analyse_both(
    samples: NDArray[Any], other: NDArray[Any], sample_rate: int
) -> tuple[Parameters, Parameters]:
    kept = other[: int(_OTHER_SECONDS * sample_rate)]
    return (
        analyse(samples, sample_rate, _PERIOD),
        analyse(kept, sample_rate, _PERIOD, noise=False),
    )


def _loud(parameters: Parameters) -> NDArray[np.bool_]:
    """Frames [N] that hold speech."""
    level = parameters.log_power.max(axis=1)
    mask: NDArray[np.bool_] = level > level.max() - _LOUD
    return mask


def _average(parameters: Parameters) -> Real:
    """Mean log power envelope [bins] of speech frames, about its own mean."""
    mean: Real = parameters.log_power[_loud(parameters)].mean(axis=0)
    return np.asarray(mean - mean.mean())


def _stretch(rows: Real, factor: float) -> Real:
    """Move what lies at frequency f to ``factor`` f, in rows [N, bins]."""
    bins = rows.shape[-1]
    places = np.minimum(np.arange(bins) / factor, bins - 1)
    low = np.minimum(places.astype(int), bins - 2)
    share = places - low
    moved: Real = (1.0 - share) * rows[..., low] + share * rows[..., low + 1]
    return moved


def _estimate_warp(average: Real, aim: Real) -> float:
    """Find the factor that brings one average envelope nearest to another, slopes aside."""
    place = np.linspace(-1.0, 1.0, len(aim))

    def shape(rows: Real) -> Real:
        smooth = cepstral_envelope(rows[None], 40)[0]
        return np.asarray(smooth - np.polyval(np.polyfit(place, smooth, 2), place))

    goal = shape(aim)
    costs = [float(np.mean((shape(_stretch(average, f)) - goal) ** 2)) for f in _WARPS]
    return float(_WARPS[int(np.argmin(costs))])


def _map_pitch(f0: Real, target: Real, expression: float) -> Real:
    """Give log pitch the target's mean and, within a factor of two, its deviation."""
    own, other = np.log(f0[f0 > 0]), np.log(target[target > 0])
    if min(len(own), len(other)) < _VOICED:
        return f0
    ratio = float(np.clip(other.std() / max(own.std(), 1e-3), 0.5, 2.0)) * expression
    log_f0 = np.log(np.where(f0 > 0, f0, 1.0))
    mapped = np.exp((log_f0 - own.mean()) * ratio + other.mean())
    return np.where(f0 > 0, np.clip(mapped, 50.0, 700.0), 0.0)


def _cepstra(parameters: Parameters) -> Real:
    """Cepstra 1 to 20 [N, 20] in units of the speaker's own spread, and voicing as one more."""
    cepstrum = np.fft.irfft(parameters.log_power)[:, 1:21]
    loud = _loud(parameters)
    unit = (cepstrum - cepstrum[loud].mean(axis=0)) / (cepstrum[loud].std(axis=0) + 1e-6)
    # Low cepstra carry the formants; a voiced frame wants a voiced one.
    weights = 1.0 / np.sqrt(1.0 + np.arange(20) / 4.0)
    return np.column_stack([unit * weights, 3.0 * (parameters.f0 > 0)])


def _context(rows: Real, reach: int) -> Real:
    """Join each row [N, D] with its neighbours: [N, (2 reach + 1) D]."""
    padded = np.pad(rows, ((reach, reach), (0, 0)), mode="edge")
    return np.hstack([padded[i : i + len(rows)] for i in range(2 * reach + 1)])
