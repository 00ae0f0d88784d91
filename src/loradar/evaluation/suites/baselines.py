"""Scores that need no skill at telling speech from synthesis; every table shows them.

What a detector gains over these rows is what it knows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.signal import get_window
from scipy.special import expit

from loradar.errors import InputError
from loradar.evaluation.det import FloatArray
from loradar.evaluation.suites.gaussians import COMPONENTS, DiagonalMixture, fit_mixture
from loradar.evaluation.suites.lfcc import SIZE, lfcc
from loradar.evaluation.suites.mini import parts

Read = Callable[[str], ArrayLike]

SAMPLE_RATE = 16_000
BAND_HZ = (80.0, 7000.0)
FRAME = 512
HOP = 256
RIDGE = 0.1


def corpus_prior(clips: pd.DataFrame, fold: str) -> FloatArray:
    """Score each clip by its corpus alone.

    The logit of the human share of the corpus in the fold's train part, smoothed by one clip of
    each class; 0 for a corpus that is not in it.

    Parameters
    ----------
    clips : DataFrame
        All ``N`` clips of the mini benchmark.
    fold : str
        A key of `mini.FOLDS`, ``none`` excepted: the baselines are trained too.

    Returns
    -------
    ndarray
        Scores ``[N]``, higher is more bona fide. They have many ties: read ``eer_tie_safe``.

    Raises
    ------
    ConfigError, InputError
        As `mini.parts`.
    """
    train = clips[parts(clips, fold)["train"]]
    human = (train["label"] == "bonafide").groupby(train["corpus"]).sum()
    spoof = train.groupby("corpus").size() - human
    odds = dict(zip(human.index, np.log((human + 1) / (spoof + 1)), strict=True))
    return np.array([odds.get(name, 0.0) for name in clips["corpus"]], dtype=np.float64)


def trivial(
    clips: pd.DataFrame,
    fold: str,
    read: Read,
    *,
    ridge: float = RIDGE,
) -> FloatArray:
    """Score each clip by its long-term average spectrum and a logistic regression.

    The regression is trained on the fold's train part, both classes weighing the same. (Measured
    OOD EER, folds A and B: 52 and 42 % on matched clips, 42 and 35 % on all.)

    Parameters
    ----------
    clips : DataFrame
        All ``N`` clips of the mini benchmark, with ``path``.
    fold : str
        A key of `mini.FOLDS`, ``none`` excepted: the baselines are trained too.
    read : callable
        Gives the samples ``[T]`` (16 kHz, mono) of a ``path``.
    ridge : float
        Penalty of the regression.

    Returns
    -------
    ndarray
        Scores ``[N]``, higher is more bona fide.

    Raises
    ------
    ConfigError, InputError
        As `mini.parts`; `InputError` also for a clip without samples.
    """
    train = parts(clips, fold)["train"]
    features = np.stack([average_spectrum(read(path), path) for path in clips["path"]])
    features = (features - features[train].mean(axis=0)) / (features[train].std(axis=0) + 1e-9)
    real = (clips["label"] == "bonafide").to_numpy()
    weights, bias = fit_logistic(features[train], real[train], ridge)
    return np.asarray(features @ weights + bias, dtype=np.float64)


def lfcc_gmm(
    clips: pd.DataFrame,
    fold: str,
    read: Read,
    *,
    components: int = COMPONENTS,
    seed: int = 0,
) -> FloatArray:
    """Score each clip by linear-frequency cepstra and one mixture of Gaussians a class.

    The classical countermeasure of the ASVspoof challenges (see `lfcc`), trained on the fold's
    train part. They use 512 Gaussians a class on 25,000 clips; 64 here, for a few hundred.

    Parameters
    ----------
    clips : DataFrame
        All ``N`` clips of the mini benchmark, with ``path``.
    fold : str
        A key of `mini.FOLDS`, ``none`` excepted: the baselines are trained too.
    read : callable
        Gives the samples ``[T]`` (16 kHz, mono) of a ``path``.
    components : int
        Gaussians a class.
    seed : int
        Of the mixtures' start.

    Returns
    -------
    ndarray
        Scores ``[N]``: the mean log-likelihood ratio of the frames, higher is more bona fide.

    Raises
    ------
    ConfigError, InputError
        As `mini.parts`; `InputError` also for a clip without samples or a class without clips.
    """
    train = parts(clips, fold)["train"]
    real = (clips["label"] == "bonafide").to_numpy()
    # float32: 60 numbers every 10 ms of the whole benchmark would be 300 MB in float64.
    frames = [lfcc(read(path), path).astype(np.float32) for path in clips["path"]]
    known = np.concatenate([frames[row] for row in np.flatnonzero(train)])
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-9
    mixtures: list[DiagonalMixture] = []
    for rows in (train & real, train & ~real):
        mine = [(frames[row] - mean) / spread for row in np.flatnonzero(rows)]
        together = np.concatenate(mine) if mine else np.zeros((0, SIZE))
        mixtures.append(fit_mixture(together, components, seed=seed))
    human, spoof = mixtures
    return np.array(
        [
            np.mean(human.log_likelihood(clip) - spoof.log_likelihood(clip))
            for clip in ((each - mean) / spread for each in frames)
        ],
        dtype=np.float64,
    )


def average_spectrum(samples: ArrayLike, name: str = "clip") -> FloatArray:
    """Return the long-term average spectrum between 80 and 7,000 Hz, in dB, without its mean.

    Parameters
    ----------
    samples : array_like
        Shape ``[T]``, 16 kHz mono; shorter than a frame (512) is padded with zeros.
    name : str
        For the message.

    Returns
    -------
    ndarray
        Shape ``[222]``: one value for each bin of a 512-point transform inside the band. The
        clip's level is taken out.

    Raises
    ------
    InputError
        When there are no samples.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or signal.size == 0:
        raise InputError(f"{name}: expected one channel of samples, found shape {signal.shape}")
    signal = np.pad(signal, (0, max(0, FRAME - signal.size)))
    frames = np.lib.stride_tricks.sliding_window_view(signal, FRAME)[::HOP]
    power = np.mean(np.abs(np.fft.rfft(frames * get_window("hann", FRAME), axis=1)) ** 2, axis=0)
    frequency = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
    band = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    level = 10 * np.log10(power[band] + 1e-12)
    return np.asarray(level - level.mean(), dtype=np.float64)


def fit_logistic(
    features: FloatArray, is_bonafide: ArrayLike, ridge: float
) -> tuple[FloatArray, float]:
    """Fit a ridge logistic regression in which both classes weigh the same.

    Parameters
    ----------
    features : ndarray
        Shape ``[N, D]``, best of zero mean and unit variance.
    is_bonafide : array_like of bool
        Shape ``[N]``.
    ridge : float
        Penalty: half of it times the squared length of the weights, beside the mean cross-entropy.

    Returns
    -------
    tuple of ndarray and float
        Weights ``[D]`` and bias: ``features @ weights + bias`` is the logit of bona fide.

    Raises
    ------
    InputError
        When a class is missing.
    """
    real = np.asarray(is_bonafide, dtype=bool)
    if real.all() or not real.any():
        raise InputError("a logistic regression needs clips of both classes to train on")
    sign = np.where(real, 1.0, -1.0)
    weight = np.where(real, 0.5 / real.sum(), 0.5 / (~real).sum())

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        slope, bias = parameters[:-1], parameters[-1]
        margin = sign * (features @ slope + bias)
        pull = -weight * sign * expit(-margin)
        value = weight @ np.logaddexp(0.0, -margin) + 0.5 * ridge * (slope @ slope)
        return float(value), np.append(features.T @ pull + ridge * slope, pull.sum())

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return np.asarray(found.x[:-1], dtype=np.float64), float(found.x[-1])
