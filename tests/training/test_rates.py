"""Learning rates by place: back-end, encoder blocks, adapters."""

import copy

import pytest

from loradar.detector.building import build_detector
from loradar.training.rates import rates
from loradar.training.recipe import parse_recipe


def _by_name(recipe, mode, **training):
    recipe = copy.deepcopy(recipe)
    recipe["adaptation"]["mode"] = mode
    recipe["training"].update(training)
    parsed = parse_recipe(recipe)
    detector = build_detector(parsed.detector, seed=0)
    names = {id(p): name for name, p in detector.named_parameters()}
    return {names[id(p)]: rate for rate, p in rates(detector, parsed.training)}


def test_earlier_blocks_learn_slower(tiny_recipe):
    asked = {"learning_rate": 1e-3, "backend_learning_rate": 5e-3, "layer_decay": 0.5}
    found = _by_name(tiny_recipe, "full", **asked)
    blocks = 1 + max(int(n.split(".layers.")[1].split(".")[0]) for n in found if ".layers." in n)
    assert blocks >= 2
    for name, rate in found.items():
        if ".layers." in name:
            depth = 1 + int(name.split(".layers.")[1].split(".")[0])
        elif name.startswith("encoder.model.encoder.layer_norm"):
            depth = blocks
        elif name.startswith("encoder.model."):
            depth = 0
        else:
            assert rate == 5e-3, name
            continue
        assert rate == pytest.approx(1e-3 * 0.5 ** (blocks - depth)), name


def test_adapters_have_one_rate(tiny_recipe):
    found = _by_name(tiny_recipe, "moe_lora", learning_rate=1e-3, layer_decay=0.5)
    adapters = {r for n, r in found.items() if n.endswith((".A", ".B", "moe_router.weight"))}
    assert adapters == {1e-3}
