"""The comparison in Markdown, LaTeX, HTML and JSON."""

import json

import pandas as pd
import pytest

from loradar.evaluation.compare.compare import compare_runs
from loradar.evaluation.compare.runs import find_runs
from loradar.evaluation.compare.tables import over_text, variants_text
from loradar.evaluation.compare.write import latex_table, markdown_table, summary, write_comparison


@pytest.fixture
def comparison(grid):
    return compare_runs(find_runs([grid]), resamples=30)


def test_everything_is_written_and_says_the_same(comparison, tmp_path):
    paths = write_comparison(tmp_path / "out", comparison)
    names = ["comparison.md", "comparison.tex", "comparison.html", "comparison.json"]
    assert [path.name for path in paths] == [*names, "average_ood_eer.png", "by_group.png"]
    markdown, tex, html = (path.read_text() for path in paths[:3])
    mean = f"{100 * comparison['variants']['moe_lora']['ood_average']['mean']:.1f}"
    ratio = f"{comparison['over']['full']['ratio']:.3f}"
    for text in (markdown, tex, html):
        assert mean in text
        assert ratio in text
        assert "Fewer than 5 seeds" in text
    assert r"moe\_lora" in tex
    assert html.count("<svg") == 2
    assert paths[4].read_bytes().startswith(b"\x89PNG")


def test_the_headline_has_its_short_keys(comparison):
    found = json.loads(json.dumps(summary(comparison)))
    assert {"ratio", "low", "high"} <= set(found["moe_lora_over_full"])
    assert set(found["average_ood_eer"]["full"]) == {"mean", "low", "high"}
    assert set(found["id_eer"]) == {"corpus_prior", "full", "lora", "moe_lora"}
    assert found["seeds"] == [0, 1, 2]
    assert found["folds"] == ["A", "B"]
    assert found["variants"]["full"]["kind"] == "train"


def test_tables_for_people(comparison):
    table = variants_text(comparison).set_index("variant")
    assert table.loc["corpus_prior", "seeds"] == "–"
    assert table.loc["full", "trained parameters"] == "1,000"
    assert table.loc["full", "step s"] == "1.250"
    assert table.loc["full", "peak MiB"] == "–"
    assert "(" in table.loc["full", "OOD average"]
    against = over_text(comparison).set_index("against")
    assert against.loc["full", "holds"] == "yes"
    assert against.loc["full", "points"].startswith("-")


def test_special_characters_do_not_break_tables():
    frame = pd.DataFrame({"a_b": ["x|y & 5 %"], "n": ["1–2"]})
    lines = markdown_table(frame).splitlines()
    assert lines == ["| a_b | n |", "| --- | --: |", "| x&#124;y & 5 % | 1–2 |"]
    assert r"x|y \& 5 \% & 1--2 \\" in latex_table(frame)
    assert r"a\_b & n \\" in latex_table(frame)
