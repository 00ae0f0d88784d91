"""``loradar evaluate --suite``: the mini benchmark's own table, with its baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loradar.corpora.manifest import Manifest
from loradar.evaluation.suites.mini import FOLDS, fold_of, judged, mini_report

if TYPE_CHECKING:
    import pandas as pd


def clips_to_score(suite: str, manifest: Manifest) -> Manifest:
    """Return the clips that the suite judges: human and in-domain eval clips, all OOD clips."""
    return Manifest(manifest.table[judged(manifest.table, fold_of(suite))])


def run_suite(
    suite: str, manifest: Manifest, scored: dict[str, pd.DataFrame], *, resamples: int
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Compute the suite's report for models and for the baselines that need no model.

    Parameters
    ----------
    suite : str
        A key of `loradar.evaluation.suites.mini.SUITES`.
    manifest : Manifest
        All clips of the benchmark.
    scored : dict
        Name of a model -> ``path`` and ``score`` of the clips that the suite judges.
    resamples : int
        Bootstrap draws.

    Returns
    -------
    report : dict
        Row name -> `loradar.evaluation.suites.mini.mini_report`.
    table : DataFrame
        The same for people, in percent.
    """
    from loradar.audio.reading import load_audio
    from loradar.evaluation.suites.baselines import corpus_prior, lfcc_gmm, trivial
    from loradar.evaluation.table import mini_frame

    fold = fold_of(suite)
    clips = manifest.table.drop(columns=["score"], errors="ignore")
    systems = {
        name: clips.merge(table[["path", "score"]], on="path", how="left")["score"].to_numpy(float)
        for name, table in scored.items()
    }
    if FOLDS[fold]:  # the baselines learn from the fold's own clips
        systems |= {
            "corpus_prior": corpus_prior(clips, fold),
            "trivial_features": trivial(clips, fold, load_audio),
            "lfcc_gmm": lfcc_gmm(clips, fold, load_audio),
        }
    report = {
        row: mini_report(clips.assign(score=scores), fold, resamples=resamples)
        for row, scores in systems.items()
    }
    return report, mini_frame(report)
