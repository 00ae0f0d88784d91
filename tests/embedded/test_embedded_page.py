"""What docs/embedded.md says of groups left out is what results/folds_embedded holds."""

import json
from pathlib import Path
from statistics import mean

import pandas as pd
import pytest
from tests.embedded.folds import RESULTS, reports_of

from loradar.evaluation.det import eer_tie_safe
from loradar.evaluation.suites.mini import ood_groups

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "embedded.md"
# With a CNN of labelled clips and copies beside the detector, before demo pages.
COPIES = RESULTS / "embedded" / "copies_branch"
# With a CNN of labelled clips alone beside the detector.
BEFORE = RESULTS / "embedded" / "labelled_branch"
GROUPS = [*ood_groups("B"), *ood_groups("A")]
PEOPLE = ("speechocean762", "samromur", "ammi-pcm2", "ammi-swh")
ROWS = {
    "detector": "moe_lora",
    "CNN, labelled clips alone": "spectrogram_cnn_labelled",
    "together": "joined",
}


def left_out(variant, part):
    """Mean over seeds of each of the seven groups, in percent."""
    return {
        group: mean(100 * report[part]["ood"][group]["eer_tie_safe"] for report in found)
        for fold in "BA"
        for found in [reports_of(variant, fold)]
        for group in ood_groups(fold)
    }


def within_corpora(variant, fold):
    found = reports_of(variant, fold)
    return mean(report["matched"]["ood_average"]["within_corpus_auc"] for report in found)


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_of_a_cnn_beside(name):
    assert all(len(reports_of(ROWS[name], fold)) == 2 for fold in "AB")
    rates = [
        f"{mean(left_out(ROWS[name], part).values()):.1f}"
        for part in ("matched", "all", "pair_disjoint")
    ]
    aucs = " / ".join(f"{within_corpora(ROWS[name], fold):.2f}" for fold in "AB")
    page = PAGE.read_text(encoding="utf-8").replace("*", "")
    assert f"| {name} | {' | '.join(rates)} | {aucs} |" in page


def test_its_groups():
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    joined, alone = left_out("joined", "matched"), left_out("moe_lora", "matched")
    told = ", ".join(f"{group} {rate:.1f}" for group, rate in joined.items())
    assert f"By group: {told}" in page
    assert f"(alone: {', '.join(f'{rate:.1f}' for rate in alone.values())})" in page


def test_joined_on_groups_heard_and_under_conditions():
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    heard = json.loads((BEFORE / "heard.json").read_text())
    rate, (low, high) = (
        heard["matched"]["ood_average"][name] for name in ("eer_tie_safe", "eer_ci")
    )
    whole = 100 * heard["all"]["ood_average"]["eer_tie_safe"]
    assert f"| {100 * rate:.1f} ({100 * low:.1f}-{100 * high:.1f}) | 19.6 / {whole:.1f} |" in page
    joined, alone = (
        json.loads(path.read_text())["by_condition"]
        for path in (BEFORE / "conditions.json", RESULTS / "embedded" / "alone_conditions.json")
    )
    rates = {n: [round(100 * t[n]["eer_tie_safe"], 1) for t in (joined, alone)] for n in alone}
    changes = {name: one - other for name, (one, other) in rates.items()}
    assert f"{min(changes.values()):.1f} to {max(changes.values()):+.1f} points from the" in page
    now, before = rates["opus_64k"]
    assert f"Opus at 64 kbps ({now}, was {before})" in page
    better = {"clean", "mp3_64k", "aac_64k", "noise_20_db", "room", "highpass_80_hz", "gain"}
    assert {name for name, change in changes.items() if change < 0} == better


def test_the_siblings_that_calibrate():
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    now, before = {}, {}
    for fold in "AB":
        report = json.loads((RESULTS / "embedded" / f"calibrating_{fold}.json").read_text())
        now[fold] = 100 * report["matched"]["ood_average"]["eer_tie_safe"]
        before[fold] = " and ".join(
            f"{100 * each['matched']['ood_average']['eer_tie_safe']:.1f}"
            for each in reports_of("moe_lora", fold)
        )
    assert (
        f"at {now['A']:.1f} (fold A; the first ones {before['A']}) and {now['B']:.1f} % (fold B; "
        f"{before['B']})"
    ) in page


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("sibling that calibrates", "moe_lora"),
        ("with the CNN of labelled clips", "pair"),
        ("and the CNN of copies", "three"),
        ("with the CNN of labelled clips and copies (three seeds)", "grafts"),
        ("sibling of the headline (three seeds)", "headline"),
        (
            "the same on the encoder that ships, which heard copies by every family (seed 0)",
            "all_families",
        ),
        (
            "with the CNN of labelled clips and copies, as shipped then (three seeds)",
            "headline_grafts",
        ),
        ("with the CNN that heard further speech", "further_speech"),
        ("that CNN alone", "further_speech_cnn"),
    ],
)
def test_the_rows_of_cnns_with_copies(name, run):
    folder = RESULTS / "embedded" / "left_out" / run
    seeds = [3, 3] if run in ("grafts", "headline", "headline_grafts") else [1, 1]
    if run.startswith("further_speech"):
        part = "cnn" if run.endswith("cnn") else "with_sibling"
        folder, seeds = RESULTS / "further_speech" / "left_out" / part, [2, 1]
    both = [
        [json.loads(path.read_text()) for path in sorted((folder / fold).glob("**/suite.json"))]
        for fold in "AB"
    ]
    assert [len(reports) for reports in both] == seeds
    rates = []
    for part in ("matched", "all", "pair_disjoint"):
        groups = [
            mean(100 * report[part]["ood"][group]["eer_tie_safe"] for report in reports)
            for reports in both
            for group in reports[0][part]["ood"]
        ]
        rates.append(f"{mean(groups):.1f}")
    aucs = " / ".join(
        f"{mean(r['matched']['ood_average']['within_corpus_auc'] for r in reports):.2f}"
        for reports in both
    )
    page = PAGE.read_text(encoding="utf-8")
    assert f"| {name} | {' | '.join(rates)} | {aucs} |" in page


def test_what_the_cnn_of_copies_costs():
    page = PAGE.read_text(encoding="utf-8")
    sides = (BEFORE, RESULTS / "embedded" / "with_copies")

    def read(name):
        return [json.loads((side / name).read_text()) for side in sides]

    for name, part in (("groups heard, matched, %", "matched"), ("all clips", "all")):
        rates = [100 * report[part]["ood_average"]["eer_tie_safe"] for report in read("heard.json")]
        assert f"| {name} | {rates[0]:.1f} | {rates[1]:.1f} |" in page
    names = {"clean": "clean", "MP3 64k": "mp3_64k", "telephone": "telephone"}
    for name, key in {**names, "noise 10 dB": "noise_10_db"}.items():
        blocks = [report["by_condition"][key] for report in read("conditions.json")]
        rates = [100 * block["eer_tie_safe"] for block in blocks]
        assert f"| {name} (pooled) | {rates[0]:.1f} | {rates[1]:.1f} |" in page
    unsure = []
    for corpora in zip(read("alarms_korean.json"), read("alarms_wake_word.json"), strict=True):
        shares = [corpus["all"]["uncertain"] for corpus in corpora]
        assert all(corpus["all"]["flagged"]["count"] == 0 for corpus in corpora)
        unsure.append(f"{sum(s['count'] for s in shares)} of {sum(s['of'] for s in shares)}")
    assert f"| human recordings of ten minutes, UNCERTAIN | {' | '.join(unsure)} |" in page


def test_what_copies_in_its_training_cost():
    page = PAGE.read_text(encoding="utf-8")
    heard, before = (json.loads((side / "heard.json").read_text()) for side in (COPIES, BEFORE))
    for part, name in (("matched", "matched"), ("all", "all clips")):
        rates = [100 * r[part]["ood_average"]["eer_tie_safe"] for r in (before, heard)]
        assert f"| groups heard, {name} | {rates[0]:.1f} | {rates[1]:.1f} |" in page
    rate, (low, high) = (
        heard["matched"]["ood_average"][name] for name in ("eer_tie_safe", "eer_ci")
    )
    line = next(line for line in page.splitlines() if "copies in that CNN's training** (" in line)
    assert f"| {100 * rate:.1f} ({100 * low:.1f}-{100 * high:.1f}) |" in line
    assert f"/ {100 * heard['all']['ood_average']['eer_tie_safe']:.1f} |" in line
    now, then = (
        json.loads((side / "conditions.json").read_text())["by_condition"]
        for side in (COPIES, BEFORE)
    )
    names = {"clean": "clean", "MP3 64k": "mp3_64k", "Opus 64k": "opus_64k"}
    for name, key in {**names, "telephone": "telephone", "noise 10 dB": "noise_10_db"}.items():
        rates = [100 * report[key]["eer_tie_safe"] for report in (then, now)]
        assert f"| {name} (heard, pooled) | {rates[0]:.1f} | {rates[1]:.1f} |" in page


def test_what_further_speech_costs():
    page = PAGE.read_text(encoding="utf-8")
    sides = (COPIES, RESULTS / "further_speech")
    heard = [json.loads((side / "heard.json").read_text()) for side in sides]
    found = [json.loads((side / "conditions.json").read_text())["by_condition"] for side in sides]

    def row(name, rates):
        return f"| {name} | {' | '.join(f'{100 * rate:.1f}' for rate in rates)} |"

    rows = [
        row(f"heard, {name}", [report[part]["ood_average"]["eer_tie_safe"] for report in heard])
        for part, name in (("matched", "matched"), ("all", "all clips"))
    ]
    names = {"clean": "clean", "MP3 64k": "mp3_64k", "Opus 64k": "opus_64k", "room": "room"}
    names |= {"telephone": "telephone", "noise 10 dB": "noise_10_db"}
    rows += [row(name, [r[key]["eer_tie_safe"] for r in found]) for name, key in names.items()]
    unsure = []
    for side in sides:
        corpora = [
            json.loads((side / f"alarms_{name}.json").read_text())["all"]
            for name in ("korean", "wake_word")
        ]
        assert all(corpus["flagged"]["count"] == 0 for corpus in corpora)
        unsure.append(
            "{} of {}".format(
                *(sum(corpus["uncertain"][key] for corpus in corpora) for key in ("count", "of"))
            )
        )
    rows.append(f"| ten minutes of people, UNCERTAIN | {' | '.join(unsure)} |")
    for line in rows:
        assert line in page, line


def test_what_demo_pages_brought():
    lines = set((DOCS / "demo_pages.md").read_text(encoding="utf-8").splitlines())
    for line in demo_pages():
        assert line in lines, line


def demo_pages():
    """The rows of what demo pages in training brought: before and now."""
    sides = (COPIES, RESULTS / "embedded")

    def row(name, rates):
        return f"| {name} | {' | '.join(f'{100 * rate:.1f}' for rate in rates)} |"

    rows = []
    held = held_pages()
    real = held["label"] == "bonafide"
    parts = {"pages held back, pooled": held, "matched": held[held["matched"] == "yes"]}
    parts |= {group: held[real | (held["group"] == group)] for group in GROUPS}
    for name, part in parts.items():
        human = (part["label"] == "bonafide").to_numpy()
        scores = [part[column].to_numpy(float) for column in ("before", "score")]
        rows.append(row(name, [float(eer_tie_safe(s[human], s[~human])) for s in scores]))
    heard = [json.loads((side / "heard.json").read_text()) for side in sides]
    for part, name in (("matched", "matched"), ("all", "all clips")):
        rates = [report[part]["ood_average"]["eer_tie_safe"] for report in heard]
        rows.append(row(f"groups heard, `eval`, {name}", rates))
    found = [json.loads((side / "conditions.json").read_text())["by_condition"] for side in sides]
    names = {"clean": "clean", "MP3 64k": "mp3_64k", "Opus 64k": "opus_64k", "room": "room"}
    names |= {"telephone": "telephone", "noise 20 dB": "noise_20_db", "noise 10 dB": "noise_10_db"}
    for name, key in names.items():
        rows.append(row(f"{name}, `eval`, pooled", [r[key]["eer_tie_safe"] for r in found]))
    reserved = pd.read_csv(RESULTS / "reserved" / "clips.csv", keep_default_na=False)
    human = (reserved["label"] == "bonafide").to_numpy()
    scores = [reserved[column].to_numpy(float) for column in ("copies_score", "score")]
    rates = [float(eer_tie_safe(s[human], s[~human])) for s in scores]
    rows.append(row("reserved pages", rates))
    unsure = []
    for side in sides:
        corpora = [
            json.loads((side / f"alarms_{name}.json").read_text())["all"]["uncertain"]
            for name in ("korean", "wake_word")
        ]
        unsure.append("{} of {}".format(*(sum(c[key] for c in corpora) for key in ("count", "of"))))
    rows.append(f"| people for ten minutes, UNCERTAIN | {' | '.join(unsure)} |")
    return rows


def held_pages():
    """The clips of pages that were held back, as they are (people of other corpora are not)."""
    table = pd.read_csv(RESULTS / "embedded" / "held_back.csv", dtype=str, keep_default_na=False)
    return table[(table["condition"] == "clean") & ~table["corpus"].isin(PEOPLE)]
