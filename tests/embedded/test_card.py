"""The card's figures are those of the runs in ``results/``."""

import json
from statistics import mean

import pandas as pd
import pytest
from tests.embedded.folds import RESULTS, reports_of
from tests.embedded.test_embedded_page import GROUPS, held_pages

from loradar.embedded import DETECTOR, FOLDER, is_installed
from loradar.evaluation.det import eer_tie_safe
from loradar.evaluation.suites.mini import ood_groups

PARTS = ("matched", "all", "pair_disjoint")
LEFT_OUT = RESULTS / "embedded" / "left_out"
HEADLINE = RESULTS / "mini" / "embedded"
# Columns of the card's table after those of the siblings, by what holds their runs.
BESIDE = (
    RESULTS / "folds_embedded" / "corpus_prior",
    RESULTS / "folds_embedded" / "lfcc_gmm",
    HEADLINE / "spectrogram_cnn",
    RESULTS / "folds_copies" / "labelled_and_copies",
    LEFT_OUT / "headline",
)

shipped = pytest.mark.skipif(not is_installed(DETECTOR), reason="no embedded weights in the tree")


def reports(folder, fold):
    paths = sorted((folder / fold).glob("*/suite.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def rate(found, part, group):
    """Mean over seeds of a group left out, in percent."""
    return mean(100 * report[part]["ood"][group]["eer_tie_safe"] for report in found)


def cells(card, name):
    line = next(line for line in card.splitlines() if line.startswith(f"| {name} |"))
    return [float(cell.strip(" *").split("*")[0]) for cell in line.split("|")[2:11]]


@shipped
def test_groups_left_out_are_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    heard = json.loads((RESULTS / "embedded" / "heard.json").read_text(encoding="utf-8"))
    columns: list[list[float]] = [[] for _ in range(9)]
    for fold in "AB":
        siblings = reports(LEFT_OUT / "headline_grafts", fold)
        assert len(siblings) == len(reports(BESIDE[-1], fold)) == 3
        beside = [reports(folder, fold) for folder in BESIDE]
        for group in ood_groups(fold):
            rates = [rate(siblings, part, group) for part in PARTS]
            rates += [rate(found, "matched", group) for found in [*beside, [heard]]]
            assert cells(card, group) == [round(value, 1) for value in rates], group
            for column, value in zip(columns, rates, strict=True):
                column.append(value)
    assert all(len(column) == 7 for column in columns)
    assert cells(card, "**average**") == [round(mean(column), 1) for column in columns]
    line = next(line for line in card.splitlines() if line.startswith("| **average** |"))
    compared = json.loads((LEFT_OUT / "comparison.json").read_text(encoding="utf-8"))
    for name in ("ood_average", "ood_pair_disjoint"):
        block = compared["variants"]["joined"][name]
        middle, low, high = (f"{100 * block[key]:.1f}" for key in ("mean", "low", "high"))
        assert f"| **{middle}** ({low}-{high}) |" in line
    public = json.loads((LEFT_OUT / "public_aasist.json").read_text(encoding="utf-8"))
    for group, block in public["matched"]["ood"].items():
        row = next(line for line in card.splitlines() if line.startswith(f"| {group} |"))
        assert row.endswith(f" {100 * block['eer_tie_safe']:.1f} |")
    whole = [100 * public[part]["ood_average"]["eer_tie_safe"] for part in ("matched", "all")]
    assert line.endswith(f" {whole[0]:.1f} |")
    assert (
        f"is at {whole[0]:.1f} % on matched clips" in card
        and f"{whole[1]:.1f} on all; half" in card
    )
    for name, parts in (("trivial_features", ("matched", "all")), ("lfcc_gmm", ("all",))):
        for part in parts:
            rates = [
                rate(reports_of(name, fold), part, group)
                for fold in "AB"
                for group in ood_groups(fold)
            ]
            assert f"at {mean(rates):.1f} % on {part}" in " ".join(card.split())


@shipped
def test_pages_held_back_are_as_measured():
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    section = card.split("## Demo pages that it never heard")[1].split("\n## ")[0].replace("*", "")
    held = held_pages()
    real = held["label"] == "bonafide"
    parts = {"all": held, "matched": held[held["matched"] == "yes"]}
    parts |= {group: held[real | (held["group"] == group)] for group in (*GROUPS, "other")}
    for name, part in parts.items():
        human = (part["label"] == "bonafide").to_numpy()
        scores = [part[column].to_numpy(float) for column in ("score", "before")]
        now, before = (100 * float(eer_tie_safe(s[human], s[~human])) for s in scores)
        assert f"| {name} | {(~human).sum():,} | {now:.1f} | {before:.1f} |" in section, name


@shipped
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


@shipped
def test_the_readme_tells_the_same():
    readme = " ".join((RESULTS.parent / "README.md").read_text(encoding="utf-8").split())
    reserved = pd.read_csv(RESULTS / "reserved" / "clips.csv", keep_default_na=False)
    human = (reserved["label"] == "bonafide").to_numpy()
    rates = [reserved[column].to_numpy(float) for column in ("score", "copies_score")]
    now, before = (100 * float(eer_tie_safe(s[human], s[~human])) for s in rates)
    assert f"equal error rate **{now:.1f} %**" in readme
    assert f"{before:.1f} before demo pages" in readme
    heard = json.loads((RESULTS / "embedded" / "heard.json").read_text(encoding="utf-8"))
    assert f"heard {100 * heard['matched']['ood_average']['eer_tie_safe']:.1f} (one seed)" in readme
    splices = json.loads(
        (RESULTS / "embedded" / "splices_recordings.json").read_text(encoding="utf-8")
    )
    found = splices["long"]["stretches"]
    assert f"it finds in {found['count']} of {found['of']} recordings" in readme
    unsure = sum(
        json.loads((RESULTS / "embedded" / f"alarms_{name}.json").read_text(encoding="utf-8"))[
            "all"
        ]["uncertain"]["count"]
        for name in ("korean", "wake_word")
    )
    assert f"none SPOOF, {unsure} UNCERTAIN" in readme


@shipped
def test_each_group_left_out_alone_is_as_measured():
    six, count = LEFT_OUT / "six_groups", {1: "one seed", 2: "two seeds", 3: "three seeds"}
    card = (FOLDER / DETECTOR / "README.md").read_text(encoding="utf-8")
    section = card.split("## Each group left out alone")[1].split("\n## ")[0]
    words = " ".join(section.split())
    columns = [("moe_lora", part) for part in PARTS]
    columns += [(name, "matched") for name in ("spectrogram_cnn", "joined")]
    columns += [(name, "matched") for name in ("corpus_prior", "lfcc_gmm")]
    rows = []
    for group in GROUPS:
        rows.append([rate(reports(six / name, group), part, group) for name, part in columns])
        assert f"| {group} | {' | '.join(f'{value:.1f}' for value in rows[-1])} |" in section
        for name, told in (("moe_lora", "nothing chosen anew"), ("spectrogram_cnn", "same clips")):
            seeds = len(reports(six / name, group))
            assert f"{told} ({count[seeds]})" in words, group
    average = [mean(column) for column in zip(*rows, strict=True)]
    compared = json.loads((six / "comparison.json").read_text(encoding="utf-8"))
    block = compared["variants"]["moe_lora"]
    told = []
    for place, name in enumerate(("ood_average", "ood_all_clips", "ood_pair_disjoint")):
        middle, low, high = (100 * block[name][key] for key in ("mean", "low", "high"))
        assert middle == pytest.approx(average[place], abs=0.05)
        told.append(f"{middle:.1f} ({low:.1f}-{high:.1f})")
    told += [f"{value:.1f}" for value in average[3:]]
    assert f"| average | {' | '.join(told)} |" in section
    seeds = ", ".join(f"{100 * value:.1f}" for value in block["ood_average"]["by_seed"])
    over = compared["moe_lora_over_spectrogram_cnn"]
    assert f"Seeds: {seeds} %." in words
    assert f"{over['ratio']:.2f} ({over['low']:.2f}-{over['high']:.2f})" in words
    public = json.loads((LEFT_OUT / "public_aasist.json").read_text(encoding="utf-8"))
    half = 50 * public["matched"]["ood_average"]["eer_tie_safe"]
    gap = average[0] - half
    verdict = f"missed by {gap:.1f} points" if gap > 0 else "met"
    assert f"({2 * half:.1f} %) is {half:.1f}: {verdict} by these" in words
    halves = {
        group: rate(reports(LEFT_OUT / "headline", fold), "matched", group)
        for fold in "AB"
        for group in ood_groups(fold)
    }
    assert f"are at {mean(halves.values()):.1f}: six groups in as many steps" in words
    alone = dict(zip(GROUPS, (row[0] for row in rows), strict=True))
    codec, istft = (f"{alone[g]:.1f}" for g in ("codec-lm", "istft-vocoder"))
    assert f"are at {codec} with six heard, {halves['codec-lm']:.1f} with a half" in words
    assert f"iSTFT vocoders at {istft}, {halves['istft-vocoder']:.1f}." in words
    pair = [
        rate(reports(LEFT_OUT / "headline_grafts", fold), "matched", group)
        for fold in "AB"
        for group in ood_groups(fold)
    ]
    assert mean(pair) < half, "the card says that the pair is below it"
