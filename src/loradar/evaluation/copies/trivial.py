"""Whether the long-term average spectrum alone tells copies from their sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loradar.evaluation.bootstrap import eer_interval
from loradar.evaluation.det import FloatArray, eer_tie_safe
from loradar.evaluation.suites.baselines import RIDGE, fit_logistic

FOLDS = 10


@dataclass(frozen=True)
class Trivial:
    """What the trivial features know.

    Attributes
    ----------
    eer : float
        Equal error rate, a fraction.
    interval : tuple of float
        Its 95 % interval.
    scores : tuple of float
        Of each copy, higher is more bona fide: the lowest are those told most easily.
    """

    eer: float
    interval: tuple[float, float]
    scores: tuple[float, ...] = ()


def trivial_eer(
    sources: FloatArray, copies: FloatArray, speakers: Sequence[str], clips: Sequence[str]
) -> Trivial | None:
    """Tell copies from sources by a logistic regression, cross-validated by speaker.

    About 0.5 is as it should be: the features know nothing (above it they are misled, for instance
    by copies that take on the voice of a training speaker). Near 0 the attack gives itself away,
    and a detector trained on its copies learns that and nothing else.

    Parameters
    ----------
    sources, copies : ndarray of float64, [N, D]
        Features of N clips and of their copies (`suites.baselines.average_spectrum`).
    speakers : sequence of str, [N]
        Who speaks; no speaker is both trained on and scored.
    clips : sequence of str, [N]
        Name of each clip; the bootstrap draws a clip and its copy together.

    Returns
    -------
    Trivial or None
        None with fewer than two speakers.
    """
    names = sorted(set(speakers))
    if len(names) < 2:
        return None
    fold_of = {name: place % FOLDS for place, name in enumerate(names)}
    fold = np.tile([fold_of[name] for name in speakers], 2)
    features = np.concatenate((sources, copies))
    real = np.arange(len(features)) < len(sources)
    scores = np.zeros(len(features))
    for held_out in range(min(FOLDS, len(names))):
        test = fold == held_out
        train = features[~test]
        mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
        weights, bias = fit_logistic((train - mean) / spread, real[~test], RIDGE)
        scores[test] = (features[test] - mean) / spread @ weights + bias
    return Trivial(
        eer_tie_safe(scores[real], scores[~real]),
        eer_interval(scores, real, np.tile(np.asarray(clips, object), 2)),
        tuple(scores[~real].tolist()),
    )
