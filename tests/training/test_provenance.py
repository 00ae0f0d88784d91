"""Where a run comes from."""

import subprocess

from loradar.detector.building import build_detector
from loradar.training import provenance as module
from loradar.training.provenance import commit, provenance, recipe_hash
from loradar.training.recipe import parse_recipe


def test_the_hash_is_the_settings_not_the_seed(tiny_recipe):
    first = parse_recipe(tiny_recipe)
    again = parse_recipe({**tiny_recipe, "seed": 9, "name": "other"})
    assert recipe_hash(first) == recipe_hash(again)
    read_beside = {**tiny_recipe, "data": {**tiny_recipe["data"], "workers": "auto"}}
    assert recipe_hash(parse_recipe(read_beside)) == recipe_hash(first)
    tiny_recipe["training"]["learning_rate"] = 0.5
    assert recipe_hash(parse_recipe(tiny_recipe)) != recipe_hash(first)


def test_the_encoder_is_known_by_its_weights(tiny_recipe):
    recipe = parse_recipe(tiny_recipe)
    found = [provenance(recipe, build_detector(recipe.detector, seed=s)) for s in (0, 0, 1)]
    hashes = [each["encoder_sha256"] for each in found]
    assert hashes[0] == hashes[1] != hashes[2]
    assert found[0]["encoder"] is None


def test_a_commit_is_this_repository_s_or_nothing(monkeypatch, tmp_path):
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    package = tmp_path / "loradar"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(module.loradar, "__file__", str(package / "__init__.py"))
    assert commit() is None  # no commit yet
    who = ["-c", "user.name=n", "-c", "user.email=e@e"]
    empty = ["commit", "-q", "--allow-empty", "-m", "m"]
    subprocess.run(["git", "-C", tmp_path, *who, *empty], check=True)
    assert commit() is None  # somebody else's repository
    subprocess.run(["git", "-C", tmp_path, "add", "loradar"], check=True)
    subprocess.run(["git", "-C", tmp_path, *who, *empty], check=True)
    assert len(commit()) == 40
    (package / "__init__.py").write_text("1")
    assert commit().endswith("+changes")
    monkeypatch.setenv("PATH", "")
    assert commit() is None
    monkeypatch.setenv("LORADAR_COMMIT", "abc")
    assert commit() == "abc"
