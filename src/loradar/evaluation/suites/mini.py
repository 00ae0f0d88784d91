"""The mini benchmark: 49 neural synthesisers in seven groups, a few hundred clips each way.

A fold trains on some groups of synthesisers; the others are out of domain (OOD). Besides the two
folds there are seven that leave one group out, and one that trains on none (for detectors that
never saw a labelled clip, such as those trained on copies).

To choose settings there are inner folds: of the groups that a fold trains on, each is left out in
turn, and its train and dev clips are judged against human dev clips. No ``eval`` clip and no group
of the other fold plays a part, so that these stay unseen until the choice is made.

Both in-domain (ID) and OOD clips are set against the human evaluation clips. The headline counts
only clips whose source holds both classes at the same rate and format (``matched == yes``), since
on all clips a long-term spectrum tells the classes apart without any skill.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from loradar.errors import ConfigError, InputError
from loradar.evaluation.bootstrap import RESAMPLES
from loradar.evaluation.det import BoolArray
from loradar.evaluation.evaluate import Block, evaluate
from loradar.evaluation.metrics import auc, cross_entropy, within_group_auc

FOLDS: dict[str, tuple[str, ...]] = {
    "A": ("autoregressive-tts", "parallel-tts", "gan-vocoder"),
    "B": ("wavenet-flow-vocoder", "diffusion", "istft-vocoder", "codec-lm"),
}
GROUPS = FOLDS["A"] + FOLDS["B"]
FOLDS |= {"none": ()}
FOLDS |= {f"without_{out}": tuple(group for group in GROUPS if group != out) for out in GROUPS}
#: Inner fold -> the fold it chooses for, and the group of that fold it leaves out.
INNER = {f"inner_{fold.lower()}_{out}": (fold, out) for fold in "AB" for out in FOLDS[fold]}
FOLDS |= {
    name: tuple(group for group in FOLDS[fold] if group != out)
    for name, (fold, out) in INNER.items()
}
#: Name of a suite -> the fold it judges.
SUITES = {
    "mini": "none",
    "mini_fold_a": "A",
    "mini_fold_b": "B",
    **{f"mini_{fold}": fold for fold in FOLDS if fold.startswith(("without_", "inner_"))},
}
HUMAN = "human"
ONE_SPEAKER = "LJ"
HEADLINE = "matched"
COLUMNS = ("label", "group", "corpus", "speaker", "pair_id", "matched", "split")


def fold_of(suite: str) -> str:
    """Return the fold that a suite stands for.

    Raises
    ------
    ConfigError
        When there is no such suite.
    """
    if suite not in SUITES:
        raise ConfigError(f"there is no suite {suite!r} (there are: {', '.join(SUITES)})")
    return SUITES[suite]


def ood_groups(fold: str) -> tuple[str, ...]:
    """Return the groups that a fold is judged on and does not train on: for an inner fold, one.

    Raises
    ------
    ConfigError
        When there is no such fold.
    """
    check_fold(fold)
    if fold in INNER:
        return (INNER[fold][1],)
    return tuple(group for group in GROUPS if group not in FOLDS[fold])


def parts(clips: pd.DataFrame, fold: str) -> dict[str, BoolArray]:
    """Mark the clips each part of a fold consists of.

    Parameters
    ----------
    clips : DataFrame
        All ``N`` clips of the benchmark with `COLUMNS`.
    fold : str
        A key of `FOLDS`.

    Returns
    -------
    dict of str to array of bool
        Shape ``[N]`` each: ``train`` and ``dev`` (the fold's groups and human clips of that
        split; nothing for the fold ``none``), ``human`` (human evaluation clips), ``id`` (the
        fold's groups, evaluation split), ``ood`` (every clip of all other groups, whatever its
        split). For an inner fold ``human`` are the human dev clips, ``ood`` the train and dev
        clips of the group left out, ``dev`` and ``id`` nothing.

    Raises
    ------
    ConfigError
        When there is no such fold.
    InputError
        When a column is missing or a part is empty, as when ``clips`` is not the whole benchmark.
    """
    check_fold(fold)
    for name in COLUMNS:
        if name not in clips:
            raise InputError(f"the benchmark's table has no column '{name}'")
    group = clips["group"].to_numpy(object)
    split = clips["split"].to_numpy(object)
    human = group == HUMAN
    trained = np.isin(group, FOLDS[fold])
    trains, inner = bool(FOLDS[fold]), fold in INNER
    judging = "dev" if inner else "eval"
    found: dict[str, BoolArray] = {
        "train": trains & (human | trained) & (split == "train"),
        "dev": trains & (not inner) & (human | trained) & (split == "dev"),
        "human": human & (split == judging),
        "id": trained & (split == "eval") & (not inner),
        "ood": np.isin(group, ood_groups(fold)) & ((split != "eval") | (not inner)),
    }
    needed = {"human", "ood", *(("train",) if inner else ("train", "dev", "id") if trains else ())}
    for name, rows in found.items():
        if not rows.any() and name in needed:
            raise InputError(
                f"the table holds no clip of fold {fold}'s part '{name}'; give all clips of the "
                "benchmark, those that were not scored with an empty score"
            )
    return found


def judged(clips: pd.DataFrame, fold: str) -> BoolArray:
    """Mark the clips that a fold judges, shape ``[N]``: human and ID evaluation clips, all OOD.

    Raises
    ------
    ConfigError, InputError
        As `parts`.
    """
    part = parts(clips, fold)
    return part["human"] | part["id"] | part["ood"]


def sealed(clips: pd.DataFrame, fold: str) -> BoolArray:
    """Mark the clips that a run on this fold must not use in any way, shape ``[N]``.

    For an inner fold every ``eval`` clip and every clip of the other fold's groups; nothing for
    the others, which judge what they must not train on.
    """
    check_fold(fold)
    if fold not in INNER:
        return np.zeros(len(clips), dtype=bool)
    known = [HUMAN, *FOLDS[INNER[fold][0]]]
    return ((clips["split"] == "eval") | ~clips["group"].isin(known)).to_numpy()


def mini_report(
    clips: pd.DataFrame,
    fold: str,
    *,
    clusters: str = "pair_id",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Report one system's scores on a fold of the mini benchmark.

    Six selections of clips, applied to both classes: ``matched`` (the headline), ``all``,
    ``pair_disjoint`` (matched, and the ``pair_id`` occurs in neither train nor dev of the fold; a
    clip without one is disjoint), and each again ``..._without_lj`` (without the speaker LJ, who
    is in every split).

    Parameters
    ----------
    clips : DataFrame
        **All** clips of the benchmark with `COLUMNS` and ``score`` (higher is more bona fide;
        empty where a clip was not scored, which is allowed outside ID, OOD and human evaluation).
    fold : str
        The fold the system was trained on.
    clusters : str
        Column to resample by for the intervals.
    resamples, seed
        Bootstrap draws (0: no intervals) and their seed.

    Returns
    -------
    dict
        ``{"fold", "headline": "matched", SELECTION: {"id": BLOCK (None without trained groups, and
        on inner folds), "ood": {group: BLOCK},
        "ood_average": {"eer", "eer_tie_safe", "eer_ci", "auc", "within_corpus_auc",
        "cross_entropy", "groups"}}}``.
        A BLOCK is that of `evaluate.evaluate` with ``auc``, ``within_corpus_auc``
        (`metrics.within_group_auc` over ``corpus``; None where no corpus holds both classes) and
        ``cross_entropy`` (`metrics.cross_entropy` of the scores as they are).
        Groups without a clip in a selection have no block and no part in the average; ``groups``
        counts those that have. For scores with many ties read ``eer_tie_safe``.

    Raises
    ------
    ConfigError
        When there is no such fold.
    InputError
        When a column, a part or a needed score is missing.
    """
    part = parts(clips, fold)
    if "score" not in clips or clusters not in clips:
        missing = clusters if "score" in clips else "score"
        raise InputError(f"the benchmark's table has no column '{missing}'")
    needed = part["human"] | part["id"] | part["ood"]
    unscored = needed & clips["score"].isna().to_numpy()
    if unscored.any():
        raise InputError(
            f"{int(unscored.sum())} of {int(needed.sum())} evaluation clips of fold {fold} have no "
            f"score (first: row {int(np.flatnonzero(unscored)[0]) + 1}); score all of them"
        )
    report: dict[str, Any] = {"fold": fold, "headline": HEADLINE}
    options = {"clusters": clusters, "resamples": resamples, "seed": seed}
    for name, chosen in selections(clips, part).items():
        human = part["human"] & chosen
        inside = human | part["id"] & chosen
        report[name] = {
            "id": _in_domain(clips[inside], options) if part["id"].any() else None,
            **_out_of_domain(clips[human | part["ood"] & chosen], ood_groups(fold), options),
        }
    return report


def selections(clips: pd.DataFrame, part: dict[str, BoolArray]) -> dict[str, BoolArray]:
    """Mark the clips of each of the six selections, shape ``[N]``; see `mini_report`.

    Parameters
    ----------
    clips : DataFrame
        All clips of the benchmark.
    part : dict of str to array of bool
        The fold's `parts`.
    """
    matched = (clips["matched"] == "yes").to_numpy()
    pairs = clips["pair_id"]
    known = set(pairs[part["train"] | part["dev"]].dropna()) - {""}
    met = pairs.isin(known).to_numpy()
    others = (clips["speaker"] != ONE_SPEAKER).to_numpy()
    base = {
        HEADLINE: matched,
        "all": np.ones(len(clips), dtype=bool),
        "pair_disjoint": matched & ~met,
    }
    return base | {f"{name}_without_lj": rows & others for name, rows in base.items()}


def _in_domain(clips: pd.DataFrame, options: dict[str, Any]) -> Block:
    block: Block = evaluate(_slim(clips, options), **options)["pooled"]
    return block | _ranking(clips)


def _out_of_domain(
    clips: pd.DataFrame, groups: tuple[str, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Return the blocks of the groups that have clips, and their average."""
    present = [group for group in groups if (clips["group"] == group).any()]
    found = evaluate(_slim(clips, options), by=["group"], ood=present, **options)
    blocks = {
        group: found["by_group"][group] | _ranking(clips[clips["group"].isin([HUMAN, group])])
        for group in present
    }
    average = dict(found["ood_average"])
    for name in ("auc", "within_corpus_auc", "cross_entropy"):
        values = [block[name] for block in blocks.values() if block[name] is not None]
        average[name] = float(np.mean(values)) if values else None
    average["groups"] = len(present)
    return {"ood": blocks, "ood_average": average}


def _slim(clips: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """Keep what `evaluate` needs here: more columns would mean more breakdowns."""
    return clips[list(dict.fromkeys(["score", "label", "group", options["clusters"]]))]


def _ranking(clips: pd.DataFrame) -> dict[str, float | None]:
    score = clips["score"].to_numpy(np.float64)
    real = (clips["label"] == "bonafide").to_numpy()
    if real.all() or not real.any():
        return {"auc": None, "within_corpus_auc": None, "cross_entropy": None}
    return {
        "auc": auc(score[real], score[~real]),
        "within_corpus_auc": within_group_auc(score, real, clips["corpus"]).value,
        "cross_entropy": cross_entropy(score[real], score[~real]),
    }


def check_fold(fold: str) -> None:
    """Raise `ConfigError` when there is no such fold."""
    if fold not in FOLDS:
        raise ConfigError(f"there is no fold {fold!r} (there are: {', '.join(FOLDS)})")
