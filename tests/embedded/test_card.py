"""The card's figures are those of the runs in ``results/``."""

import json
from pathlib import Path
from statistics import mean

import pytest

from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.suites.mini import ood_groups

RUNS = Path(__file__).parents[2] / "results" / "folds_embedded" / "moe_lora"
PARTS = ("matched", "all", "pair_disjoint")


@pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")
def test_groups_left_out_are_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    averages: dict[str, list[float]] = {}
    for fold in "AB":
        report = json.loads((RUNS / fold / "0" / "suite.json").read_text(encoding="utf-8"))
        for group in ood_groups(fold):
            row = next(line for line in card.splitlines() if line.startswith(f"| {group} |"))
            told = [float(cell) for cell in row.split("|")[2:5]]
            for part, figure in zip(PARTS, told, strict=True):
                rate = 100 * report[part]["ood"][group]["eer_tie_safe"]
                assert round(rate, 1) == figure
                averages.setdefault(part, []).append(rate)
    assert [len(rates) for rates in averages.values()] == [7, 7, 7]
    last = next(line for line in card.splitlines() if line.startswith("| **average**"))
    told = [float(cell.strip(" *")) for cell in last.split("|")[2:5]]
    assert told == [round(mean(rates), 1) for rates in averages.values()]
