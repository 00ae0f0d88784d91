"""Choosing settings on inner folds: the lowest mean cross-entropy on groups left out.

Each inner fold leaves out one of the groups that an outer fold trains on (`suites.mini`). A choice
is made for each outer fold by itself, since the other fold's groups are its test. Variants whose
names share what stands before the first dot (``full.lr1e-4``, ``full.lr3e-4``) are settings of one
method, of which one wins; the best of all methods is named beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loradar.errors import InputError
from loradar.evaluation.compare.runs import Run
from loradar.evaluation.compare.tables import number
from loradar.evaluation.suites.mini import FOLDS, INNER
from loradar.evaluation.table import NONE, percent

SELECTIONS = ("matched", "all")


def is_inner(runs: Sequence[Run]) -> bool:
    """Say whether runs are those of inner folds.

    Raises
    ------
    InputError
        Some are and some are not.
    """
    inner = {run.report["fold"] in INNER for run in runs if run.status == "done"}
    if len(inner) == 2:
        raise InputError("inner folds choose and the others test: compare them by themselves")
    return inner == {True}


def choose(runs: Sequence[Run], *, on: str = "matched") -> dict[str, Any]:
    """Average each variant over groups left out and seeds, and name the best.

    Parameters
    ----------
    runs : sequence of Run
        Of inner folds. A seed of a variant counts once all groups of its fold are done.
    on : {"matched", "all"}
        The clips whose cross-entropy decides.

    Returns
    -------
    dict
        ``{"on", "folds": {FOLD: {"groups", "seeds", "variants": {NAME: {"kind", "cross_entropy",
        "behind", "behind_error", "eer", "by_group", "cross_entropy_matched", "cross_entropy_all",
        "recipe_sha256", "encoder"}}, "winner", "winners": {METHOD: NAME}}}, "left_out"}``.
        Cross-entropies are in nats, EERs fractions (tie-safe). ``behind`` is the mean difference
        from the winner of all, ``behind_error`` its standard error over (group, seed). Only
        trained variants can win; all are compared on ``seeds``, those that each of them has.

    Raises
    ------
    InputError
        No trained variant is done on all groups of a fold, or they have no seed in common.
    """
    left_out = [f"{run.name}: {run.status}" for run in runs if run.status != "done"]
    done = [run for run in runs if run.status == "done"]
    outer = dict.fromkeys(INNER[run.report["fold"]][0] for run in done)
    found = {fold: _fold(fold, done, on, left_out) for fold in outer}
    if not found:
        raise InputError(f"no run is done: {'; '.join(left_out)}")
    return {"on": on, "folds": found, "left_out": left_out}


def _fold(fold: str, done: Sequence[Run], on: str, left_out: list[str]) -> dict[str, Any]:
    groups = FOLDS[fold]
    table: dict[str, dict[tuple[int, str], Run]] = {}
    for run in done:
        outer, out = INNER[run.report["fold"]]
        if outer == fold:
            table.setdefault(run.variant, {})[run.seed, out] = run
    whole: dict[str, set[int]] = {}
    for name, mine in table.items():
        seeds = {seed for seed, _ in mine}
        whole[name] = {seed for seed in seeds if all((seed, out) in mine for out in groups)}
        if seeds - whole[name]:
            left_out.append(f"{name}, fold {fold}: not all groups are done with seeds {seeds}")
    kinds = {name: next(iter(mine.values())).kind for name, mine in table.items()}
    trained = [name for name in table if kinds[name] == "train" and whole[name]]
    shared = set.intersection(*(whole[name] for name in trained)) if trained else set()
    if not shared:
        raise InputError(
            f"fold {fold}: no seed is done by a trained variant on all of {', '.join(groups)}"
        )
    used = {
        name: sorted(shared) if name in trained else sorted(whole[name])
        for name in table
        if name in trained or (kinds[name] != "train" and whole[name])
    }
    costs = {name: _matrix(table[name], seeds, groups, on) for name, seeds in used.items()}
    best = min(trained, key=lambda name: costs[name].mean())
    methods: dict[str, str] = {}
    for name in sorted(trained, key=lambda name: costs[name].mean()):
        methods.setdefault(name.partition(".")[0], name)
    return {
        "groups": list(groups),
        "seeds": sorted(shared),
        "variants": {
            name: {
                "kind": kinds[name],
                **_figures(table[name], used[name], cost, costs[best], groups),
            }
            for name, cost in sorted(costs.items(), key=lambda item: item[1].mean())
        },
        "winner": best,
        "winners": methods,
    }


def _matrix(
    mine: Mapping[tuple[int, str], Run],
    seeds: Sequence[int],
    groups: Sequence[str],
    on: str,
    figure: str = "cross_entropy",
) -> np.ndarray:
    """Return a figure of the group left out, ``[seeds, groups]``."""
    return np.array(
        [[mine[s, out].report[on]["ood"][out][figure] for out in groups] for s in seeds], float
    )


def _figures(
    mine: Mapping[tuple[int, str], Run],
    seeds: Sequence[int],
    cost: np.ndarray,
    best: np.ndarray,
    groups: Sequence[str],
) -> dict[str, Any]:
    apart = cost - best if cost.shape == best.shape else None
    spread = None
    if apart is not None and apart.size > 1:
        spread = float(apart.std(ddof=1) / np.sqrt(apart.size))
    run = next(iter(mine.values()))
    return {
        "cross_entropy": float(cost.mean()),
        "behind": float(cost.mean() - best.mean()),
        "behind_error": spread,
        "eer": float(_matrix(mine, seeds, groups, "matched", "eer_tie_safe").mean()),
        "by_group": dict(zip(groups, cost.mean(axis=0).tolist(), strict=True)),
        **{
            f"cross_entropy_{on}": float(_matrix(mine, seeds, groups, on).mean())
            for on in SELECTIONS
        },
        "recipe_sha256": run.metrics.get("recipe_sha256"),
        "encoder": run.metrics.get("encoder"),
    }


def choice_text(choice: Mapping[str, Any], fold: str) -> pd.DataFrame:
    """Set a fold's variants into a table for people, the best first."""
    block = choice["folds"][fold]
    rows = []
    for name, each in block["variants"].items():
        error = each["behind_error"]
        behind = number(each["behind"], "{:+.3f}")
        method = name.partition(".")[0]
        rows.append(
            {
                "variant": name,
                "cross-entropy": number(each["cross_entropy"], "{:.3f}"),
                "behind": behind if error is None else f"{behind} ± {error:.3f}",
                **{out: number(cost, "{:.3f}") for out, cost in each["by_group"].items()},
                "all clips": number(each["cross_entropy_all"], "{:.3f}"),
                "EER %": percent(each["eer"], 1),
                "chosen": "best"
                if name == block["winner"]
                else f"best {method}"
                if block["winners"].get(method) == name
                else NONE,
            }
        )
    return pd.DataFrame(rows)


def choice_caption(choice: Mapping[str, Any], fold: str) -> str:
    """Say what the figures are."""
    block = choice["folds"][fold]
    seeds = ", ".join(map(str, block["seeds"]))
    return (
        f"Fold {fold}: each of its groups left out in turn, its train and dev clips against human "
        f"dev clips. Cross-entropy in nats on {choice['on']} clips, mean over groups and seeds "
        f"({seeds}); guessing gives 0.693. Behind: difference from the best, with the standard "
        "error over groups and seeds. EER on matched clips."
    )
