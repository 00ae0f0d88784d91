"""Frames of 32 ms: level, voicing, and the speech among them.

Speech is told by its voiced frames: louder than the noise around them, periodic at 70 to 400 Hz,
and not a steady tone. It knows nothing of words, so a hummed tune may pass, and a whisper may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft
from scipy.ndimage import binary_dilation, uniform_filter1d

from loradar.audio.decoders import FloatArray

RATE = 16_000
FRAME, HOP, FFT = 512, 256, 1024
HOP_S = HOP / RATE
BIN_HZ = RATE / FFT
#: Autocorrelation at the best lag from which on a frame is voiced.
VOICED = 0.6
#: Decibels: above the noise, below the loudest, and at least.
ABOVE_FLOOR, BELOW_TOP, LEAST = 5.0, 35.0, -60.0
#: Frames to both sides of a voiced one that count as speech too: consonants, and gaps of 0.26 s.
REACH = 8

_LAGS = slice(RATE // 400, RATE // 70 + 1)
_SHORT_LAGS = slice(RATE // 1_600, RATE // 400)
_WINDOW = np.hanning(FRAME + 1)[:-1].astype(np.float32)
_SPEECH_BINS = slice(4, 256)  # 60 Hz to 4 kHz


def _window_correlation() -> FloatArray:
    spectrum = np.abs(rfft(_WINDOW, FFT)) ** 2
    correlation = irfft(spectrum, FFT)[: _LAGS.stop]
    normal: FloatArray = (correlation / correlation[0]).astype(np.float32)
    return normal


_WINDOW_CORRELATION = _window_correlation()


@dataclass(frozen=True)
class Frames:
    """What is known of each frame.

    Attributes
    ----------
    power : ndarray of float32, [N, 513]
        Power spectrum, 15.6 Hz a bin.
    level : ndarray of float32, [N]
        Mean power in dB; 0 dB is a full-scale square wave.
    voicing : ndarray of float32, [N]
        Height of the autocorrelation's best peak between 70 and 400 Hz, 1 for a periodic frame;
        0 where a shorter period does as well.
    """

    power: FloatArray
    level: FloatArray
    voicing: FloatArray


def analyse(samples: FloatArray) -> Frames:
    """Cut samples into frames of 32 ms, 16 ms apart, and measure each.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        16 kHz mono. Fewer than a frame's are filled up with zeros.

    Returns
    -------
    Frames
    """
    if len(samples) < FRAME:
        samples = np.pad(samples, (0, FRAME - len(samples)))
    cut = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    windowed = cut.astype(np.float32) * _WINDOW
    spectrum = rfft(windowed, FFT)
    power: FloatArray = np.square(spectrum.real) + np.square(spectrum.imag)
    energy = np.square(windowed).sum(axis=1) / np.square(_WINDOW).sum()
    level: FloatArray = 10 * np.log10(energy + np.float32(1e-12))
    return Frames(power, level, _voicing(power))


def _voicing(power: FloatArray) -> FloatArray:
    """Correlation at the best lag, [N]; Boersma (1993) for the window's share in it."""
    narrow = np.zeros_like(power)
    narrow[:, _SPEECH_BINS] = power[:, _SPEECH_BINS]
    correlation = irfft(narrow, FFT)[:, : _LAGS.stop]
    normal = correlation / (correlation[:, :1] + np.float32(1e-12)) / _WINDOW_CORRELATION
    voicing = normal[:, _LAGS].max(axis=1)
    # Whistles and beeps repeat at 70 to 400 Hz too, but already do at a peak before.
    inner = normal[:, _SHORT_LAGS]
    left = normal[:, _SHORT_LAGS.start - 1 : _SHORT_LAGS.stop - 1]
    right = normal[:, _SHORT_LAGS.start + 1 : _SHORT_LAGS.stop + 1]
    peaks = np.where((inner >= left) & (inner >= right), inner, 0.0).max(axis=1)
    found: FloatArray = np.where(peaks >= 0.95 * voicing, 0.0, voicing).astype(np.float32)
    return found


def speech_frames(frames: Frames) -> NDArray[np.bool_]:
    """Tell which frames belong to speech, [N].

    Parameters
    ----------
    frames : Frames
        Of some seconds: the tenth percentile of their level is taken for the noise.
    """
    level = frames.level
    floor = max(float(np.percentile(level, 10)), -70.0)
    least = max(floor + ABOVE_FLOOR, LEAST, float(np.percentile(level, 95)) - BELOW_TOP)
    voiced = (frames.voicing > VOICED) & (level > least)
    steady = uniform_filter1d(voiced.astype(np.float32), 5, mode="constant") > 0.5
    found: NDArray[np.bool_] = binary_dilation(voiced & steady, iterations=REACH)
    return found
