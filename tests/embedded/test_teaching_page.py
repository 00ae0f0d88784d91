"""The headline row of docs/teaching.md is that of results/teaching."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_row_of_faint_copies_is_the_suites():
    report = ROOT / "results" / "teaching" / "copies_cnn_faint" / "0" / "suite.json"
    suite = json.loads(report.read_text())["copies_cnn_faint"]
    matched = suite["matched"]
    average = matched["ood_average"]
    groups = [f"{100 * group['eer_tie_safe']:.1f}" for group in matched["ood"].values()]
    low, high = (100 * bound for bound in average["eer_ci"])
    figures = [
        *groups,
        f"**{100 * average['eer_tie_safe']:.1f}** ({low:.1f}-{high:.1f})",
        f"{100 * suite['all']['ood_average']['eer_tie_safe']:.1f}",
        f"{average['within_corpus_auc']:.2f}",
    ]
    page = (ROOT / "docs" / "teaching.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| `copies_cnn_faint.yaml`"))
    assert row.endswith("| " + " | ".join(figures) + " |")
    assert f"{100 * average['eer_tie_safe']:.1f} %" in (ROOT / "README.md").read_text()
