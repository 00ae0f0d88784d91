from pathlib import Path

import pytest
import yaml

from loradar.errors import ConfigError
from loradar.training.pretrain.recipe import parse_pretrain_recipe, read_pretrain_recipe
from loradar.training.pretrain.run import build_model

FOLDER = Path(__file__).resolve().parents[3] / "recipes"
RECIPES = sorted(FOLDER.glob("pretrain_*.yaml"))
EMBEDDED = [FOLDER / f"{name}.yaml" for name in ("embedded_encoder", "encoder_a", "encoder_b")]


@pytest.mark.parametrize("path", [*RECIPES, *EMBEDDED], ids=lambda p: p.stem)
def test_every_recipe_in_the_tree_is_valid_small_and_named_like_its_file(path):
    recipe = read_pretrain_recipe(path)
    assert recipe.name == path.stem
    assert parse_pretrain_recipe(yaml.safe_load(recipe.to_yaml())) == recipe
    model = build_model(recipe, attacks=12)
    assert sum(p.numel() for p in model.encoder.model.parameters()) <= 10_000_000


def test_the_comparison_differs_in_what_its_names_say():
    recipes = {path.stem: read_pretrain_recipe(path) for path in RECIPES}
    base = recipes["pretrain_spectral"]
    assert base.objective.masked is not None
    assert base.objective.artifact is not None
    assert recipes["pretrain_spectral_masked"].objective.artifact is None
    assert recipes["pretrain_spectral_artifact"].objective.masked is None
    for recipe in recipes.values():
        assert recipe.data == base.data
        assert recipe.augmentation == base.augmentation
        assert recipe.front_end == base.front_end


def test_fold_encoders_never_hear_what_their_fold_leaves_out():
    whole, a, b = (read_pretrain_recipe(path).model_dump() for path in EMBEDDED)
    assert {"istft", "flow", "codec"} <= set(a["data"]["without"]["attack"])
    assert "gan" in b["data"]["without"]["attack"]
    for other in (a, b):
        assert {n for n in whole if other[n] != whole[n]} == {"name", "data"}
        neural = set(other["data"]["also"][0]["train"]["attack"])
        assert not neural & set(other["data"]["without"]["attack"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"objective": {}}, "give masked, artifact, or both"),
        ({"objective": {"masked": {"share": 1.0}}}, "objective.masked.share"),
        (
            {"objective": {"artifact": {"attack_weight": 0, "real_weight": 0}}},
            "both 0; leave artifact out",
        ),
        ({"training": {"steps": 1, "batch_size": 3}}, "clips come in pairs: make it even"),
        ({"training": {"steps": 1, "best_metric": "eer"}}, "training.best_metric"),
        ({"encoder": {}}, "either id"),
        ({"encoder": {"config": {"hidden_size": 4}}}, "model_type is missing"),
        ({"data": {"path": "a", "balance": "class"}}, "data.balance: unknown key"),
        (
            {"data": {"path": "a", "also": [{"path": "b", "share": 0.5}] * 2}},
            "must add up below 1",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(pretrain_values, change, expected):
    with pytest.raises(ConfigError) as info:
        parse_pretrain_recipe({**pretrain_values, **change})
    assert expected in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"encoder": {"config": {"model_type": "whisper", "d_model": 24}}}, "Whisper's"),
        ({"data": {"path": "a", "window": 700}}, "700 samples are too few"),
    ],
)
def test_encoders_that_do_not_fit(pretrain_values, change, expected):
    with pytest.raises(ConfigError, match=expected):
        build_model(parse_pretrain_recipe({**pretrain_values, **change}), attacks=1)


def test_the_seed_decides_the_weights_and_spec_augment_can_be_off(pretrain_values):
    one, two, other = (
        build_model(parse_pretrain_recipe({**pretrain_values, "seed": seed}), attacks=2)
        for seed in (1, 1, 2)
    )
    states = [m.state_dict() for m in (one, two, other)]
    assert all((states[0][key] == states[1][key]).all() for key in states[0])
    assert any((states[0][key] != states[2][key]).any() for key in states[0])
    assert one.encoder.model.config.apply_spec_augment
    encoder = {**pretrain_values["encoder"], "spec_augment": False}
    plain = build_model(parse_pretrain_recipe({**pretrain_values, "encoder": encoder}), attacks=2)
    assert not plain.encoder.model.config.apply_spec_augment
