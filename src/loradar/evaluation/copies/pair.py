"""All measures of one copy against its source."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loradar.errors import InputError
from loradar.evaluation.copies import spectral, world
from loradar.evaluation.copies.cepstrum import mel_cepstral_distortion, mel_cepstrum
from loradar.evaluation.copies.frames import speech_frames
from loradar.evaluation.copies.pitch import f0_correlation, voicing_agreement

MEASURES = (
    "log_mel_db",
    "log_spectral_db",
    "mel_cepstral_db",
    "f0_correlation",
    "voicing_agreement",
)


class Original:
    """A source clip, analysed once for all the copies it is compared with.

    Parameters
    ----------
    samples : ndarray, [T]
        The source.
    sample_rate : int
        Hertz; the mel-cepstrum's warping is made for 16,000.

    Raises
    ------
    InputError
        The clip holds no sound.
    """

    def __init__(self, samples: NDArray[Any], sample_rate: int) -> None:
        self._length = len(samples)
        self._rate = sample_rate
        self._speech = speech_frames(samples, sample_rate, spectral.HOP_S)
        if not self._speech.any():
            raise InputError("the source clip holds no sound")
        self._spectrum = spectral.log_spectrum(samples, sample_rate)
        self._mel = spectral.log_mel_spectrum(samples, sample_rate)
        self._world: world.WorldFrames | None = None
        if world.missing() is None:
            self._world = world.world_frames(samples, sample_rate)
            self._cepstrum = mel_cepstrum(self._world.envelope)
            # WORLD leaves out the frame that only begins at the clip's end.
            count = len(self._world.f0)
            self._speech_5ms = speech_frames(samples, sample_rate, world.HOP_S)[:count]

    def compare(self, copy: NDArray[Any]) -> dict[str, float | None]:
        """Measure an aligned copy.

        Parameters
        ----------
        copy : ndarray, [T]
            As long as the source.

        Returns
        -------
        dict
            `MEASURES`: dB, dB, dB, -1 to 1, 0 to 1; None where a measure cannot be had, for
            instance those by WORLD without pyworld.

        Raises
        ------
        InputError
            The copy has another length or holds NaN.
        """
        if len(copy) != self._length:
            raise InputError(f"the copy has {len(copy)} samples, its source {self._length}")
        if not np.isfinite(copy).all():
            raise InputError("the copy holds samples that are not finite")
        spectrum = spectral.log_spectrum(copy, self._rate)
        mel = spectral.log_mel_spectrum(copy, self._rate)
        found: dict[str, float | None] = dict.fromkeys(MEASURES)
        found["log_mel_db"] = spectral.log_mel_distance(self._mel, mel, self._speech)
        found["log_spectral_db"] = spectral.log_spectral_distance(
            self._spectrum, spectrum, self._speech
        )
        if self._world is not None:
            frames = world.world_frames(copy, self._rate)
            found["mel_cepstral_db"] = mel_cepstral_distortion(
                self._cepstrum, mel_cepstrum(frames.envelope), self._speech_5ms
            )
            found["f0_correlation"] = f0_correlation(self._world.f0, frames.f0)
            found["voicing_agreement"] = voicing_agreement(
                self._world.f0, frames.f0, self._speech_5ms
            )
        return found
