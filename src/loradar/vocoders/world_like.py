"""A source-filter vocoder in the manner of WORLD: envelope, pitch, aperiodicity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from loradar.vocoders.analysis import (
    Complex,
    Real,
    Samples,
    centred,
    fill_pitch,
    frames_of,
    like,
    overlap_add,
    power_of_two,
    pulse_train,
    reshape_pitch,
    spread,
    track_pitch,
)
from loradar.vocoders.envelope import minimum_phase, pitch_envelope, twice_as_fine


def world_like(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    voiced_hz: float = 4000.0,
    window: float = 0.032,
    coefficients: int | None = None,
    envelope_smooth: float = 0.0,
    pitch_smooth: float = 0.0,
    expression: float = 1.0,
) -> Samples:
    """Rebuild speech from a smooth envelope, the pitch, and a fixed voicing limit.

    As Morise et al. (2016) do: a spectral envelope freed of the harmonics by smoothing over two
    thirds of the pitch, a minimum-phase filter, pulses below the limit and noise above it. The
    measurement of aperiodicity is left out; the limit stands for it.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Draws the noise.
    voiced_hz : float
        Voiced frames are pulses below and noise above.
    window : float
        Seconds, to the nearest power of two samples; four frames to a window.
    coefficients : int, optional
        Cepstral coefficients of the envelope that are kept; all when not given.
    envelope_smooth, pitch_smooth : float
        Standard deviations of Gaussians over log envelope and log pitch, in frames.
    expression : float
        Of the melody; see `reshape_pitch`.

    Returns
    -------
    ndarray of float32, [T]
    """
    x = centred(samples)
    size = power_of_two(window, sample_rate)
    hop = size // 4
    f0 = track_pitch(x, sample_rate, hop)
    envelope = pitch_envelope(
        x,
        fill_pitch(f0),
        size,
        hop,
        sample_rate,
        coefficients=coefficients,
        smooth=envelope_smooth,
    )
    transfer = minimum_phase(twice_as_fine(envelope))
    pitch = fill_pitch(reshape_pitch(f0, smooth=pitch_smooth, expression=expression))
    pulses = pulse_train(spread(pitch, hop, len(x)), sample_rate)
    noise = rng.standard_normal(len(x))
    # A slope over an octave around the limit, in power: pulses and noise always add up to one.
    bins = np.linspace(0.0, sample_rate / 2, size + 1)
    periodic = 1.0 / (1.0 + (bins / voiced_hz) ** 6)
    periodic = np.where(f0[:, None] > 0, periodic, 0.0)
    voiced = _filtered(pulses, transfer * np.sqrt(periodic), size, hop)
    breath = _filtered(noise, transfer * np.sqrt(1.0 - periodic), size, hop)
    return like(voiced + breath, samples)


def _filtered(x: Real, transfer: Complex, size: int, hop: int) -> Real:
    """Filter [T] by transfer functions [N, size + 1], one a frame, overlapping."""
    window = signal.get_window("hann", size) * (2.0 * hop / size)
    spectrum = fft.rfft(frames_of(x, size, hop) * window, 2 * size) * transfer
    return overlap_add(fft.irfft(spectrum, 2 * size), hop, len(x), origin=size // 2)
