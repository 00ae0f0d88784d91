import json
import re

import pytest
import yaml

from loradar.cli.demo import recipes_folder
from loradar.training.recipe import read_recipe


def test_the_demo_on_a_corpus_of_ones_own(loradar, tiny_recipe, tiny_corpus, tmp_path):
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "demo"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    ended = loradar("demo", "--recipe", recipe, "--corpus", tiny_corpus, "-o", out)
    assert ended.code == 0, ended.err
    # Both attacks are in training, so one of them is held out; the table has both modes.
    assert "held out of training: buzz" in ended.err
    header = next(line for line in ended.out.splitlines() if "moe_lora" in line)
    assert "full" in header
    # The printed rate is the one that evaluate gives for the model the demo left.
    shown = re.search(r"out-of-domain: average\D+([\d.]+) \(", ended.out)
    asked = ["--on", out / "manifest.csv", "--ood", "buzz", "--resamples", "0", "--json"]
    report = json.loads(loradar("evaluate", out / "moe_lora", *asked).out)
    assert float(shown[1]) == pytest.approx(100 * report["ood_average"]["eer"], abs=0.05)
    # Two clips went through detect.
    assert "[bonafide]" in ended.out
    assert "[spoof]" in ended.out
    # The held-out attack trained neither model.
    assert "12 training clips (6 bona fide, 6 spoof)" in ended.err
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 2
    assert "synthetic" not in page
    assert "http" not in re.sub(r"http://www.w3.org\S+", "", page)
    assert (out / "moe_lora" / "config.json").exists()
    assert (out / "full" / "config.json").exists()


def test_the_demos_own_recipe_is_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert read_recipe(recipes_folder() / "demo.yaml").name == "demo"


def test_the_demo_takes_no_folder_with_other_things(loradar, tiny_corpus, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    ended = loradar("demo", "--corpus", tiny_corpus, "-o", tmp_path)
    assert ended.code == 2
    assert "holds other files" in ended.err
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_a_corpus_without_splits_is_refused(loradar, tiny_recipe, tiny_corpus, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    manifest = tiny_corpus.parent / "unsplit.csv"
    manifest.write_text("path,label,attack\n00.wav,bonafide,\n01.wav,spoof,buzz\n")
    ended = loradar("demo", "--recipe", recipe, "--corpus", manifest, "-o", tmp_path / "demo")
    assert ended.code == 2
    assert "split = train" in ended.err
