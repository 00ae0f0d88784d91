"""WORLD, by pyworld: speech as pitch, envelope and aperiodicity, each made coarser, and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from loradar.vocoders.analysis import Real, Samples, centred, like, reshape_pitch

Aperiodicity = Literal["measured", "coarse", "none", "limit"]

_SHORTEST = 0.1  # seconds that WORLD's analysis needs; shorter clips are padded
_DITHER = 1e-6  # digital silence gives WORLD a log of zero


def world_missing() -> str | None:
    """Say in one line what to install when pyworld is not there or broken, else return None."""
    if find_spec("pyworld") is None:
        return "needs pyworld: pip install 'loradar[copies]'"
    if find_spec("pkg_resources") is None:
        return "pyworld needs pkg_resources: pip install 'setuptools<81'"
    return _fault()


@lru_cache(maxsize=1)
def _fault() -> str | None:
    try:
        _pyworld()
    except Exception as error:  # whatever a package built against another numpy raises
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        return (
            f"pyworld cannot be loaded ({reason}): "
            "pip install --force-reinstall --no-cache-dir 'loradar[copies]'"
        )
    return None


def _pyworld() -> Any:
    with warnings.catch_warnings():
        # It asks pkg_resources for its own version, which warns.
        warnings.simplefilter("ignore", UserWarning)
        import pyworld

    return pyworld


@dataclass(frozen=True)
class Parameters:
    """What WORLD keeps of speech.

    Attributes
    ----------
    f0 : ndarray of float64, [N]
        Hertz; 0 where not voiced.
    log_power : ndarray of float64, [N, bins]
        Natural logarithm of the power envelope.
    aperiodicity : ndarray of float64, [N, bins]
        Share of noise in the amplitude, 0 to 1.
    period : float
        Milliseconds between frames.
    """

    f0: Real
    log_power: Real
    aperiodicity: Real
    period: float


def analyse(
    samples: NDArray[Any], sample_rate: int, period: float = 5.0, *, noise: bool = True
) -> Parameters:
    """Measure a clip [T] every ``period`` milliseconds; without ``noise`` aperiodicity is 0.

    DIO and StoneMask (Morise et al. 2009, 2010), CheapTrick (Morise 2015), D4C (Morise 2016).
    """
    world = _pyworld()
    shortest = int(_SHORTEST * sample_rate)
    x = np.pad(centred(samples), (0, max(0, shortest - len(samples))))
    x = x + _DITHER * np.random.default_rng(0).standard_normal(len(x))
    f0, time = world.dio(x, sample_rate, frame_period=period)
    f0 = world.stonemask(x, f0, time, sample_rate)
    power = world.cheaptrick(x, f0, time, sample_rate)
    aperiodicity = world.d4c(x, f0, time, sample_rate) if noise else np.zeros_like(power)
    return Parameters(f0, np.log(np.maximum(power, 1e-16)), aperiodicity, period)


def synthesise(parameters: Parameters, sample_rate: int) -> Real:
    """Return speech [about N periods] from WORLD's parameters."""
    speech: Real = _pyworld().synthesize(
        np.ascontiguousarray(parameters.f0),
        np.exp(np.ascontiguousarray(parameters.log_power)),
        np.ascontiguousarray(np.clip(parameters.aperiodicity, 1e-3, 1.0 - 1e-12)),
        sample_rate,
        frame_period=parameters.period,
    )
    return speech


def coarsen(
    parameters: Parameters, sample_rate: int, dimensions: int | None, aperiodicity: Aperiodicity
) -> Parameters:
    """Keep few numbers a frame of the envelope and of the aperiodicity.

    Parameters
    ----------
    parameters : Parameters
        Of speech.
    sample_rate : int
        Hertz.
    dimensions : int, optional
        Mel-cepstral numbers of the envelope, WORLD's own coding; all of it when not given.
    aperiodicity : {"measured", "coarse", "none", "limit"}
        As measured; coded in WORLD's few bands; voiced frames without noise; or pulses below and
        noise above one limit a frame, where half of the measured amplitude is noise.

    Returns
    -------
    parameters : Parameters
    """
    world = _pyworld()
    size = 2 * (parameters.log_power.shape[1] - 1)
    log_power, noise = parameters.log_power, parameters.aperiodicity
    voiced = parameters.f0[:, None] > 0
    if dimensions is not None:
        coded = world.code_spectral_envelope(
            np.exp(np.ascontiguousarray(log_power)), sample_rate, dimensions
        )
        decoded = world.decode_spectral_envelope(coded, sample_rate, size)
        log_power = np.log(np.maximum(decoded, 1e-16))
    if aperiodicity == "coarse" and sample_rate >= 16_000:
        coded = world.code_aperiodicity(noise, sample_rate)
        noise = world.decode_aperiodicity(coded, sample_rate, size)
    elif aperiodicity == "none":
        noise = np.where(voiced, 0.0, np.ones_like(noise))
    elif aperiodicity == "limit":
        limit = (noise < 0.5).sum(axis=1, keepdims=True)
        noise = np.where(voiced, np.arange(noise.shape[1]) >= limit, np.ones_like(noise))
    return replace(parameters, log_power=log_power, aperiodicity=noise)


def world(
    samples: NDArray[Any],
    sample_rate: int,
    rng: np.random.Generator,
    *,
    period: float = 5.0,
    dimensions: int | None = None,
    aperiodicity: Aperiodicity = "measured",
    envelope_smooth: float = 0.0,
    pitch_smooth: float = 0.0,
    expression: float = 1.0,
) -> Samples:
    """Rebuild speech by WORLD (Morise, Yokomori and Ozawa 2016) from coarser parameters.

    Parameters
    ----------
    samples : ndarray, [T]
        Speech.
    sample_rate : int
        Hertz.
    rng : numpy.random.Generator
        Not used: WORLD's noise is always the same.
    period : float
        Milliseconds between frames.
    dimensions, aperiodicity
        See `coarsen`.
    envelope_smooth, pitch_smooth : float
        Standard deviations of Gaussians over log envelope and log pitch, in milliseconds.
    expression : float
        Of the melody; see `reshape_pitch`.

    Returns
    -------
    ndarray of float32, [T]
    """
    parameters = coarsen(
        analyse(samples, sample_rate, period), sample_rate, dimensions, aperiodicity
    )
    log_power = parameters.log_power
    if envelope_smooth > 0:
        frames = envelope_smooth / period
        log_power = ndimage.gaussian_filter1d(log_power, frames, axis=0, mode="nearest")
    f0 = reshape_pitch(parameters.f0, smooth=pitch_smooth / period, expression=expression)
    return like(synthesise(replace(parameters, f0=f0, log_power=log_power), sample_rate), samples)
