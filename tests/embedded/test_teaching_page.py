"""What docs/teaching.md says of runs is what results/ holds of them."""

import json
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_row_of_faint_copies_is_the_suites():
    folder = ROOT / "results" / "teaching" / "copies_cnn_faint"
    paths = sorted(folder.glob("*/suite.json"))
    suites = [json.loads(path.read_text())["copies_cnn_faint"] for path in paths]
    assert len(suites) == 3

    def averages(part, figure):
        return [suite[part]["ood_average"][figure] for suite in suites]

    matched = averages("matched", "eer_tie_safe")
    groups = [
        f"{100 * mean(suite['matched']['ood'][name]['eer_tie_safe'] for suite in suites):.1f}"
        for name in suites[0]["matched"]["ood"]
    ]
    seeds = ", ".join(f"{100 * rate:.1f}" for rate in matched)
    figures = [
        *groups,
        f"**{100 * mean(matched):.1f}** ({seeds})",
        f"{100 * mean(averages('all', 'eer_tie_safe')):.1f}",
        f"{mean(averages('matched', 'within_corpus_auc')):.2f}",
    ]
    page = " ".join((ROOT / "docs" / "teaching.md").read_text().split())
    assert "| " + " | ".join(figures) + " |" in page
    bounds = averages("matched", "eer_ci")
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    assert f"intervals over clips reach from {100 * low:.1f} to {100 * high:.1f}" in page
    assert f"{100 * mean(matched):.1f} %" in (ROOT / "README.md").read_text()


def of_fold(fold, trained_on):
    """A row's reports, seed by seed."""
    results = ROOT / "results"
    if trained_on == "labelled":
        earlier = results / "folds_embedded" / "spectrogram_cnn_labelled" / fold
        paths = [earlier / "0", earlier / "1", results / "folds_copies" / "labelled" / fold / "2"]
    else:
        paths = sorted((results / "folds_copies" / trained_on / fold).glob("*"))
    return [json.loads((path / "suite.json").read_text()) for path in paths]


def average(reports, part, figure="eer_tie_safe"):
    return mean(report[part]["ood_average"][figure] for report in reports)


@pytest.mark.parametrize("fold", ["A", "B"])
@pytest.mark.parametrize(
    ("name", "trained_on"), [("labelled clips", "labelled"), ("and copies", "labelled_and_copies")]
)
def test_the_rows_of_the_folds_are_their_suites(fold, name, trained_on):
    reports = of_fold(fold, trained_on)
    assert len(reports) == 3
    seeds = [report["matched"]["ood_average"]["eer_tie_safe"] for report in reports]

    def of_groups(figure):
        groups = [g for report in reports for g in report["matched"]["ood"].values()]
        return mean(group[figure] for group in groups)

    rates = [average(reports, p) for p in ("pair_disjoint", "matched_without_lj", "all")]
    figures = [
        f"{100 * mean(report['matched']['id']['eer_tie_safe'] for report in reports):.1f}",
        f"{100 * mean(seeds):.1f} ({', '.join(f'{100 * rate:.1f}' for rate in seeds)})",
        *(f"{100 * rate:.1f}" for rate in rates),
        f"{average(reports, 'matched', 'within_corpus_auc'):.2f}",
        f"{of_groups('auc'):.2f}",
        f"{of_groups('cross_entropy'):.2f}",
    ]
    page = (ROOT / "docs" / "teaching.md").read_text().replace("*", "")
    assert f"| {fold} | {name} | {' | '.join(figures)} |" in page


def test_what_copies_take_off_the_folds():
    before, after = (
        mean(average(of_fold(fold, row), "matched") for fold in "AB")
        for row in ("labelled", "labelled_and_copies")
    )
    page = " ".join((ROOT / "docs" / "teaching.md").read_text().split())
    told = f"{100 * before:.1f} to {100 * after:.1f} on average, {100 * (1 - after / before):.0f} %"
    assert told in page


FAMILIES = {
    "classical": "classical, no phase attacks",
    "plus_codec": "codec besides",
    "plus_flow": "flow besides",
    "plus_istft": "iSTFT besides",
    "plus_gan": "GAN besides: all of `copies_cnn_faint.yaml`",
}


@pytest.mark.parametrize("row", FAMILIES)
def test_the_rows_of_families_are_their_suites(row):
    folder = ROOT / "results" / "teaching" / row
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*/suite.json"))]
    assert reports
    seeds = [report["matched"]["ood_average"]["eer_tie_safe"] for report in reports]
    groups = [
        f"{100 * mean(report['matched']['ood'][name]['eer_tie_safe'] for report in reports):.1f}"
        for name in reports[0]["matched"]["ood"]
    ]
    figures = [
        *groups,
        f"{100 * mean(seeds):.1f} ({', '.join(f'{100 * rate:.1f}' for rate in seeds)})",
        f"{100 * average(reports, 'all'):.1f}",
        f"{average(reports, 'matched', 'within_corpus_auc'):.2f}",
    ]
    page = (ROOT / "docs" / "teaching.md").read_text().replace("*", "")
    assert f"| {FAMILIES[row]} | {' | '.join(figures)} |" in page


@pytest.mark.parametrize("fold", ["A", "B"])
@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("the labelled clips' CNN", "labelled"),
        ("the copies' CNN", "copies"),
        ("both, logits added", "beside"),
        ("two CNNs of the labelled clips, logits added", "twice"),
    ],
)
def test_the_rows_of_cnns_beside_each_other_are_their_suites(fold, name, run):
    paths = sorted((ROOT / "results" / "folds_beside" / run / fold).glob("*/suite.json"))
    reports = [json.loads(path.read_text()) for path in paths]
    assert len(reports) == 3
    seeds = [report["matched"]["ood_average"]["eer_tie_safe"] for report in reports]
    figures = [
        f"{100 * mean(report['matched']['id']['eer_tie_safe'] for report in reports):.1f}",
        f"{100 * mean(seeds):.1f} ({', '.join(f'{100 * rate:.1f}' for rate in seeds)})",
        *(f"{100 * average(reports, part):.1f}" for part in ("pair_disjoint", "all")),
        f"{average(reports, 'matched', 'within_corpus_auc'):.2f}",
        f"{average(reports, 'matched', 'auc'):.2f}",
    ]
    page = (ROOT / "docs" / "teaching.md").read_text()
    assert f"| {fold} | {name} | {' | '.join(figures)} |" in page
