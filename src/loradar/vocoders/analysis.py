"""What the classical vocoders share: short-time spectra, pitch, linear prediction, envelopes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage, signal

Samples = NDArray[np.float32]
Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

F0_RANGE = (60.0, 400.0)
_VOICED = 0.5  # least normalised autocorrelation of a voiced frame


def power_of_two(seconds: float, sample_rate: int) -> int:
    """Return the power of two nearest to a duration in samples, at least 16."""
    return 1 << max(4, round(math.log2(max(seconds * sample_rate, 1.0))))


def frames_of(x: NDArray[Any], size: int, hop: int) -> Real:
    """Cut [T] into frames [N, size] centred at 0, hop, 2 hop, ...; zeros beyond the ends.

    Single precision stays single, here and in the functions below.
    """
    count = -(-len(x) // hop) + 1
    padded = np.zeros((count - 1) * hop + size, _precision(x))
    padded[size // 2 : size // 2 + len(x)] = x
    return sliding_window_view(padded, size)[::hop]


def _precision(x: NDArray[Any]) -> type[np.floating[Any]]:
    return np.float32 if x.dtype in (np.float32, np.complex64) else np.float64


def overlap_add(frames: Real, hop: int, length: int, origin: int | None = None) -> Real:
    """Sum frames [N, size] into [length]; ``hop`` divides ``size``.

    Frame n has its sample ``origin`` (the middle one when not given) at n hop.
    """
    count, size = frames.shape
    first = size // 2 if origin is None else origin
    parts = frames.reshape(count, size // hop, hop)
    total = np.zeros((count + size // hop - 1, hop), frames.dtype)
    for place in range(size // hop):
        total[place : place + count] += parts[:, place]
    return total.reshape(-1)[first : first + length]


def stft(x: NDArray[Any], size: int, hop: int) -> Complex:
    """Return the short-time spectrum [N, size // 2 + 1], Hann window."""
    window = signal.get_window("hann", size).astype(_precision(x))
    spectrum: Complex = fft.rfft(frames_of(x, size, hop) * window)
    return spectrum


def istft(spectrum: NDArray[Any], size: int, hop: int, length: int) -> Real:
    """Return the least-squares inverse [length] of `stft` (Griffin and Lim 1984, eq. 6)."""
    window = signal.get_window("hann", size).astype(_precision(spectrum))
    x = overlap_add(fft.irfft(spectrum, size) * window, hop, length)
    weight = overlap_add(np.broadcast_to(window**2, (len(spectrum), size)), hop, length)
    x /= np.maximum(weight, np.float32(1e-3))
    return x


def track_pitch(x: NDArray[Any], sample_rate: int, hop: int) -> Real:
    """Estimate the fundamental frequency by normalised autocorrelation.

    Parameters
    ----------
    x : ndarray, [T]
        Speech.
    sample_rate, hop : int
        Hertz; samples between frames centred at 0, hop, 2 hop, ...

    Returns
    -------
    ndarray of float64, [N]
        Hertz; 0 where a frame is not voiced.
    """
    size = int(0.04 * sample_rate)
    frames = frames_of(x, size, hop)
    frames = frames - frames.mean(axis=1, keepdims=True)
    longest = min(int(sample_rate / F0_RANGE[0]), size - 2)
    shortest = max(int(sample_rate / F0_RANGE[1]), 2)
    width = fft.next_fast_len(size + longest + 2, real=True)
    window = signal.get_window("hann", size)

    def correlate(rows: Real) -> Real:
        product: Real = fft.irfft(np.abs(fft.rfft(rows, width)) ** 2, width)
        return product[:, : longest + 2]

    own = correlate(frames * window)
    # Divided by the window's own autocorrelation, so that long lags are not at a loss (Boersma).
    shape = correlate(window[None])[0]
    level = own[:, :1]
    score = own / np.maximum(level, 1e-12) * (shape[0] / np.maximum(shape, 1e-3 * shape[0]))
    inner = score[:, shortest : longest + 1]
    peaks = (inner >= score[:, shortest - 1 : longest]) & (inner > score[:, shortest + 1 :])
    height = np.where(peaks, inner, 0.0)
    best = height.max(axis=1, keepdims=True)
    # The shortest lag that is nearly as good: the period, not a multiple of it.
    lag = shortest + np.argmax(peaks & (height >= 0.9 * best), axis=1)
    loud = level[:, 0] > 1e-4 * level.max(initial=0.0)
    voiced = (best[:, 0] > _VOICED) & loud
    # A parabola through the peak finds the period between samples.
    rows = np.arange(len(score))
    before, at, after = score[rows, lag - 1], score[rows, lag], score[rows, lag + 1]
    bend = np.minimum(before - 2.0 * at + after, -1e-9)
    period = lag + np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    f0 = np.where(voiced, sample_rate / period, 0.0)
    return np.asarray(signal.medfilt(f0, 5) if len(f0) >= 5 else f0, np.float64)


def reshape_pitch(f0: Real, *, smooth: float = 0.0, expression: float = 1.0) -> Real:
    """Smooth and flatten a melody, as synthesisers with a poor one do.

    Parameters
    ----------
    f0 : ndarray of float64, [N]
        Hertz; 0 where not voiced.
    smooth : float
        Standard deviation of a Gaussian over the logarithm of the pitch, in frames.
    expression : float
        Factor of the logarithm's deviations from its mean: 1 leaves them, 0 speaks in monotone.

    Returns
    -------
    ndarray of float64, [N]
        Voiced where ``f0`` is.
    """
    if not (f0 > 0).any() or (smooth == 0.0 and expression == 1.0):
        return f0
    track = np.log(fill_pitch(f0))
    if smooth > 0:
        track = ndimage.gaussian_filter1d(track, smooth, mode="nearest")
    mean = track[f0 > 0].mean()
    return np.where(f0 > 0, np.exp(mean + expression * (track - mean)), 0.0)


def fill_pitch(f0: Real, default: float = 120.0) -> Real:
    """Draw straight lines over the gaps of a pitch track; constant beyond its ends."""
    voiced = np.flatnonzero(f0)
    if not len(voiced):
        return np.full(len(f0), default)
    return np.interp(np.arange(len(f0)), voiced, f0[voiced])


def spread(track: Real, hop: int, length: int) -> Real:
    """Interpolate frame values [N] to samples [length]."""
    return np.interp(np.arange(length), np.arange(len(track)) * hop, track)


def linear_prediction(frames: Real, order: int) -> tuple[Real, Real]:
    """Solve for all frames the prediction polynomial by Levinson and Durbin's recursion.

    Parameters
    ----------
    frames : ndarray of float64, [N, size]
        Windowed frames.
    order : int
        Coefficients.

    Returns
    -------
    polynomial : ndarray of float64, [N, order + 1]
        1, a_1, ..., a_p of the whitening filter A(z); its inverse is stable.
    gain : ndarray of float64, [N]
        RMS of the prediction error.
    """
    count, size = frames.shape
    width = fft.next_fast_len(size + order + 1, real=True)
    r = fft.irfft(np.abs(fft.rfft(frames, width)) ** 2, width)[:, : order + 1] / size
    # A noise floor 50 dB down and a little lag windowing keep the recursion well conditioned.
    r = r * np.exp(-0.5 * (0.01 * np.arange(order + 1)) ** 2)
    r[:, 0] = r[:, 0] * (1.0 + 1e-5) + 1e-12
    polynomial = np.zeros((count, order + 1))
    polynomial[:, 0] = 1.0
    error = r[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -np.einsum("ni,ni->n", polynomial[:, :step], r[:, step:0:-1]) / error
        backward = polynomial[:, step - 1 :: -1] if step > 1 else polynomial[:, :1]
        polynomial[:, 1 : step + 1] += reflection[:, None] * backward[:, :step]
        error = error * (1.0 - reflection**2)
    return polynomial, np.sqrt(np.maximum(error, 0.0))


def cepstral_envelope(log_magnitude: Real, keep: int) -> Real:
    """Smooth log spectra [N, bins] by keeping the first ``keep`` cepstral coefficients."""
    cepstrum = fft.irfft(log_magnitude)
    cepstrum[:, keep : cepstrum.shape[1] - keep + 1] = 0.0
    envelope: Real = fft.rfft(cepstrum).real
    return envelope


def pulse_train(f0: Real, sample_rate: int) -> Real:
    """Return unit-power pulses [T] at the per-sample frequency ``f0`` [T] in hertz."""
    phase = np.cumsum(f0) / sample_rate
    starts = np.flatnonzero(np.diff(np.floor(phase), prepend=0.0) > 0)
    train = np.zeros(len(f0))
    train[starts] = np.sqrt(sample_rate / f0[starts])
    return train


def centred(samples: NDArray[Any]) -> Real:
    """Return a clip [T] as float64 without its offset, which no vocoder has a notion of."""
    x = np.asarray(samples, np.float64)
    return x - x.mean() if x.size else x


def at_level(result: NDArray[Any], original: NDArray[Any]) -> Samples:
    """Bring a copy [T] to the RMS and offset of its source [T2], as float32."""
    if len(result) == 0 or len(original) == 0:
        return np.zeros(len(result), np.float32)
    x = centred(result)
    level, target = float(np.std(x)), float(np.std(centred(original)))
    scaled = x * (target / level if level > 0 else 0.0)
    return (scaled + np.mean(original, dtype=np.float64)).astype(np.float32)


def like(result: NDArray[Any], original: NDArray[Any]) -> Samples:
    """Bring a vocoder's output to the length, RMS and offset of its input, as float32."""
    fitted = np.zeros(len(original))
    count = min(len(original), len(result))
    fitted[:count] = result[:count]
    return at_level(fitted, original)
