"""From two run folders to the package's own."""

import json
import shutil
import sys

import numpy as np
import pytest
import yaml

from loradar import embedded as package
from loradar.errors import CheckpointError, InputError
from loradar.inference.model import load_model
from loradar.training.recipe import parse_recipe
from loradar.training.run import train


@pytest.fixture(scope="module")
def installer(tool):
    return tool("install_embedded")


@pytest.fixture(scope="module")
def runs(embedded_files, tiny_recipe, tmp_path_factory):
    """An encoder's run folder, and the one of a detector trained on it."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(embedded_files / "encoder", folder / "encoder")
    encoder = {"encoder": {"id": None}, "data": {"path": "/data/speech/copies/manifest.csv"}}
    (folder / "encoder" / "recipe.yaml").write_text(yaml.safe_dump(encoder))
    (folder / "encoder" / "metrics.json").write_text("{}")
    (folder / "encoder" / "README.md").write_text("made from `/data/speech/copies/manifest.csv`")
    recipe = {
        **tiny_recipe,
        "encoder": {"type": "huggingface", "id": str(folder / "encoder")},
        "training": {**tiny_recipe["training"], "steps": 2, "evaluate_every": 2},
    }
    train(parse_recipe(recipe), folder / "detector")
    return folder


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A package without weights."""
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(package, "FOLDER", tmp_path / "package")
    return tmp_path / "package"


@pytest.fixture
def copied(runs, tmp_path):
    """Run folders to spoil."""
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs"


def test_what_is_installed_is_the_default_and_scores_as_written(installer, runs, empty, tmp_path):
    done = installer.install(
        runs / "encoder", runs / "detector", scores=tmp_path / "data" / "scores.json"
    )
    assert done.kept == []
    found = {p.relative_to(empty).as_posix() for p in empty.rglob("*") if p.is_file()}
    parts = {"config.json", "model.safetensors", "README.md", "recipe.yaml", "metrics.json"}
    assert found == {
        "SHA256SUMS",
        *(f"encoder/{name}" for name in parts),
        *(f"detector/{name}" for name in {*parts, "calibration.json", *package.BESIDE_DETECTOR}),
    }
    model = load_model(None, "cpu")
    written = json.loads((tmp_path / "data" / "scores.json").read_text())
    assert written["scores"] == done.scores == installer.fixed_scores(model.detector)
    assert len(set(done.scores.values())) == 3
    assert written["weights"] == installer.short_hash(empty / "detector" / "model.safetensors")
    # The tensors are those of the run.
    own = load_model(runs / "detector", "cpu")
    assert installer.fixed_scores(own.detector) == done.scores


def test_no_text_names_this_machine(installer, runs, empty, tmp_path, tiny_corpus):
    installer.install(runs / "encoder", runs / "detector", scores=tmp_path / "s.json")
    for path in [*empty.rglob("*.md"), *empty.rglob("*.yaml"), *empty.rglob("*.json")]:
        text = path.read_text()
        assert str(runs) not in text, path
        assert str(tiny_corpus.parent) not in text, path
        assert "/data/speech" not in text, path
    recipe = yaml.safe_load((empty / "detector" / "recipe.yaml").read_text())
    assert recipe["encoder"]["id"] == "loradar-embedded"
    assert recipe["data"]["path"] == f"{tiny_corpus.parent.name}/manifest.csv"
    card = (empty / "detector" / "README.md").read_text()
    assert "huggingface: loradar-embedded" in card
    digest = installer.short_hash(empty / "detector" / "model.safetensors")
    assert card.endswith(f"\nweights: sha256 {digest}\n")
    assert "made from `copies/manifest.csv`" in (empty / "encoder" / "README.md").read_text()


def test_paths_below_the_repository_stay_recognisable(installer, monkeypatch):
    monkeypatch.chdir(installer.ROOT)
    assert installer.portable("recipes/embedded.yaml") == "recipes/embedded.yaml"
    assert installer.portable(str(installer.ROOT / "recipes")) == "recipes"
    assert installer.portable("../elsewhere/speech/labelled.csv") == "speech/labelled.csv"
    assert installer.portable("facebook/wav2vec2-base") == "facebook/wav2vec2-base"


def test_a_second_installation_replaces_the_weights_and_keeps_the_cards(
    installer, runs, copied, empty, tmp_path
):
    installer.install(runs / "encoder", runs / "detector", scores=tmp_path / "s.json")
    (empty / "detector" / "README.md").write_text("measured by hand\n")
    before = (empty / "detector" / "recipe.yaml").read_text()
    path = copied / "detector" / "recipe.yaml"
    path.write_text(path.read_text().replace("name: tiny", "name: second"))
    done = installer.install(runs / "encoder", copied / "detector", scores=tmp_path / "s.json")
    assert done.kept == ["encoder/README.md", "detector/README.md"]
    assert (empty / "detector" / "README.md").read_text() == "measured by hand\n"
    assert (empty / "detector" / "recipe.yaml").read_text() != before
    assert {p.name for p in empty.iterdir()} == {"encoder", "detector", "SHA256SUMS"}
    installer.install(
        runs / "encoder", runs / "detector", scores=tmp_path / "s.json", new_cards=True
    )
    assert "by hand" not in (empty / "detector" / "README.md").read_text()


def _other_encoder(runs):
    path = runs / "encoder" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def _path_in_metrics(runs):
    (runs / "detector" / "metrics.json").write_text('{"folder": "/home/me/runs"}')


def _no_calibration(runs):
    (runs / "detector" / "calibration.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_other_encoder, CheckpointError, "another base encoder"),
        (_path_in_metrics, InputError, "detector/metrics.json: names a path of this machine"),
        (_no_calibration, InputError, "calibration.json: is missing"),
    ],
)
def test_runs_that_do_not_fit_change_nothing(
    installer, copied, empty, tmp_path, spoil, error, message
):
    spoil(copied)
    with pytest.raises(error, match=message):
        installer.install(copied / "encoder", copied / "detector", scores=tmp_path / "s.json")
    assert not list(empty.iterdir())
    assert not (tmp_path / "s.json").exists()


def test_an_encoder_that_is_too_large_is_refused(installer, runs, empty, tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "MOST_PARAMETERS", 100)
    with pytest.raises(InputError, match="at most 100 in 20,000,000 ship"):
        installer.install(runs / "encoder", runs / "detector", scores=tmp_path / "s.json")


@pytest.mark.parametrize(
    "text",
    ["`/srv/lab/runs`", "path: ~/speech", "data: ../shared/x", "at /home/me", r"in C:\speech"],
)
def test_paths_of_a_machine_are_recognised(installer, text):
    assert installer._MACHINE.search(f"some\n{text}\n")


@pytest.mark.parametrize(
    "text", ["https://www.openslr.org/12", "and/or", "16 kHz / 4 s", "runs/embedded/copies", "1/3"]
)
def test_other_strokes_are_not(installer, text):
    assert not installer._MACHINE.search(f"some {text} here")


def test_the_fixed_clips_are_fixed(installer):
    clips, again = installer.fixed_clips(), installer.fixed_clips()
    assert [len(clip) for clip in clips.values()] == [32_000, 96_000, 16_000]
    for name, clip in clips.items():
        assert np.array_equal(clip, again[name])
        assert np.abs(clip).max() < 1
    # Of this generator's frozen stream.
    assert clips["bursts"][1] == pytest.approx(-0.0330870, abs=1e-6)


def test_the_command_line(installer, runs, empty, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(installer, "SCORES", installer.ROOT / "runs" / "no.json")
    monkeypatch.setattr(sys, "argv", ["install_embedded", str(runs / "encoder"), str(tmp_path)])
    assert installer.main() == 2
    assert "not a detector checkpoint" in capsys.readouterr().err
