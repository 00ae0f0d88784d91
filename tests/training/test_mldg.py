"""MLDG over attacks: how batches are split, gradients combined, and that a step is what it says."""

import copy
import json

import numpy as np
import pytest
import torch

from loradar.errors import ConfigError
from loradar.training.attack_settings import MldgConfig
from loradar.training.mldg import combine, split
from loradar.training.recipe import parse_recipe
from loradar.training.run import train


def test_meta_test_is_other_attacks_and_every_second_human_clip():
    domains = torch.tensor([-1, 0, -1, 1, -1, 2, -1, 0])
    for seed in range(6):
        held = split(domains, MldgConfig(), (seed,))
        assert held[domains < 0].tolist() == [False, True, False, True]
        inside, outside = set(domains[held].tolist()), set(domains[~held].tolist())
        assert inside & outside == {-1}
        assert len(inside) == 2
    assert torch.equal(held, split(domains, MldgConfig(), (seed,)))
    halves = split(torch.tensor([-1, 3, -1, 3]), MldgConfig(), (0,))
    assert halves.tolist() == [False, False, True, True]


def test_surgery_takes_out_what_points_against():
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    plain = combine([one, None], [other, other], MldgConfig(weight=2.0))
    assert plain[0].tolist() == [-1.0, 2.0]
    assert plain[1].tolist() == [-2.0, 2.0]
    settled = combine([one], [other], MldgConfig(surgery=True))[0]
    # (1, 0) becomes (0.5, 0.5) and (-1, 1) becomes (0, 1): against neither.
    assert settled.tolist() == [0.5, 1.5]
    assert float(settled @ one) >= 0
    assert float(settled @ other) >= 0
    agree = [torch.tensor([1.0, 1.0])]
    assert torch.equal(combine(agree, agree, MldgConfig(surgery=True))[0], 2 * agree[0])


def test_a_run_trains_by_it(tiny_recipe, tmp_path):
    recipe = copy.deepcopy(tiny_recipe)
    recipe["training"].update({"steps": 2, "evaluate_every": 2, "batch_size": 4})
    recipe["training"].pop("epochs", None)
    found = {}
    for name, mldg in (("plain", None), ("mldg", {"step": 0.1, "surgery": True})):
        recipe["training"]["mldg"] = mldg
        folder = tmp_path / name
        train(parse_recipe(recipe), folder)
        found[name] = json.loads((folder / "metrics.json").read_text())["dev_cross_entropy"]
    assert np.isfinite(found["mldg"])
    assert found["mldg"] != found["plain"]
    recipe["training"]["precision"] = "fp16"
    with pytest.raises(ConfigError, match="unscaled"):
        parse_recipe(recipe)
