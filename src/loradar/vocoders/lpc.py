"""Linear-prediction vocoders: an all-pole vocal tract with a poor excitation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from loradar.vocoders.analysis import (
    Real,
    Samples,
    centred,
    fill_pitch,
    frames_of,
    like,
    linear_prediction,
    pulse_train,
    reshape_pitch,
    spread,
    track_pitch,
)

_STABLE = 0.9999  # the largest reflection


def lpc_pulse(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    order: int = 18,
    frame: float = 0.01,
    bits: int | None = None,
    voiced_hz: float | None = None,
    dispersion: float = 0.0,
    pitch_smooth: float = 0.0,
    expression: float = 1.0,
) -> Samples:
    """Drive the prediction filter by pulses where voiced and by noise elsewhere (LPC-10).

    With ``voiced_hz`` and ``dispersion`` it has the mixed excitation of McCree and Barnwell's MELP
    (1995): noise above a limit, and pulses that last.

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
    frame : float
        Seconds between analyses; filters are interpolated to 5 ms.
    bits : int, optional
        Of each log-area ratio (Viswanathan and Makhoul 1975) and of the gain; not quantised when
        not given.
    voiced_hz : float, optional
        Voiced frames are pulses below and noise above; pulses alone when not given.
    dispersion : float
        Seconds that an all-pass sweep lasts which stands for each pulse.
    pitch_smooth, expression : float
        See `reshape_pitch`; frames.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    hop = max(1, int(frame * sample_rate))
    polynomial, gain = _analyse(x, sample_rate, hop, order)
    if bits is not None:
        gain = _coarse_gain(gain, bits)
    f0 = track_pitch(x, sample_rate, hop)
    pitch = fill_pitch(reshape_pitch(f0, smooth=pitch_smooth, expression=expression))
    pulses = pulse_train(spread(pitch, hop, len(x)), sample_rate)
    voiced = spread((f0 > 0).astype(np.float64), hop, len(x)) > 0.5
    noise = rng.standard_normal(len(x))
    pulses = _disperse(pulses, dispersion, sample_rate)
    if voiced_hz is not None:
        pulses = _split(pulses, voiced_hz, sample_rate, low=True)
        pulses += _split(noise, voiced_hz, sample_rate, low=False)
    driven = np.where(voiced, pulses, noise) * spread(gain, hop, len(x))
    fine, step = _interpolate(polynomial, hop, len(x), sample_rate, bits)
    return like(_filter_frames(driven, fine, step, inverse=False), samples)


def lpc_quantised(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    order: int = 16,
    bits: int = 2,
    frame: float = 0.01,
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
        Poles; bits a sample of the residual, whose scale is renewed every frame.
    frame : float
        Seconds between analyses.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    hop = max(1, int(frame * sample_rate))
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
    """Prediction polynomials [N, order + 1] and gains [N] of 25 ms windows or longer."""
    size = max(int(0.025 * sample_rate), int(1.5 * hop), order + 2)
    window = signal.get_window("hamming", size)
    polynomial, gain = linear_prediction(frames_of(x, size, hop) * window, order)
    return polynomial, gain / np.sqrt(np.mean(window**2))


def _disperse(pulses: Real, seconds: float, sample_rate: int) -> Real:
    """Replace pulses [T] by sweeps of flat spectrum that last ``seconds``, centred on them."""
    size = fft.next_fast_len(len(pulses) + int(seconds * sample_rate) + 1, real=True)
    place = np.linspace(0.0, 1.0, size // 2 + 1)
    # Group delay from -seconds / 2 at 0 Hz to +seconds / 2 at half the sample rate.
    turns = 0.25 * seconds * sample_rate * (place**2 - place)
    response = np.exp(-2j * np.pi * turns)
    dispersed: Real = fft.irfft(fft.rfft(pulses, size) * response, size)[: len(pulses)]
    return dispersed


def _split(x: Real, limit: float, sample_rate: int, *, low: bool) -> Real:
    """Keep what lies below (``low``) or above a limit, in power; the two add up to all."""
    size = fft.next_fast_len(len(x) + sample_rate // 50, real=True)
    bins = np.linspace(0.0, sample_rate / 2, size // 2 + 1)
    share = 1.0 / (1.0 + (bins / limit) ** 6)
    weight = np.sqrt(share if low else 1.0 - share)
    kept: Real = fft.irfft(fft.rfft(x, size) * weight, size)[: len(x)]
    return kept


def _coarse_gain(gain: Real, bits: int) -> Real:
    """Round gains [N] in decibels to 2^bits steps over 60 dB below the largest."""
    top = float(gain.max(initial=1e-9))
    step = 60.0 / 2**bits
    decibels = 20.0 * np.log10(np.maximum(gain / top, 1e-3))
    return np.where(gain > 1e-3 * top, top * 10 ** (np.round(decibels / step) * step / 20), gain)


def _interpolate(
    polynomial: Real, hop: int, length: int, sample_rate: int, bits: int | None
) -> tuple[Real, int]:
    """Interpolate filters by their log-area ratios, perhaps quantised; return the new hop too."""
    areas = np.arctanh(np.clip(reflections(polynomial), -_STABLE, _STABLE))
    if bits is not None:
        step = 6.0 / 2**bits
        areas = np.clip((np.floor(areas / step) + 0.5) * step, -3.0, 3.0)
    fine = min(hop, max(1, int(0.005 * sample_rate)))
    # Each filter is the one at the middle of its stretch.
    places = np.minimum((np.arange(0, length + fine, fine) + fine / 2) / hop, len(areas) - 1)
    low = np.minimum(places.astype(int), max(len(areas) - 2, 0))
    share = (places - low)[:, None]
    between = (1 - share) * areas[low] + share * areas[np.minimum(low + 1, len(areas) - 1)]
    return from_reflections(np.tanh(between)), fine


def reflections(polynomial: Real) -> Real:
    """Return reflection coefficients [N, p] of prediction polynomials [N, p + 1]."""
    taps = polynomial.copy()
    order = taps.shape[1] - 1
    result = np.empty((len(taps), order))
    for step in range(order, 0, -1):
        k = taps[:, step].copy()
        result[:, step - 1] = k
        rest = taps[:, 1:step]
        lower = np.maximum(1.0 - k**2, 1e-12)[:, None]
        taps[:, 1:step] = (rest - k[:, None] * rest[:, ::-1]) / lower
    return result


def from_reflections(k: Real) -> Real:
    """Return prediction polynomials [N, p + 1] of reflection coefficients [N, p]."""
    count, order = k.shape
    taps = np.zeros((count, order + 1))
    taps[:, 0] = 1.0
    for step in range(1, order + 1):
        backward = taps[:, step - 1 :: -1] if step > 1 else taps[:, :1]
        taps[:, 1 : step + 1] += k[:, step - 1 : step] * backward[:, :step]
    return taps


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
