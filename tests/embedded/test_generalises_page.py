"""What pages say of the headline's runs is what results/ holds."""

import json
from pathlib import Path
from statistics import mean, stdev

import pytest

from loradar.evaluation.suites.mini import GROUPS

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "results" / "mini"
NAMES = {
    "corpus_prior": "the corpus alone",
    "trivial_features": "long-term spectrum",
    "lfcc_gmm": "LFCC-GMM",
    "spectrogram_cnn": "`spectrogram_cnn`",
    "frozen": "`frozen`",
    "full": "`full`",
    "lora": "`lora`",
    "moe_lora": "`moe_lora`",
}
TRAINED = ("spectrogram_cnn", "frozen", "full", "lora", "moe_lora")


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def reports(variant, fold):
    paths = sorted((MINI / "embedded" / variant / fold).glob("*/suite.json"))
    return [json.loads(path.read_text()) for path in paths]


def groups(variant, part, figure):
    """Each group's mean over seeds."""
    both = [reports(variant, fold) for fold in "AB"]
    return {
        name: mean(report[part]["ood"][name][figure] for report in seeds)
        for seeds in both
        for name in seeds[0][part]["ood"]
    }


def percent(rate):
    return f"{100 * rate:.1f}"


@pytest.fixture(scope="module")
def comparison():
    return json.loads((MINI / "embedded" / "comparison.json").read_text())


@pytest.mark.parametrize("variant", NAMES)
def test_the_rows_are_the_suites(variant, comparison):
    both = [reports(variant, fold) for fold in "AB"]
    assert [len(seeds) for seeds in both] == ([5, 5] if variant in TRAINED else [1, 1])
    matched = groups(variant, "matched", "eer_tie_safe")
    average = mean(matched.values())
    told = comparison["average_ood_eer"][variant]
    assert told["mean"] == pytest.approx(average)
    folds = [mean(r["matched"]["ood_average"]["eer_tie_safe"] for r in seeds) for seeds in both]
    cells = [
        percent(mean(mean(r["matched"]["id"]["eer_tie_safe"] for r in seeds) for seeds in both)),
        *(percent(matched[name]) for name in GROUPS),
        f"**{percent(average)}** ({percent(told['low'])}-{percent(told['high'])})",
        " / ".join(map(percent, folds)),
        percent(mean(groups(variant, "pair_disjoint", "eer_tie_safe").values())),
        percent(mean(groups(variant, "all", "eer_tie_safe").values())),
        f"{mean(groups(variant, 'matched', 'within_corpus_auc').values()):.2f}",
    ]
    assert f"| {NAMES[variant]} | {' | '.join(cells)} |" in page("generalises.md")


def test_the_ratios_are_those_of_the_means(comparison):
    ours = mean(groups("moe_lora", "matched", "eer_tie_safe").values())
    summary = json.loads((MINI / "summary.json").read_text())
    for other in ("full", "lora", "frozen", "spectrogram_cnn", "lfcc_gmm", "corpus_prior"):
        block = comparison[f"moe_lora_over_{other}"]
        ratio = ours / mean(groups(other, "matched", "eer_tie_safe").values())
        assert block["ratio"] == pytest.approx(ratio)
        assert summary[f"moe_lora_over_{other}"]["ratio"] == block["ratio"]
        span = f"({block['low']:.2f}-{block['high']:.2f})"
        assert f"| {NAMES[other]} | **{ratio:.2f}** {span} |" in page("generalises.md")
    assert summary["average_ood_eer"]["moe_lora"]["mean"] == pytest.approx(ours)
    assert (summary["seeds"], summary["folds"]) == ([0, 1, 2, 3, 4], ["A", "B"])


@pytest.mark.parametrize("fold", ["A", "B"])
# Where the convolutions are open, the hash is of what stays fixed.
@pytest.mark.parametrize("methods", [("frozen", "full"), ("lora", "moe_lora")])
def test_all_runs_of_a_fold_are_on_one_encoder(fold, methods):
    hashes = {
        json.loads(path.read_text())["encoder_sha256"]
        for name in methods
        for path in (MINI / "embedded" / name / fold).glob("*/metrics.json")
    }
    assert len(hashes) == 1 and None not in hashes


def test_the_levers_rows_are_the_suites():
    folder = ROOT / "results" / "ablation_embedded"

    def of(lever):
        return {
            path.parts[-3]: json.loads(path.read_text())["matched"]["ood_average"]
            for path in sorted((folder / lever).glob("*/0/suite.json"))
        }

    reference, told = of("reference"), page("generalises.md")
    for lever in sorted(path.name for path in folder.iterdir() if path.name != "reference"):
        found = of(lever)
        cells = []
        for figure, scale, digits in (("cross_entropy", 1, 3), ("eer_tie_safe", 100, 1)):
            changes = [scale * (found[f][figure] - reference[f][figure]) for f in found]
            error = stdev(changes) / len(changes) ** 0.5
            cells.append(f"{mean(changes):+.{digits}f} ± {error:.{digits}f}")
            assert abs(mean(changes)) < 2 * error
        assert f"| {len(found)} | {' | '.join(cells)} |" in told, lever


def test_growth_is_its_runs(tool):
    growth = tool("growth_experiment")
    folder = ROOT / "results" / "growth"
    done = growth.runs(folder)
    assert len(done) == 2 * 5 * len(GROUPS)
    table = growth.table_of(done)
    assert table == (folder / "growth.md").read_text().rstrip("\n")
    assert table in page("experts.md")
    old = growth.changes(done, "grow", "matched", "old_eer")
    assert 100 * (old["after"] - old["before"]) <= 0.5 and 100 * old["high"] <= 2
