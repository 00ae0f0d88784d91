import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from loradar.corpora.manifest import read_manifest
from loradar.detector.building import build_detector
from loradar.detector.checkpoint import load_detector
from loradar.embedded import DETECTOR_ID, detector_folder
from loradar.errors import CheckpointError, ConfigError
from loradar.files import sha256_of
from loradar.training.draws import plan_draws
from loradar.training.grid.plan import Grid, cells_of
from loradar.training.recipe import parse_recipe, read_recipe
from loradar.training.run import train
from loradar.training.start import draw_seed, start_from


def test_a_run_goes_on_from_every_weight_of_another(tiny_recipe, tiny_model, tmp_path):
    recipe = parse_recipe({**tiny_recipe, "seed": 7, "start": str(tiny_model)})
    detector = build_detector(recipe.detector, seed=7)
    old = load_detector(tiny_model).whole_state()
    assert not all(torch.equal(t, old[n]) for n, t in detector.whole_state().items())
    sha = start_from(detector, str(tiny_model))
    assert all(torch.equal(t, old[n]) for n, t in detector.whole_state().items())
    assert sha == sha256_of(tiny_model / "model.safetensors")

    values = {**copy.deepcopy(tiny_recipe), "seed": 7, "start": str(tiny_model)}
    values["training"] |= {"steps": 1, "learning_rate": 1e-9, "evaluate_every": 1}
    train(parse_recipe(values), tmp_path / "more")
    first, more = (load_file(f / "model.safetensors") for f in (tiny_model, tmp_path / "more"))
    assert all(torch.allclose(first[name], more[name], atol=1e-6) for name in first)
    assert json.loads((tmp_path / "more" / "metrics.json").read_text())["start_sha256"] == sha
    assert read_recipe(tmp_path / "more" / "recipe.yaml").start == str(tiny_model)


def test_its_draws_are_others_than_those_it_has_heard(tiny_recipe, tiny_corpus):
    data = parse_recipe(tiny_recipe).data
    table = read_manifest(tiny_corpus).where({"split": "train"}).table
    plans = [plan_draws([table], data, draw_seed(0, sha)) for sha in (None, "ab" * 32)]
    rows = [[plan.draw(position)[0] for position in range(40)] for plan in plans]
    assert rows[0] != rows[1]


@pytest.mark.parametrize(
    "change, what",
    [
        ({"backend": {"name": "aasist"}}, "another architecture"),
        (
            {"adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 3, "rank": 2}}},
            "k_proj.A differs",
        ),
        ({"adaptation": {"mode": "frozen"}}, "another architecture"),
    ],
)
def test_another_architecture_is_refused_in_one_line(tiny_recipe, tiny_model, change, what):
    detector = build_detector(parse_recipe({**tiny_recipe, **change}).detector, seed=0)
    with pytest.raises(ConfigError) as error:
        start_from(detector, str(tiny_model))
    assert what in str(error.value)
    assert "\n" not in str(error.value)
    assert "recipe.yaml" in str(error.value)


def test_a_folder_without_a_detector_is_refused(tiny_recipe, tmp_path):
    detector = build_detector(parse_recipe(tiny_recipe).detector, seed=0)
    with pytest.raises(CheckpointError, match="not a detector"):
        start_from(detector, str(tmp_path))


def test_the_embedded_detector_can_be_trained_on():
    values = read_recipe(
        detector_folder() / "recipe.yaml", ["encoder.id=loradar-embedded", f"start={DETECTOR_ID}"]
    )
    detector = build_detector(values.detector, seed=3)
    start_from(detector, DETECTOR_ID)
    old = load_detector(detector_folder()).whole_state()
    assert all(torch.equal(t, old[n]) for n, t in detector.whole_state().items())


def test_a_recipe_without_a_start_says_nothing_of_it(tiny_recipe):
    assert "start" not in parse_recipe(tiny_recipe).to_yaml()


def test_a_grid_names_the_run_to_start_from_by_variant_fold_and_seed():
    grid = Grid.model_validate(
        {
            "recipe": "embedded_labelled.yaml",
            "overrides": ["start=first/{variant}/{fold}/{seed}", "data.path=draw{seed}.csv"],
            "variants": {"one": []},
            "folds": {"A": {"suite": "mini_fold_a", "on": "labelled.csv"}},
            "seeds": [4, 5],
            "baselines": [],
        }
    )
    cells = cells_of(grid, Path(__file__).resolve().parents[2] / "recipes")
    assert [cell.recipe["start"] for cell in cells] == ["first/one/A/4", "first/one/A/5"]
    assert [cell.recipe["data"]["path"] for cell in cells] == ["draw4.csv", "draw5.csv"]
