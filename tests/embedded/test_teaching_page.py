"""The headline row of docs/teaching.md is that of results/teaching."""

import json
from pathlib import Path
from statistics import mean

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
