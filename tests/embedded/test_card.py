"""The card's figures are those of the runs in ``results/``."""

import json
from statistics import mean

import pytest
from tests.embedded.folds import RESULTS, reports_of

from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.suites.mini import ood_groups

PARTS = ("matched", "all", "pair_disjoint")


@pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")
def test_groups_left_out_are_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    averages: dict[str, list[float]] = {}
    seeds = set()
    for fold in "AB":
        reports = reports_of("joined", fold)
        seeds.add(len(reports))
        for group in ood_groups(fold):
            row = next(line for line in card.splitlines() if line.startswith(f"| {group} |"))
            told = [float(cell) for cell in row.split("|")[2:5]]
            for part, figure in zip(PARTS, told, strict=True):
                rate = mean(100 * report[part]["ood"][group]["eer_tie_safe"] for report in reports)
                assert round(rate, 1) == figure
                averages.setdefault(part, []).append(rate)
    assert f"means of **{('one', 'two', 'three')[seeds.pop() - 1]} seeds**" in card and not seeds
    assert [len(rates) for rates in averages.values()] == [7, 7, 7]
    last = next(line for line in card.splitlines() if line.startswith("| **average**"))
    told = [float(cell.strip(" *")) for cell in last.split("|")[2:5]]
    assert told == [round(mean(rates), 1) for rates in averages.values()]


@pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")
def test_what_stands_beside_them_is_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    heard = json.loads((RESULTS / "embedded" / "heard.json").read_text(encoding="utf-8"))
    columns: list[list[float]] = [[], [], [], [], []]
    beside = ("corpus_prior", "spectrogram_cnn", "lfcc_gmm", "spectrogram_cnn_labelled")
    for fold in "AB":
        reports = [reports_of(name, fold) for name in beside] + [[heard]]
        for group in ood_groups(fold):
            row = next(line for line in card.splitlines() if line.startswith(f"| {group} |"))
            told = [float(cell) for cell in row.split("|")[5:10]]
            for same, figure, column in zip(reports, told, columns, strict=True):
                rates = [100 * each["matched"]["ood"][group]["eer_tie_safe"] for each in same]
                column.append(mean(rates))
                assert round(column[-1], 1) == figure
    last = next(line for line in card.splitlines() if line.startswith("| **average**"))
    told = [float(cell.strip(" *").split("*")[0]) for cell in last.split("|")[5:10]]
    assert told == [round(mean(column), 1) for column in columns]
    for name, parts in (("trivial_features", ("matched", "all")), ("lfcc_gmm", ("all",))):
        for part in parts:
            rates = [
                100 * report[part]["ood"][group]["eer_tie_safe"]
                for fold in "AB"
                for report in reports_of(name, fold)
                for group in ood_groups(fold)
            ]
            assert f"at {mean(rates):.1f} % on {part}" in " ".join(card.split())


@pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")
def test_conditions_and_false_alarms_are_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    report = json.loads((RESULTS / "embedded" / "conditions.json").read_text(encoding="utf-8"))
    rates = [round(100 * row["eer_tie_safe"], 1) for row in report["by_condition"].values()]
    lines = card.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("| clean |"))
    assert [float(cell.strip(" *")) for cell in lines[place + 2].split("|")[1:-1]] == rates
    for name in ("korean", "wake_word"):
        text = (RESULTS / "embedded" / f"alarms_{name}.json").read_text(encoding="utf-8")
        found = json.loads(text)["all"]["flagged"]
        assert f"| {found['count']} of {found['of']} |" in card
