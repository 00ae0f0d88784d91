"""Laying out a grid: order, overrides, and mistakes told before anything runs."""

import copy
from pathlib import Path

import pytest

from loradar.errors import ConfigError, InputError
from loradar.training.grid.plan import read_grid
from loradar.training.recipe import parse_recipe


def test_every_variant_meets_every_fold_and_seed(grid_values, write_grid):
    cells = read_grid(write_grid(grid_values))
    assert [(c.kind, c.variant, c.fold, c.seed) for c in cells] == [
        ("baseline", "corpus_prior", "A", 0),
        ("baseline", "corpus_prior", "B", 0),
        ("train", "full", "A", 0),
        ("train", "moe", "A", 0),
        ("train", "full", "B", 0),
        ("train", "moe", "B", 0),
        ("train", "full", "A", 4),
        ("train", "moe", "A", 4),
        ("train", "full", "B", 4),
        ("train", "moe", "B", 4),
    ]
    recipes = {(c.variant, c.fold, c.seed): c.recipe for c in cells if c.recipe}
    moe = parse_recipe(recipes["moe", "A", 4])
    assert (moe.name, moe.seed, moe.adaptation.moe_lora["rank"]) == ("moe_A_4", 4, 3)
    assert moe.data.train["group"] == ["human", "autoregressive-tts", "parallel-tts", "gan-vocoder"]
    assert moe.data.train["split"] == "train"
    assert recipes["moe", "B", 0]["adaptation"]["moe_lora"]["rank"] == 1
    assert recipes["full", "B", 0]["data"]["dev"]["group"][-1] == "codec-lm"
    assert {c.on for c in cells} == {recipes["full", "A", 0]["data"]["path"]}


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("mini", 66),
        ("mini_leave_one_group_out", 42),
        ("inner_whisper", 105),
        ("inner_embedded", 105),
        ("headline_whisper", 56),
        ("headline_embedded", 56),
        ("ablation_embedded", 161),
        ("encoders", 26),
        ("copies_families", 15),
        ("copies_folds", 12),
        ("folds_baselines", 6),
        ("folds_branch", 14),
        ("folds_branch_copies", 6),
    ],
)
def test_grids_in_the_tree_are_valid(name, runs):
    root = Path(__file__).resolve().parents[3]
    cells = read_grid(root / "recipes" / "grids" / f"{name}.yaml")
    assert len(cells) == runs
    for cell in cells:
        if cell.recipe is not None:
            assert cell.recipe["data"]["train"]["group"] == cell.recipe["data"]["dev"]["group"]


def test_on_is_a_name_though_yaml_reads_it_as_true(grid_values, write_grid, tmp_path):
    path = write_grid(grid_values)
    text = path.read_text().replace("suite: mini_fold_a", "suite: mini_fold_a\n    on: other.csv")
    path.write_text(text)
    assert {c.on for c in read_grid(path) if c.fold == "A"} == {"other.csv"}


def test_a_suite_that_trains_on_nothing_has_no_baselines(grid_values, write_grid, tiny_model):
    grid_values |= {"variants": {}, "models": {"tiny": str(tiny_model)}}
    grid_values["folds"] = {"all": {"suite": "mini", "on": "table.csv"}}
    (cell,) = read_grid(write_grid(grid_values))
    assert (cell.kind, cell.model, cell.on) == ("model", str(tiny_model), "table.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": [1]}, "seed: unknown key"),
        ({"seeds": [1, 1]}, "seed 1 comes twice"),
        ({"seeds": []}, "seeds"),
        ({"folds": {}}, "folds"),
        ({"folds": {"A": {"suite": "mini_c"}}}, r"folds\.A: there is no suite 'mini_c'"),
        ({"variants": {"../up": []}}, "variants"),
        ({"variants": {"corpus_prior": []}}, "corpus_prior comes twice"),
        ({"variants": {"x": ["adaptation.mode=best"]}}, r"x on A: adaptation\.mode"),
        ({"variants": {"x": ["rank"]}}, "x on A: --set rank"),
        ({"variants": {"x": ["adaptation.mode={mode}"]}}, r"folds\.A\.values\.mode"),
        ({"recipe": None}, "no recipe"),
        ({"variants": {}}, "no recipe to take it from"),
        ({"variants": {}, "folds": {"A": {"suite": "mini", "on": "x.csv"}}}, "nothing to run"),
    ],
)
def test_mistakes_say_where(grid_values, write_grid, change, message):
    values = copy.deepcopy(grid_values) | change
    with pytest.raises(ConfigError, match=message) as info:
        read_grid(write_grid(values))
    assert "\n" not in str(info.value)


def test_files_that_are_missing(grid_values, write_grid, tmp_path):
    with pytest.raises(InputError, match="cannot read the grid"):
        read_grid(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"models\.x: .*no such folder"):
        read_grid(write_grid(grid_values | {"models": {"x": str(tmp_path / "none")}}))
    with pytest.raises(InputError, match=r"other\.yaml: cannot read the recipe"):
        read_grid(write_grid(grid_values | {"recipe": "other.yaml"}))
    (tmp_path / "grid.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not a YAML grid"):
        read_grid(tmp_path / "grid.yaml")
