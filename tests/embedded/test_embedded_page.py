"""What docs/embedded.md says of groups left out is what results/folds_embedded holds."""

import json
from pathlib import Path
from statistics import mean

import pytest

from loradar.evaluation.suites.mini import ood_groups

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "results" / "folds_embedded"
ROWS = {
    "detector": "moe_lora",
    "CNN, labelled clips alone": "spectrogram_cnn_labelled",
    "together": "joined",
}


def reports(variant, fold):
    return [json.loads(p.read_text()) for p in sorted((RUNS / variant / fold).glob("*/suite.json"))]


def left_out(variant, part):
    """Mean over seeds of each of the seven groups, in percent."""
    return {
        group: mean(100 * report[part]["ood"][group]["eer_tie_safe"] for report in found)
        for fold in "BA"
        for found in [reports(variant, fold)]
        for group in ood_groups(fold)
    }


def within_corpora(variant, fold):
    found = reports(variant, fold)
    return mean(report["matched"]["ood_average"]["within_corpus_auc"] for report in found)


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_of_a_cnn_beside(name):
    assert all(len(reports(ROWS[name], fold)) == 2 for fold in "AB")
    rates = [
        f"{mean(left_out(ROWS[name], part).values()):.1f}"
        for part in ("matched", "all", "pair_disjoint")
    ]
    aucs = " / ".join(f"{within_corpora(ROWS[name], fold):.2f}" for fold in "AB")
    page = (ROOT / "docs" / "embedded.md").read_text(encoding="utf-8").replace("*", "")
    assert f"| {name} | {' | '.join(rates)} | {aucs} |" in page


def test_its_groups():
    page = " ".join((ROOT / "docs" / "embedded.md").read_text(encoding="utf-8").split())
    joined, alone = left_out("joined", "matched"), left_out("moe_lora", "matched")
    told = ", ".join(f"{group} {rate:.1f}" for group, rate in joined.items())
    assert f"By group: {told}" in page
    assert f"(alone: {', '.join(f'{rate:.1f}' for rate in alone.values())})" in page
