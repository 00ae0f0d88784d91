"""RawBoost: data augmentation for raw waveforms that imitates telephony.

Tak, Kamble, Patino, Todisco and Evans, "RawBoost: A raw data boosting and augmentation method
applied to automatic speaker verification anti-spoofing", ICASSP 2022, arXiv 2111.04433. Three
kinds of noise, with the parameter ranges of the paper as defaults:

1. LnL, linear and non-linear convolutive noise: powers of the signal, each through its own random
   bank of notch filters;
2. ISD, impulsive signal-dependent noise: random samples are pushed by a random share of
   themselves;
3. SSI, stationary signal-independent noise: white noise through such a filter bank, at a random
   signal-to-noise ratio.

Algorithms 4 to 7 apply these in series: 1, 2 and 3; 1 and 2; 1 and 3; 2 and 3. Algorithm 8 applies
1 and 2 each to the clip itself and adds the results.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import fft, signal

from loradar.audio.augmentation.effects import Effect, Range, Samples

_SERIES: dict[int, tuple[int, ...]] = {
    1: (1,),
    2: (2,),
    3: (3,),
    4: (1, 2, 3),
    5: (1, 2),
    6: (1, 3),
    7: (2, 3),
}
Taps = NDArray[np.float64]


class RawBoost(Effect):
    """RawBoost algorithms 1 to 8.

    Attributes
    ----------
    algorithm : int
        1 LnL, 2 ISD, 3 SSI; in series 4 = 1 + 2 + 3, 5 = 1 + 2, 6 = 1 + 3, 7 = 2 + 3; in parallel
        8 = 1 + 2.
    notches : int
        Notch filters in a bank.
    centre_hz, width_hz, taps : range
        Centre, width and length of each notch filter.
    order : int
        LnL: highest power of the signal (the paper's N_f).
    linear_gain_db, nonlinear_cut_db : range
        LnL: gain of the first power, and by how much the higher powers lie below it.
    impulse_percent : float
        ISD: largest share of samples hit, in percent (the paper's P_rel).
    impulse_gain : float
        ISD: gain of the impulses (the paper's g_sd).
    snr_db : range
        SSI: signal-to-noise ratio.
    """

    effect_name: ClassVar[str] = "rawboost"

    algorithm: Literal[1, 2, 3, 4, 5, 6, 7, 8] = 4
    notches: int = Field(5, ge=1, le=20)
    centre_hz: Range = (20.0, 8000.0)
    width_hz: Range = (100.0, 1000.0)
    taps: tuple[int, int] = (10, 100)
    order: int = Field(5, ge=1, le=10)
    linear_gain_db: Range = (0.0, 0.0)
    nonlinear_cut_db: Range = (5.0, 20.0)
    impulse_percent: float = Field(10.0, ge=0, le=100)
    impulse_gain: float = Field(2.0, ge=0)
    snr_db: Range = (10.0, 40.0)

    def apply(self, samples: Samples, sample_rate: int, rng: np.random.Generator) -> Samples:
        """Return ``samples`` [T] with the chosen noises, scaled down where they pass 1."""
        result = samples.astype(np.float64)
        if self.algorithm == 8:
            convolved = self._convolutive(result, sample_rate, rng)
            both = _below_one(convolved + self._impulsive(result, rng))
            return both.astype(np.float32)
        for kind in _SERIES[self.algorithm]:
            if kind == 1:
                result = self._convolutive(result, sample_rate, rng)
            elif kind == 2:
                result = self._impulsive(result, rng)
            else:
                result = self._stationary(result, sample_rate, rng)
        return result.astype(np.float32)

    def _convolutive(self, x: Taps, sample_rate: int, rng: np.random.Generator) -> Taps:
        """Eq. 1: the sum over j of (g_j b_j) * x^j, without its mean."""
        low, high = self.linear_gain_db
        banks = [self._notch_bank((low, high), sample_rate, rng)]
        cut_low, cut_high = self.nonlinear_cut_db
        for _ in range(1, self.order):
            banks.append(self._notch_bank((low - cut_high, high - cut_low), sample_rate, rng))
        # All powers share one inverse transform; each filter is centred, so nothing is delayed.
        size = fft.next_fast_len(len(x) + max(map(len, banks)) - 1, real=True)
        spectrum = np.zeros(size // 2 + 1, np.complex128)
        power = np.ones_like(x)
        for bank in banks:
            power = power * x
            centred = np.zeros(size)
            centred[: len(bank)] = bank
            centred = np.roll(centred, -(len(bank) // 2))
            spectrum += fft.rfft(power, size) * fft.rfft(centred)
        result = fft.irfft(spectrum, size)[: len(x)]
        return _below_one(result - result.mean())

    def _impulsive(self, x: Taps, rng: np.random.Generator) -> Taps:
        """Eq. 2: x + g_sd D_R(x) on a random share of the samples."""
        share = rng.uniform(0.0, self.impulse_percent) / 100.0
        places = rng.choice(len(x), size=int(len(x) * share), replace=False)
        # The product of two uniform variables: small pushes are the rule, large ones rare.
        push = rng.uniform(-1.0, 1.0, len(places)) * rng.uniform(-1.0, 1.0, len(places))
        result = x.copy()
        result[places] += self.impulse_gain * x[places] * push
        return _below_one(result)

    def _stationary(self, x: Taps, sample_rate: int, rng: np.random.Generator) -> Taps:
        """Eq. 3: x + g z, where z is white noise through a notch bank."""
        bank = self._notch_bank(self.linear_gain_db, sample_rate, rng)
        noise = signal.fftconvolve(rng.standard_normal(len(x) + len(bank) - 1), bank, "valid")
        snr_db = rng.uniform(*self.snr_db)
        level = np.sqrt(np.sum(x**2) / max(float(np.sum(noise**2)), 1e-24))
        scaled: Taps = x + noise * level * 10.0 ** (-snr_db / 20.0)
        return scaled

    def _notch_bank(
        self, gain_db: tuple[float, float], sample_rate: int, rng: np.random.Generator
    ) -> Taps:
        """A cascade of random band-stop FIR filters [odd length], its peak gain in the range."""
        bank: Taps = np.ones(1)
        nyquist = sample_rate / 2
        for _ in range(self.notches):
            centre = rng.uniform(self.centre_hz[0], min(self.centre_hz[1], nyquist))
            width = rng.uniform(*self.width_hz)
            length = int(rng.integers(self.taps[0], self.taps[1], endpoint=True)) | 1
            low = max(centre - width / 2, 1e-3)
            high = min(centre + width / 2, nyquist - 1e-3)
            bank = np.convolve(bank, _band_stop(length, low / nyquist, high / nyquist))
        peak = float(np.abs(fft.rfft(bank, 1024)).max())
        gain: float = 10.0 ** (rng.uniform(*gain_db) / 20.0)
        return bank * (gain / max(peak, 1e-12))


def _band_stop(length: int, low: float, high: float) -> Taps:
    """Windowed-sinc band-stop filter [length] (odd) between two shares of Nyquist."""
    place = np.arange(length) - length // 2
    band = high * np.sinc(high * place) - low * np.sinc(low * place)
    taps: Taps = -band * np.hamming(length)
    taps[length // 2] += 1.0
    return taps


def _below_one(x: Taps) -> Taps:
    peak = float(np.abs(x).max(initial=0.0))
    return x / peak if peak > 1.0 else x
