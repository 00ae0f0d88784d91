"""When no answer fits a recording, or none can be trusted, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from loradar.audio.decoders import AudioInfo
from loradar.audio.music import MUSIC, MUSIC_ALONE
from loradar.audio.quality import Quality, measure_quality

MIN_SECONDS = 0.5
SILENCE_DBFS = -60.0
MIN_SPEECH_S = 0.3
TOO_NOISY_DB = 3.0
#: Shares of samples in flat tops: worth saying, and too many for a verdict.
CLIPPED, BADLY_CLIPPED = 0.005, 0.05
#: dB a bin from 4.3 to 7 kHz against the telephone band, and the rate of a file that has no more.
NARROW_DB, NARROW_RATE = -48.0, 11_025
#: Bits a second and channel below which a lossy codec leaves too little. FFmpeg's and
#: libsndfile's names; None: at any rate.
LOW_BIT_RATE: dict[str, float | None] = {
    **dict.fromkeys(("mp3", "mp3float", "mp2", "mp1", "MPEG_LAYER_III"), 32_000.0),
    **dict.fromkeys(("aac", "vorbis", "VORBIS", "wmav1", "wmav2"), 24_000.0),
    **dict.fromkeys(("opus", "libopus", "OPUS"), 12_000.0),
    **dict.fromkeys(("amrnb", "amrwb", "gsm", "gsm_ms", "GSM610", "G721_32", "G723_24"), None),
}

Effect = Literal["NOT_APPLICABLE", "UNCERTAIN"]


@dataclass(frozen=True)
class Gate:
    """What a recording's quality allows.

    Attributes
    ----------
    reasons : tuple of str
        What is wrong with it, the gravest first; empty when nothing is.
    effect : str or None
        The only verdict that is left, NOT_APPLICABLE or UNCERTAIN; None when any may be given,
        the reasons, if there are some, being cautions.
    """

    reasons: tuple[str, ...] = ()
    effect: Effect | None = None


OPEN = Gate()


def gate(quality: Quality, info: AudioInfo | None = None) -> Gate:
    """Say what stands against a verdict.

    Parameters
    ----------
    quality : Quality
        See `loradar.audio.quality.measure_quality`.
    info : AudioInfo, optional
        The file's header, for its rate and its codec.

    Returns
    -------
    Gate
        NOT_APPLICABLE: ``too_short`` (under 0.5 s), ``silence`` (the loudest 50 ms stay below
        -60 dBFS), ``no_speech`` (under 0.3 s of it), ``music`` (and little else). UNCERTAIN:
        ``music`` (with speech), ``too_noisy`` (speech less than 3 dB above the noise),
        ``heavily_compressed`` (a lossy codec at a low bit rate, by the header alone), ``clipped``
        (5 % of the samples in flat tops). Cautions: ``clipped`` (0.5 %), ``narrow_band``
        (nothing above 4 kHz).
    """
    if quality.seconds < MIN_SECONDS or quality.loudest_db < SILENCE_DBFS:
        short, quiet = quality.seconds < MIN_SECONDS, quality.loudest_db < SILENCE_DBFS
        return Gate(("too_short",) * short + ("silence",) * quiet, "NOT_APPLICABLE")
    against = []
    if quality.speech_seconds() < MIN_SPEECH_S:
        against.append("no_speech")
    if quality.music >= MUSIC_ALONE:
        against.append("music")
    doubts, cautions = _doubts(quality, info), _cautions(quality, info)
    effect: Effect | None = "NOT_APPLICABLE" if against else "UNCERTAIN" if doubts else None
    return Gate((*against, *doubts, *cautions), effect)


def _doubts(quality: Quality, info: AudioInfo | None) -> list[str]:
    found = []
    if MUSIC <= quality.music < MUSIC_ALONE:
        found.append("music")
    if quality.snr_db is not None and quality.snr_db < TOO_NOISY_DB:
        found.append("too_noisy")
    if quality.clipped >= BADLY_CLIPPED:
        found.append("clipped")
    if info is not None and _heavily_compressed(info):
        found.append("heavily_compressed")
    return found


def _cautions(quality: Quality, info: AudioInfo | None) -> list[str]:
    found = []
    if CLIPPED <= quality.clipped < BADLY_CLIPPED:
        found.append("clipped")
    low_rate = info is not None and info.sample_rate <= NARROW_RATE
    if low_rate or (quality.band_db is not None and quality.band_db < NARROW_DB):
        found.append("narrow_band")
    return found


def _heavily_compressed(info: AudioInfo) -> bool:
    if info.codec not in LOW_BIT_RATE:
        return False
    least = LOW_BIT_RATE[info.codec]
    return least is None or (info.bit_rate is not None and info.bit_rate < least)


def gate_samples(samples: np.ndarray, info: AudioInfo | None = None) -> Gate:
    """`gate` for samples already in memory, [T], 16 kHz mono."""
    return gate(measure_quality(samples), info)
