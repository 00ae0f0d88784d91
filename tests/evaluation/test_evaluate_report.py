import json
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from loradar.errors import InputError
from loradar.evaluation.det import eer, eer_tie_safe
from loradar.evaluation.evaluate import FIGURES, evaluate
from loradar.evaluation.metrics import act_dcf, cllr, min_dcf
from loradar.evaluation.table import blocks_frame, interval, percent, report_tables, rich_table

BLOCK = {
    "eer",
    "eer_tie_safe",
    "eer_convex_hull",
    "eer_ci",
    "min_dcf",
    "act_dcf",
    "cllr",
    "min_cllr",
    "auc",
    "bonafide",
    "spoof",
    "llr_from",
}


def _table() -> pd.DataFrame:
    """40 bona fide trials of corpora p and q; 30 spoofed ones of three attacks, two groups."""
    rng = np.random.default_rng(0)
    bona = pd.DataFrame(
        {
            "score": rng.normal(1, 1, 40),
            "label": "bonafide",
            "attack": "",
            "corpus": ["p", "q"] * 20,
            "group": "human",
        }
    )
    spoof = pd.DataFrame(
        {
            "score": rng.normal(-1, 1, 30),
            "label": "spoof",
            "attack": ["A1", "A2", "A3"] * 10,
            "corpus": ["p"] * 20 + ["r"] * 10,
            "group": ["g1"] * 12 + ["g2"] * 18,
        }
    )
    table = pd.concat([bona, spoof], ignore_index=True)
    table["pair"] = [f"s{index % 25}" for index in range(len(table))]
    return table.sample(frac=1, random_state=1)


def _split(table: pd.DataFrame, column: str, value: str) -> tuple[pd.Series, pd.Series]:
    bona = table.loc[table["label"] == "bonafide", "score"]
    return bona, table.loc[(table["label"] == "spoof") & (table[column] == value), "score"]


def test_every_value_is_set_against_all_bona_fide_trials() -> None:
    table = _table()
    report = evaluate(table, by=["group"], ood=["g1", "g2"], resamples=20)
    assert set(report) == {
        "pooled",
        "by_attack",
        "by_corpus",
        "by_group",
        "ood_average",
        "llr_from",
        "trials",
    }
    for column, values in (
        ("attack", ["A1", "A2", "A3"]),
        ("corpus", ["p", "r"]),
        ("group", ["g1", "g2"]),
    ):
        assert list(report[f"by_{column}"]) == values
        for value, block in report[f"by_{column}"].items():
            assert set(block) == BLOCK
            bona, spoof = _split(table, column, value)
            assert block["bonafide"] == 40
            assert block["spoof"] == len(spoof)
            assert block["eer"] == eer(bona, spoof)
            assert block["eer_tie_safe"] == eer_tie_safe(bona, spoof)
            assert block["min_dcf"] == min_dcf(bona, spoof)
            assert block["act_dcf"] == act_dcf(bona, spoof)
            assert block["cllr"] == cllr(bona, spoof)
            assert block["eer_ci"][0] <= block["eer_tie_safe"] <= block["eer_ci"][1]
    average = report["ood_average"]
    rates = [report["by_group"][name]["eer"] for name in ("g1", "g2")]
    assert average["eer"] == pytest.approx(np.mean(rates))
    assert average["eer_ci"][0] < average["eer"] < average["eer_ci"][1]
    assert report["trials"]["used"] == 70
    assert json.loads(json.dumps(report)) == report


def test_ood_values_are_attacks_unless_a_column_is_given() -> None:
    table = _table()
    report = evaluate(table, ood=["A1", "A3"], resamples=0)
    expected = np.mean([eer(*_split(table, "attack", name)) for name in ("A1", "A3")])
    assert report["ood_average"]["eer"] == pytest.approx(expected)
    assert report["ood_average"]["eer_ci"] is None
    by_corpus = evaluate(table, ood=["r"], ood_column="corpus", resamples=0)
    assert by_corpus["ood_average"]["eer"] == eer(*_split(table, "corpus", "r"))
    assert "by_group" not in by_corpus
    with pytest.raises(InputError, match=r"attack = 'A9'.*there are: A1, A2, A3"):
        evaluate(table, ood=["A9"])
    with pytest.raises(InputError, match="say which column"):
        evaluate(table, by=["group", "pair"], ood=["g1"])


def test_within_sets_the_classes_of_one_condition_against_each_other() -> None:
    table = _table().reset_index(drop=True)
    table["codec"] = ["none", "alaw", "opus"] * (len(table) // 3) + [""] * (len(table) % 3)
    table.loc[(table["codec"] == "opus") & (table["label"] == "spoof"), "codec"] = "alaw"
    report = evaluate(table, by=["codec"], within=["codec"], resamples=5)
    blocks = report["within_codec"]
    assert set(blocks) == {"alaw", "none", "opus"}
    alone = evaluate(table[table["codec"] == "alaw"], resamples=0)["pooled"]
    assert blocks["alaw"] | {"eer_ci": None} == alone
    assert blocks["alaw"]["eer_ci"] is not None
    assert blocks["opus"]["eer"] is None
    assert blocks["opus"]["spoof"] == 0
    assert report["by_codec"]["alaw"]["bonafide"] == (table["label"] == "bonafide").sum()
    assert "Within each codec" in _printed(report)
    with pytest.raises(InputError, match="no column 'rate'"):
        evaluate(table, within=["rate"])


def test_intervals_follow_seed_and_clusters() -> None:
    table = _table()
    first, again, other = (
        evaluate(table, resamples=30, seed=seed)["pooled"]["eer_ci"] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert evaluate(table, resamples=30, seed=1, clusters="pair")["pooled"]["eer_ci"] != first
    with pytest.raises(InputError, match="no column 'speaker'"):
        evaluate(table, clusters="speaker")


def test_llr_is_read_where_filled_and_the_block_says_so() -> None:
    table = _table().assign(llr=lambda rows: rows["score"] * 2 + 1)
    bona = table["label"] == "bonafide"
    full = evaluate(table, resamples=0)
    assert full["llr_from"] == full["pooled"]["llr_from"] == "llr"
    assert full["pooled"]["cllr"] == cllr(table.loc[bona, "llr"], table.loc[~bona, "llr"])
    assert full["pooled"]["eer"] == eer(table.loc[bona, "score"], table.loc[~bona, "score"])
    table.loc[table["attack"] == "A1", "llr"] = np.nan
    part = evaluate(table, resamples=0)
    assert part["llr_from"] == part["by_attack"]["A1"]["llr_from"] == "mixed"
    assert part["by_attack"]["A2"]["llr_from"] == "llr"
    assert part["by_attack"]["A2"]["act_dcf"] == full["by_attack"]["A2"]["act_dcf"]
    none = evaluate(table.assign(llr=np.nan), resamples=0)
    assert none["llr_from"] == "score"


def test_unscored_and_unlabelled_trials_are_counted_not_hidden() -> None:
    table = _table().reset_index(drop=True)
    bona = table.index[table["label"] == "bonafide"]
    spoof = table.index[table["label"] == "spoof"]
    table.loc[bona[:3], "score"] = np.nan
    table.loc[spoof[:2], "score"] = np.nan
    table.loc[spoof[5:9], "label"] = ""
    report = evaluate(table, resamples=0)
    assert report["trials"] == {
        "used": 61,
        "without_label": 4,
        "bonafide_without_score": 3,
        "spoof_without_score": 2,
    }
    assert (report["pooled"]["bonafide"], report["pooled"]["spoof"]) == (37, 24)
    text = " ".join(_printed(report).split())
    assert "Left out for want of a score: 5." in text
    assert "Left out for want of a label: 4." in text


@pytest.mark.parametrize("only", ["bonafide", "spoof"])
def test_one_class_alone_gives_nulls_and_counts(only: str) -> None:
    table = _table()
    table = table[table["label"] == only]
    report = evaluate(table, by=["group"], resamples=10)
    pooled = report["pooled"]
    assert {pooled["bonafide"], pooled["spoof"]} == {0, len(table)}
    for name in FIGURES:
        assert pooled[name] is None
    assert len(report["by_attack"]) == (3 if only == "spoof" else 0)
    assert report["ood_average"]["eer"] is None
    assert "–" in _printed(report)


def test_a_table_without_trials_gives_zero_counts() -> None:
    report = evaluate(_table().head(0), resamples=10)
    assert (report["pooled"]["bonafide"], report["pooled"]["spoof"]) == (0, 0)


def test_wrong_tables_are_refused() -> None:
    table = _table().reset_index(drop=True)
    with pytest.raises(InputError, match=r"no column 'label'.*join the scores with a manifest"):
        evaluate(table.drop(columns="label"))
    with pytest.raises(InputError, match="no column 'vocoder'"):
        evaluate(table, by=["vocoder"])
    table.loc[4, "label"] = "real"
    with pytest.raises(InputError, match="trial 5: the label 'real'"):
        evaluate(table)
    table = _table().reset_index(drop=True)
    table.loc[2, "score"] = -np.inf
    with pytest.raises(InputError, match="trial 3: the score is infinite"):
        evaluate(table)


def _printed(report: dict) -> str:
    console = Console(file=StringIO(), width=200)
    for table in report_tables(report, "Test"):
        console.print(table)
    return console.file.getvalue()


def test_tables_show_percent_and_every_breakdown() -> None:
    report = evaluate(_table(), by=["group"], ood=["g1", "g2"], resamples=10)
    text = _printed(report)
    for name in ("pooled", "OOD average", "A1", "A3", "g2", "By corpus", "raw score"):
        assert name in text
    assert percent(report["pooled"]["eer"]) in text
    assert interval(report["ood_average"]["eer_ci"]) in text


def test_percent_and_interval() -> None:
    assert percent(0.0671) == "6.71"
    assert percent(0.0671, 1) == "6.7"
    assert percent(None) == interval(None) == "–"
    assert interval([0.01, 0.0234]) == "1.00–2.34"


def test_names_in_tables_are_not_markup() -> None:
    report = evaluate(_table().replace({"A1": "[red]A1[/x]"}), resamples=0)
    console = Console(file=StringIO(), width=200)
    frame = blocks_frame(report["by_attack"], "attack")
    console.print(rich_table(frame, "[bold]title"))
    assert "[red]A1[/x]" in console.file.getvalue()
    assert "[bold]title" in console.file.getvalue()
    assert frame["EER %"].tolist() == [percent(b["eer"]) for b in report["by_attack"].values()]
