"""From runs to the comparison of variants: means, intervals, ratios and differences.

An average out-of-domain EER is the mean over folds, groups and seeds, each group of each fold
counting once. Intervals are percentile bootstraps in which seeds and clusters of clips are drawn
together; differences and ratios are paired, that is, both sides of them see the same draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loradar.errors import InputError
from loradar.evaluation.bootstrap import percentile_interval
from loradar.evaluation.compare.draws import ID, Part, Progress, RunDraws, draw_runs
from loradar.evaluation.compare.runs import Run
from loradar.evaluation.det import FloatArray
from loradar.evaluation.suites.mini import GROUPS

RESAMPLES = 1000
#: Fewer seeds than this give intervals that are too narrow.
ENOUGH_SEEDS = 5
#: Name of a figure -> selection of clips, and whether in-domain groups or the others.
FIGURES = {
    "id_eer": ("matched", True),
    "ood_average": ("matched", False),
    "ood_pair_disjoint": ("pair_disjoint", False),
    "ood_without_lj": ("matched_without_lj", False),
    "ood_all_clips": ("all", False),
}
COSTS = ("trained_parameters", "step_seconds", "peak_memory_mib", "seconds")


def compare_runs(
    runs: Sequence[Run],
    *,
    main: str | None = None,
    folds: Sequence[str] | None = None,
    clusters: str = "pair_id",
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare the variants of one or more grids.

    Parameters
    ----------
    runs : sequence of Run
        Of `runs.find_runs`. A seed counts once all folds of it are done.
    main : str, optional
        The variant that is set against every other. Default: ``moe_lora``, else the first that
        was trained, else the first.
    folds : sequence of str, optional
        Default: all that occur.
    clusters : str
        Column of the clips to resample by: ``pair_id`` or ``speaker``.
    resamples, seed
        Bootstrap draws and their seed.
    progress : callable, optional
        Called with (done, total, what).

    Returns
    -------
    dict
        ``variants``: name -> ``{"kind", "seeds", FIGURE: ESTIMATE, "ood": {group: ESTIMATE},
        "within_corpus_auc", "trained_parameters", "step_seconds", "peak_memory_mib", "seconds"}``
        with the keys of `FIGURES` and an ESTIMATE ``{"mean", "low", "high", "seed_sd",
        "by_seed"}`` (None where a figure does not exist); costs are medians over runs.
        ``over``: other variant -> ``{"ratio", "low", "high", "difference", "difference_low",
        "difference_high", "seeds", ...}`` of the main variant's ``ood_average``, and the same
        under ``id_eer``, ``ood_pair_disjoint``, ``ood_without_lj`` and ``ood_all_clips``;
        ``within_corpus_auc_difference``; and ``holds``: whether the main variant is better beyond
        chance (``high`` below 1), and also on pair-disjoint clips and within corpora.
        Beside them ``main``, ``folds``, ``seeds``, ``resamples``, ``clusters`` (None when clips
        could not be resampled) and ``left_out``, one line for each variant or run that does not
        count. Rates are fractions.

    Raises
    ------
    InputError
        No variant is complete, or there is no such variant or fold; see also `draw_runs`.
    """
    chosen, used_folds, left_out = _complete(runs, folds)
    if not chosen:
        raise InputError(f"no variant is done on all folds: {'; '.join(left_out)}")
    drawn, by_clips = draw_runs(
        [run for mine in chosen.values() for run in mine],
        clusters=clusters,
        resamples=resamples,
        seed=seed,
        progress=progress,
    )
    known = {each.run.name: each for each in drawn}
    samples = {
        name: _Variant([known[run.name] for run in mine], used_folds, by_clips)
        for name, mine in chosen.items()
    }
    main = _main(main, samples)
    # One row of uniform numbers a draw: variants of equal seeds draw the same of them.
    chance = np.random.default_rng(seed + 1).random((resamples, max(map(len, chosen.values()))))
    return {
        "main": main,
        "folds": used_folds,
        "seeds": sorted({s for v in samples.values() if v.kind == "train" for s in v.seeds}),
        "resamples": resamples,
        "clusters": clusters if by_clips else None,
        "left_out": left_out,
        "variants": {name: variant.summary(chance) for name, variant in samples.items()},
        "over": {
            name: over(samples[main], variant, chance)
            for name, variant in samples.items()
            if name != main
        },
    }


def over(one: _Variant, other: _Variant, chance: FloatArray) -> dict[str, Any]:
    """Set one variant against another, paired by seed and draw; see `compare_runs`.

    Where both were trained, only the seeds that both have count.
    """
    seeds, others = one.seeds, other.seeds
    if one.kind == other.kind == "train":
        seeds = others = [number for number in one.seeds if number in other.seeds]
    found: dict[str, Any] = {"seeds": seeds if one.kind == "train" else others}
    for figure, (selection, inside) in FIGURES.items():
        pair = None
        if seeds:
            left = one.mean(selection, inside, chance, seeds)
            right = other.mean(selection, inside, chance, others)
            varies = one.varies(seeds) or other.varies(others)
            pair = None if left is None or right is None else _ratio(left, right, varies)
        found |= (pair or _ratio(None, None)) if figure == "ood_average" else {figure: pair}
    aucs = one.auc(seeds), other.auc(others)
    gain = None if aucs[0] is None or aucs[1] is None else aucs[0] - aucs[1]
    found["within_corpus_auc_difference"] = gain
    apart = (found["ood_pair_disjoint"] or {}).get("difference")
    found["holds"] = (
        (found["high"] is not None and found["high"] < 1)
        and (found["difference_high"] is not None and found["difference_high"] < 0)
        and (apart is not None and apart < 0)
        and (gain is not None and gain > 0)
    )
    return found


class _Variant:
    """The runs of one variant on the folds that are compared."""

    def __init__(self, drawn: Sequence[RunDraws], folds: Sequence[str], by_clips: bool) -> None:
        self.runs = [each.run for each in drawn]
        self.kind = self.runs[0].kind
        self.seeds = sorted({run.seed for run in self.runs})
        self._folds = folds
        self._by_clips = by_clips
        self._drawn = {(each.run.fold, each.run.seed): each for each in drawn}

    def parts(
        self, selection: str, inside: bool, group: str | None = None
    ) -> list[tuple[str, Part]]:
        """Return (fold, part) of what is averaged: the same for every seed."""
        return [
            (fold, part)
            for fold in self._folds
            for part in self._drawn[fold, self.seeds[0]].rates
            if part[0] == selection and (part[1] == ID) == inside and group in (None, part[1])
        ]

    def mean(
        self,
        selection: str,
        inside: bool,
        chance: FloatArray,
        seeds: Sequence[int],
        group: str | None = None,
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return the mean of each seed ``[S]``, and the mean over seeds on each draw ``[D]``.

        None where there is nothing to average.
        """
        wanted = self.parts(selection, inside, group)
        if not wanted or not seeds:
            return None
        rows = [[self._drawn[fold, s] for fold, _ in wanted] for s in seeds]
        names = [part for _, part in wanted]
        point = np.array(
            [
                np.mean([each.rates[part] for each, part in zip(row, names, strict=True)])
                for row in rows
            ]
        )
        drawn = np.array(
            [
                np.mean([each.draws[part] for each, part in zip(row, names, strict=True)], axis=0)
                for row in rows
            ]
        )
        picked = (chance[:, : len(seeds)] * len(seeds)).astype(np.intp)  # [D, S]
        return point, drawn[picked, np.arange(len(chance))[:, None]].mean(axis=1)

    def varies(self, seeds: Sequence[int]) -> bool:
        """Whether draws can differ at all: clips were resampled, or there are several seeds."""
        return self._by_clips or len(seeds) > 1

    def auc(self, seeds: Sequence[int]) -> float | None:
        """Return the mean within-corpus AUC over folds, groups and seeds."""
        values = [
            block["within_corpus_auc"]
            for run in self.runs
            if run.seed in seeds
            for block in run.report["matched"]["ood"].values()
            if block["within_corpus_auc"] is not None
        ]
        return float(np.mean(values)) if values else None

    def summary(self, chance: FloatArray) -> dict[str, Any]:
        """Return all figures of this variant; see `compare_runs`."""
        found: dict[str, Any] = {"kind": self.kind, "seeds": self.seeds}
        varies = self.varies(self.seeds)
        for figure, (selection, inside) in FIGURES.items():
            found[figure] = _estimate(self.mean(selection, inside, chance, self.seeds), varies)
        found["ood"] = {
            group: _estimate(self.mean("matched", False, chance, self.seeds, group), varies)
            for group in GROUPS
            if self.parts("matched", False, group)
        }
        found["within_corpus_auc"] = self.auc(self.seeds)
        for cost in COSTS:
            values = [run.metrics[cost] for run in self.runs if run.metrics.get(cost) is not None]
            found[cost] = float(np.median(values)) if values else None
        return found


def _complete(
    runs: Sequence[Run], folds: Sequence[str] | None
) -> tuple[dict[str, list[Run]], list[str], list[str]]:
    """Return each variant's runs of the seeds done on all folds, the folds, what is left out."""
    there = list(dict.fromkeys(run.fold for run in runs))
    used = list(dict.fromkeys(folds)) if folds else there
    for fold in used:
        if fold not in there:
            raise InputError(f"there is no fold {fold!r} (there are: {', '.join(there)})")
    chosen: dict[str, list[Run]] = {}
    left_out: list[str] = []
    for name in dict.fromkeys(run.variant for run in runs):
        mine = [run for run in runs if run.variant == name and run.fold in used]
        for run in mine:
            if run.status != "done":
                left_out.append(
                    f"{run.name}: {run.status}" + (f" ({run.reason})" if run.reason else "")
                )
        done = {(run.fold, run.seed): run for run in mine if run.status == "done"}
        seeds = sorted({seed for _, seed in done})
        whole = [seed for seed in seeds if all((fold, seed) in done for fold in used)]
        for seed in seeds:
            if seed not in whole:
                missing = [fold for fold in used if (fold, seed) not in done]
                left_out.append(f"{name}, seed {seed}: not done on {', '.join(missing)}")
        if whole:
            chosen[name] = [done[fold, seed] for seed in whole for fold in used]
    return chosen, used, left_out


def _main(asked: str | None, samples: dict[str, _Variant]) -> str:
    if asked is not None and asked not in samples:
        raise InputError(
            f"there is no complete variant {asked!r} (there are: {', '.join(samples)})"
        )
    trained = [name for name, variant in samples.items() if variant.kind == "train"]
    default = "moe_lora" if "moe_lora" in samples else next(iter([*trained, *samples]))
    return asked or default


def _estimate(values: tuple[FloatArray, FloatArray] | None, varies: bool) -> dict[str, Any] | None:
    if values is None:
        return None
    point, drawn = values
    low, high = (percentile_interval(drawn) if varies else None) or (None, None)
    return {
        "mean": float(point.mean()),
        "low": low,
        "high": high,
        "seed_sd": float(point.std(ddof=1)) if len(point) > 1 else None,
        "by_seed": point.tolist(),
    }


def _ratio(
    one: tuple[FloatArray, FloatArray] | None,
    other: tuple[FloatArray, FloatArray] | None,
    varies: bool = False,
) -> dict[str, float | None]:
    """Return ratio and difference with their intervals; all None without values."""
    names = ("ratio", "low", "high", "difference", "difference_low", "difference_high")
    if one is None or other is None:
        return dict.fromkeys(names)
    left, right = float(one[0].mean()), float(other[0].mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        # Two sides without an error are equal; draws without a ratio must not drop out unseen.
        ratio_draws = np.where((one[1] == 0) & (other[1] == 0), 1.0, one[1] / other[1])
    ratios, differences = (
        (percentile_interval(values) if usable else None) or (None, None)
        for values, usable in (
            (ratio_draws, varies and not np.isinf(ratio_draws).any()),
            (one[1] - other[1], varies),
        )
    )
    ratio = left / right if right > 0 else None
    values = (ratio, *ratios, left - right, *differences)
    return dict(zip(names, values, strict=True))
