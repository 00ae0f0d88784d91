"""How far speech stands above noise, from the shape of its amplitudes.

Speech has many small samples and few large ones, noise is Gaussian: the mixture's mean logarithm
tells their ratio. Kim and Stern, "Robust signal-to-noise ratio estimation based on waveform
amplitude distribution analysis" (Interspeech 2008).
"""

from __future__ import annotations

import numpy as np

from loradar.audio.decoders import FloatArray

#: log(mean |x|) - mean(log |x|) of a Gamma variable (shape 0.4) in Gaussian noise, at -10, -8, ...,
#: 40 dB: from four million draws.
_STATISTIC = (
    *(0.4123, 0.4151, 0.4204, 0.4289, 0.4425, 0.4620, 0.4889, 0.5237, 0.5659, 0.6141, 0.6676),
    *(0.7247, 0.7832, 0.8420, 0.8998, 0.9561, 1.0096, 1.0608, 1.1087, 1.1534, 1.1949, 1.2330),
    *(1.2684, 1.3010, 1.3305, 1.3578),
)
_DECIBELS = tuple(range(-10, 41, 2))
_ZERO = 1e-5  # smaller samples are digital silence, not noise
_LEAST = 800


def signal_to_noise(samples: FloatArray) -> float | None:
    """Estimate the ratio of speech to noise.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        Some seconds with speech in them.

    Returns
    -------
    float or None
        In dB, from -10 (nothing like speech) to 40; None for fewer than 800 samples that are
        not zero.
    """
    sizes = np.abs(samples)
    sizes = sizes[sizes > _ZERO]
    if len(sizes) < _LEAST:
        return None
    statistic = np.log(sizes.mean(dtype=np.float64)) - np.log(sizes).mean(dtype=np.float64)
    return float(np.interp(statistic, _STATISTIC, _DECIBELS))
