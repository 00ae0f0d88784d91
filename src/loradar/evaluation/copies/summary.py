"""Means with intervals over clips, and what they say about an attack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loradar.evaluation.bootstrap import percentile_interval
from loradar.evaluation.copies.trivial import Trivial

RESAMPLES = 2000
MOST_MCD_DB = 5.0
ABOVE_FLOOR_DB = 1.0
GIVEAWAY = 0.3


@dataclass(frozen=True)
class Estimate:
    """Mean over clips, its 95 % interval, and the number of clips it rests on."""

    mean: float
    interval: tuple[float, float]
    clips: int


def estimate(values: Sequence[float | None], *, seed: int = 0) -> Estimate | None:
    """Average what was measured, with a bootstrap interval over clips.

    Parameters
    ----------
    values : sequence of float or None
        One a clip; None is left out.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Estimate or None
        None when nothing was measured.
    """
    found = np.array([value for value in values if value is not None], np.float64)
    if not found.size:
        return None
    drawn = np.random.default_rng(seed).integers(found.size, size=(RESAMPLES, found.size))
    interval = percentile_interval(found[drawn].mean(axis=1))
    assert interval is not None  # a mean of finite values is finite
    return Estimate(float(found.mean()), interval, int(found.size))


def verdict(
    kind: str,
    log_spectral: Estimate | None,
    mel_cepstral: Estimate | None,
    trivial: Trivial | None,
    floor: Estimate | None,
) -> str:
    """Say what is wrong with an attack, or ``ok``.

    - ``buzzes``: a neural one whose mel-cepstral distortion is above 5 dB.
    - ``hands back its input``: the log-spectral distance is not clearly above a resampling round
      trip's; clearly means that its interval begins 1 dB or more above that mean.
    - ``gives itself away``: the average spectrum alone tells its copies, at an equal error rate
      whose interval ends below 30 %.

    Parameters
    ----------
    kind : str
        ``classical``, ``neural`` or ``program``.
    log_spectral, mel_cepstral : Estimate or None
        In dB; None where not measured.
    trivial : Trivial or None
        Of the long-term average spectrum.
    floor : Estimate or None
        Log-spectral distance of the resampling round trip, in dB.
    """
    faults = []
    # By the number as tables show it: 5.00 is not above 5.
    if kind == "neural" and mel_cepstral is not None and round(mel_cepstral.mean, 2) > MOST_MCD_DB:
        faults.append("buzzes")
    if (
        log_spectral is not None
        and floor is not None
        and log_spectral.interval[0] < floor.mean + ABOVE_FLOOR_DB
    ):
        faults.append("hands back its input")
    if trivial is not None and trivial.interval[1] < GIVEAWAY:
        faults.append("gives itself away")
    return ", ".join(faults) or "ok"
