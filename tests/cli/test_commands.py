import csv
import json
import shutil

import pytest
import yaml

from loradar import __version__


def test_train_then_evaluate_then_score(loradar, tiny_recipe, tiny_corpus, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    run = tmp_path / "run"
    ended = loradar("train", recipe, "-o", run, "--set", "training.steps=8", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["steps"] == 8
    assert "step 8/8" in (run / "train.log").read_text()

    scores, plot = tmp_path / "scores.csv", tmp_path / "det.png"
    asked = ["evaluate", run, "--on", tiny_corpus, "--by", "attack", "--ood", "hum"]
    ended = loradar(*asked, "--json", "--save-scores", scores, "--plot", plot)
    assert ended.code == 0
    report = json.loads(ended.out)
    assert (report["pooled"]["bonafide"], report["pooled"]["spoof"]) == (3, 6)
    assert report["ood_average"]["eer"] == report["by_attack"]["hum"]["eer"]
    assert plot.read_bytes().startswith(b"\x89PNG")

    # The score file gives the same figures as the model did.
    again = loradar("evaluate", scores, "--by", "attack", "--ood", "hum", "--json")
    assert again.code == 0
    for name in ("eer", "eer_tie_safe", "min_dcf", "act_dcf", "cllr"):
        assert json.loads(again.out)["pooled"][name] == pytest.approx(report["pooled"][name])

    out = tmp_path / "all.csv"
    ended = loradar("score", tiny_corpus.parent, "--model", run, "-o", out)
    assert ended.code == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36
    fixed = [
        "path",
        "label",
        "attack",
        "corpus",
        "score",
        "llr",
        "p_spoof",
        "verdict",
        "reason",
        "seconds",
    ]
    assert list(rows[0])[: len(fixed)] == fixed
    assert not any(name.startswith("gate:") for name in rows[0])


def test_evaluate_takes_the_eval_rows_unless_told(loradar, tiny_model, tiny_corpus):
    every = loradar("evaluate", tiny_model, "--on", tiny_corpus, "--where", "split=*", "--json")
    assert json.loads(every.out)["pooled"]["bonafide"] == 12
    dev = loradar("evaluate", tiny_model, "--on", tiny_corpus, "--where", "split=dev", "--json")
    assert json.loads(dev.out)["pooled"]["bonafide"] == 3


def test_the_table_for_people_is_in_percent(loradar, tiny_model, tiny_corpus):
    ended = loradar("evaluate", tiny_model, "--on", tiny_corpus)
    assert ended.code == 0
    assert "EER %" in ended.out
    assert "buzz" in ended.out


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "say which clips"),
        (["--on", "none.csv"], "no such file"),
        (["--on", "MANIFEST", "--where", "split"], "COLUMN=VALUE"),
        (["--on", "MANIFEST", "--where", "attack=A99"], "A99"),
        (["--on", "MANIFEST", "--ood", "A99"], "A99"),
        (["--on", "MANIFEST", "--by", "nothing"], "nothing"),
        (["--on", "MANIFEST", "--windows", "some"], "all or first"),
        (["--on", "MANIFEST", "--suite", "mini_c"], "mini_fold_a"),
        (["--on", "MANIFEST", "--plot", "det.jpg"], "must end in .png"),
        (["--on", "MANIFEST", "--save-scores", "scores.parquet"], "must end in .csv"),
        (["--on", "MANIFEST", "--by", "attack", "--by", "speaker", "--ood", "hum"], "one --by"),
        (["--on", "CLIP"], "is one recording"),
    ],
)
def test_evaluate_mistakes_are_one_line(loradar, tiny_model, tiny_corpus, extra, message):
    names = {"MANIFEST": tiny_corpus, "CLIP": tiny_corpus.parent / "00.wav"}
    arguments = [names.get(item, item) for item in extra]
    ended = loradar("evaluate", tiny_model, *arguments)
    assert ended.code == 2
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("loradar: ")
    assert message in last


def test_score_needs_a_model_and_audio(loradar, tiny_model, tmp_path):
    assert loradar("score", tmp_path, "-o", tmp_path / "x.csv").code == 2
    ended = loradar("score", tmp_path, "--model", tiny_model, "-o", tmp_path / "x.csv")
    assert ended.code == 2
    assert "no audio" in ended.err
    assert not (tmp_path / "x.csv").exists()


def test_a_wrong_recipe_names_the_key(loradar, tiny_recipe, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**tiny_recipe, "speed": 3}))
    ended = loradar("train", recipe, "-o", tmp_path / "run")
    assert ended.code == 2
    assert ended.err.strip() == f"loradar: {recipe}: speed: unknown key"
    assert not (tmp_path / "run").exists()


def test_clips_that_cannot_be_read_show_in_the_exit_code(
    loradar, tiny_model, tiny_corpus, tmp_path
):
    manifest = tmp_path / "manifest.csv"
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    rows = [f"{tiny_corpus.parent / '00.wav'},bonafide", f"{bad},spoof"]
    manifest.write_text("\n".join(["path,label", *rows]) + "\n")
    assert loradar("evaluate", tiny_model, "--on", manifest).code == 1
    assert loradar("score", manifest, "--model", tiny_model, "-o", tmp_path / "s.csv").code == 1
    manifest.write_text(f"path,label\n{bad},spoof\n")
    assert loradar("evaluate", tiny_model, "--on", manifest).code == 2


def test_an_uncalibrated_model_does_not_pass_as_calibrated(
    loradar, tiny_model, tiny_corpus, tmp_path
):
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    (bare / "calibration.json").unlink()
    for folder, source in ((tiny_model, "llr"), (bare, "score")):
        ended = loradar("evaluate", folder, "--on", tiny_corpus, "--resamples", "0", "--json")
        assert json.loads(ended.out)["llr_from"] == source


def test_a_folder_that_cannot_be_written_is_one_line(loradar, tiny_model, tiny_corpus, tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    ended = loradar("score", tiny_corpus, "--model", tiny_model, "-o", blocked / "scores.csv")
    assert ended.code == 2
    assert str(blocked) in ended.err


def test_a_run_resumes_from_the_command_line(loradar, tiny_recipe, tmp_path):
    recipe, run = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(tiny_recipe))
    assert loradar("train", recipe, "-o", run).code == 0
    weights = (run / "model.safetensors").read_bytes()
    assert loradar("train", recipe, "-o", run).code == 2
    # A finished run resumes to the same end.
    assert loradar("train", recipe, "-o", run, "--resume").code == 0
    assert (run / "model.safetensors").read_bytes() == weights


def test_version(loradar):
    ended = loradar("--version")
    assert ended.code == 0
    assert ended.out.strip() == f"loradar {__version__}"


@pytest.mark.parametrize("command", ["train", "evaluate", "detect", "score", "demo"])
def test_every_command_has_help_with_an_example(loradar, command):
    ended = loradar(command, "--help")
    assert ended.code == 0
    assert "Example" in ended.out
