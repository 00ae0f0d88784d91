"""Linear-prediction vocoders: an all-pole vocal tract with a poor excitation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from loradar.vocoders.analysis import (
    Real,
    Samples,
    centred,
    fill_pitch,
    frames_of,
    like,
    linear_prediction,
    pulse_train,
    spread,
    track_pitch,
)


def lpc_pulse(
    samples: NDArray[Any], sample_rate: int, rng: np.random.Generator, *, order: int = 18
) -> Samples:
    """Drive the prediction filter by pulses where voiced and by noise elsewhere (LPC-10).

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the noise.
    order : int
        Poles.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    hop = max(1, int(0.01 * sample_rate))
    polynomial, gain = _analyse(x, sample_rate, hop, order)
    f0 = track_pitch(x, sample_rate, hop)
    pulses = pulse_train(spread(fill_pitch(f0), hop, len(x)), sample_rate)
    voiced = spread((f0 > 0).astype(np.float64), hop, len(x)) > 0.5
    excitation = np.where(voiced, pulses, rng.standard_normal(len(x)))
    driven = excitation * spread(gain, hop, len(x))
    return like(_filter_frames(driven, polynomial, hop, inverse=False), samples)


def lpc_quantised(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    order: int = 16,
    bits: int = 2,
) -> Samples:
    """Quantise the prediction residual to ``bits`` a sample, with dither, and filter it back.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the dither.
    order, bits : int
        Poles; bits a sample of the residual, whose scale is renewed every 10 ms.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    hop = max(1, int(0.01 * sample_rate))
    polynomial, gain = _analyse(x, sample_rate, hop, order)
    residual = _filter_frames(x, polynomial, hop, inverse=True)
    # Levels span 2.5 standard deviations to either side.
    step = np.maximum(spread(gain, hop, len(x)), 1e-9) * 5.0 / 2**bits
    dither = rng.uniform(-0.25, 0.25, len(x))
    level = np.floor(residual / step + dither) + 0.5
    bound = 2 ** (bits - 1) - 0.5
    coded = np.clip(level, -bound, bound) * step
    return like(_filter_frames(coded, polynomial, hop, inverse=False), samples)


def _analyse(x: Real, sample_rate: int, hop: int, order: int) -> tuple[Real, Real]:
    """Prediction polynomials [N, order + 1] and gains [N] of 25 ms frames."""
    size = max(int(0.025 * sample_rate), order + 2)
    window = signal.get_window("hamming", size)
    polynomial, gain = linear_prediction(frames_of(x, size, hop) * window, order)
    return polynomial, gain / np.sqrt(np.mean(window**2))


def _filter_frames(x: Real, polynomial: Real, hop: int, *, inverse: bool) -> Real:
    """Filter [T] by A(z) (``inverse``) or 1 / A(z), renewed every ``hop`` samples."""
    result = np.empty_like(x)
    state = np.zeros(polynomial.shape[1] - 1)
    for number, start in enumerate(range(0, len(x), hop)):
        taps = polynomial[number]
        one = np.ones(1)
        numerator, denominator = (taps, one) if inverse else (one, taps)
        part, state = signal.lfilter(numerator, denominator, x[start : start + hop], zi=state)
        result[start : start + hop] = part
    return result
