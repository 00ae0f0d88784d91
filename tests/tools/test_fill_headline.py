"""The winners of inner folds go into the headline's values by a fixed rule."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from loradar.training.grid.plan import read_grid

ROOT = Path(__file__).resolve().parents[2]
GRIDS = ROOT / "recipes" / "grids"


@pytest.fixture(scope="module")
def fill(tool):
    return tool("fill_headline")


def write_choice(path, winners):
    folds = {fold: {"winners": names} for fold, names in winners.items()}
    path.write_text(json.dumps({"folds": folds}))


@pytest.mark.parametrize("name", ["whisper", "embedded"])
def test_each_method_takes_its_winners_settings(fill, tmp_path, name):
    inner = yaml.safe_load((GRIDS / f"inner_{name}.yaml").read_text())
    named = list(inner["variants"])
    full = next(v for v in named if v.endswith("_decay"))
    lora = next(v for v in named if v.startswith("lora.r8"))
    moe = next(v for v in named if v.endswith("_utterance"))
    plain = next(v for v in named if v.startswith("moe_lora"))
    shutil.copytree(GRIDS.parent, tmp_path / "recipes")
    headline = tmp_path / "recipes" / "grids" / f"headline_{name}.yaml"
    write_choice(
        tmp_path / "choice.json",
        {
            "A": {"frozen": "frozen.head3e-3", "full": full, "lora": lora, "moe_lora": moe},
            "B": {"frozen": "frozen.head1e-3", "full": full, "lora": lora, "moe_lora": plain},
        },
    )
    before = headline.read_text()
    assert fill.main([str(GRIDS / f"inner_{name}.yaml"), str(tmp_path / "choice.json"),
                      str(headline)]) == 0  # fmt: skip
    text = headline.read_text()
    assert [r for r in text.splitlines() if r[:1] == "#"] == [
        r for r in before.splitlines() if r[:1] == "#"
    ]
    values = yaml.safe_load(text)["folds"]
    a, b = values["A"]["values"], values["B"]["values"]
    assert (a["frozen_backend_learning_rate"], a["full_layer_decay"]) == ("3e-3", "0.6")
    assert (a["lora_rank"], a["moe_lora_granularity"]) == ("8", "utterance")
    assert (b["moe_lora_granularity"], b["frozen_backend_learning_rate"]) == ("frame", "1e-3")
    assert float(b["moe_lora_orthogonality_weight"]) == 0
    recipes = {(c.variant, c.fold): c.recipe for c in read_grid(headline) if c.recipe}
    assert recipes["full", "A"]["training"]["layer_decay"] == 0.6
    assert recipes["lora", "B"]["adaptation"]["lora"]["rank"] == 8
    assert recipes["moe_lora", "A"]["adaptation"]["moe_lora"]["granularity"] == "utterance"
    if name == "embedded":
        opened = {key: r["encoder"].get("freeze_feature_encoder") for key, r in recipes.items()}
        assert opened["moe_lora", "A"] is False and opened["moe_lora", "B"] is None


def test_a_fold_without_a_choice_is_one_line(fill, tmp_path, capsys):
    write_choice(tmp_path / "choice.json", {})
    headline = GRIDS / "headline_whisper.yaml"
    before = headline.read_text()
    code = fill.main([str(GRIDS / "inner_whisper.yaml"), str(tmp_path / "choice.json"),
                      str(headline)])  # fmt: skip
    assert code == 2 and headline.read_text() == before
    assert "no choice for fold A" in capsys.readouterr().err
