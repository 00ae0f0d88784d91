from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import ConfigError, InputError
from loradar.training.recipe import parse_recipe, read_recipe
from loradar.training.sections import conditions

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

SMALL = {
    "name": "small",
    "encoder": {"type": "spectrogram_cnn"},
    "adaptation": {"mode": "full"},
    "backend": {"name": "none"},
    "data": {"path": "manifest.csv"},
    "training": {"steps": 4},
}


OTHERS = ("vocoder_", "pretrain_", "embedded_encoder", "encoder_")
DETECTORS = sorted(p for p in RECIPES.glob("*.yaml") if not p.stem.startswith(OTHERS))


@pytest.mark.parametrize("path", DETECTORS, ids=lambda p: p.stem)
def test_every_recipe_in_the_tree_is_valid_and_named_like_its_file(path):
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert parse_recipe(yaml.safe_load(recipe.to_yaml())) == recipe


@pytest.mark.parametrize("mode", ["frozen", "full", "lora", "moe_lora"])
@pytest.mark.parametrize("name", ["mini_fold_a", "paper", "demo"])
def test_the_comparison_is_one_switch(name, mode):
    recipe = read_recipe(RECIPES / f"{name}.yaml", [f"adaptation.mode={mode}"])
    assert recipe.adaptation.mode == mode
    assert (recipe.adaptation.mixture is not None) == (mode in ("lora", "moe_lora"))


def test_paper_adapts_the_attention_projections_of_xlsr():
    recipe = read_recipe(RECIPES / "paper.yaml")
    assert recipe.encoder.id == "facebook/wav2vec2-large-xlsr-53"
    assert recipe.backend.name == "aasist"
    assert set(recipe.adaptation.mixture.targets) == {"q_proj", "k_proj", "v_proj", "out_proj"}


def test_overrides_reach_nested_values_and_read_numbers_in_scientific_notation():
    recipe = read_recipe(
        RECIPES / "mini_fold_a.yaml", ["training.learning_rate=3e-5", "data.train={split: dev}"]
    )
    assert recipe.training.learning_rate == 3e-5
    assert recipe.data.train == {"split": "dev"}


def test_naming_another_column_keeps_the_sets_to_their_splits():
    path = RECIPES / "demo.yaml"
    recipe = read_recipe(path, ["data.train.attack=[A01]", "data.dev={label: spoof}"])
    assert conditions(recipe.data.train) == {"split": "train", "attack": ["A01"]}
    assert conditions(recipe.data.dev) == {"split": "dev", "label": "spoof"}
    anything = read_recipe(path, ["data.train.split=*"])
    assert conditions(anything.data.train) == {}


@pytest.mark.parametrize("given", ["121", "[a, 121]", "true"])
def test_a_number_where_a_table_holds_text_is_to_be_quoted(given):
    path = RECIPES / "mini_fold_a_cnn.yaml"
    with pytest.raises(ConfigError, match=r"data\.dev\.speaker: .* is no text: write it in quotes"):
        read_recipe(path, [f"data.dev.speaker={given}"])
    quoted = read_recipe(path, ["data.dev.speaker='0121'"])
    assert conditions(quoted.data.dev)["speaker"] == "0121"


def test_a_base_recipe_is_merged_under():
    base, fold_b = (read_recipe(RECIPES / f"mini_fold_{f}.yaml") for f in "ab")
    assert fold_b.encoder == base.encoder
    assert fold_b.data.train["split"] == "train"
    assert set(fold_b.data.train["group"]) & set(base.data.train["group"]) == {"human"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"extra": 1}, "extra: unknown key"),
        (
            {"data": {"path": "a.csv", "also": [{"path": "b.csv", "share": 1.0}]}},
            "data.also.0.share",
        ),
        (
            {"data": {"path": "a.csv", "also": [{"path": f, "share": 0.5} for f in "bc"]}},
            "leave nothing for path",
        ),
        (
            {"data": {"path": "a.csv", "balance": "none", "also": [{"path": "b", "share": 0.5}]}},
            "set balance to class, corpus or pair",
        ),
        ({"training": {"steps": 4, "epochs": 1}}, "steps or epochs"),
        ({"training": {"steps": 4, "speed": 1}}, "training.speed: unknown key"),
        ({"name": "../elsewhere"}, "name"),
        ({"data": {}}, "data.path"),
        ({"backend": {"name": "aasist"}}, "whole detector"),
        ({"training": {"steps": 4, "class_weights": "balanced"}}, "corrects twice"),
    ],
)
def test_mistakes_are_named_in_one_line(change, expected):
    with pytest.raises(ConfigError) as caught:
        parse_recipe({**SMALL, **change})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["training.steps", "=3", "name.x=1", "data.path={"])
def test_a_malformed_override_is_refused(text):
    with pytest.raises(ConfigError):
        read_recipe(RECIPES / "mini_fold_a.yaml", [text])


def test_a_missing_or_broken_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        read_recipe(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(InputError, match="not a YAML recipe"):
        read_recipe(broken)
    broken.write_text("- a list")
    with pytest.raises(InputError, match="mapping"):
        read_recipe(broken)


def test_a_base_that_leads_back_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    with pytest.raises(ConfigError, match="leads back to itself"):
        read_recipe(tmp_path / "a.yaml")


@given(st.floats(min_value=1e-8, max_value=10, allow_nan=False))
def test_any_rate_survives_the_round_trip(rate):
    recipe = parse_recipe({**SMALL, "training": {"steps": 1, "learning_rate": rate}})
    assert parse_recipe(yaml.safe_load(recipe.to_yaml())).training.learning_rate == rate


def test_a_graft_depth_is_a_rising_pair_and_is_saved_only_where_given():
    def recipe(**data):
        return parse_recipe({**SMALL, "data": {"path": "m.csv", "balance": "pair", **data}})

    assert "graft_depth" not in recipe(graft=0.5).to_yaml()
    given = recipe(graft=0.5, graft_depth=[0.15, 1.0])
    assert given.data.graft_depth == (0.15, 1.0)
    assert parse_recipe(yaml.safe_load(given.to_yaml())) == given
    for wrong in ([1.0, 0.15], [0.0, 1.0], [0.5, 1.5], [0.5], 0.5):
        with pytest.raises(ConfigError, match="graft_depth"):
            recipe(graft=0.5, graft_depth=wrong)
