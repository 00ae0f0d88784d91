import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from loradar.detector.building import build_detector
from loradar.errors import ConfigError, InputError
from loradar.training.recipe import parse_recipe
from loradar.training.run import train
from loradar.training.specialists import assignment, check_specialists, let_learn


@pytest.fixture
def mixed(tiny_recipe):
    return build_detector(parse_recipe(tiny_recipe).detector, seed=0)


def test_spoofed_clips_go_to_their_expert_and_bona_fide_ones_to_one_that_is_at_work():
    domains = torch.tensor([-1, 2, 0, -1, 2, -1] * 5)
    numbers = assignment(domains, (3, 1))
    assert torch.equal(numbers[domains >= 0], domains[domains >= 0])
    assert set(numbers[domains < 0].tolist()) == {0, 2}
    assert torch.equal(numbers, assignment(domains, (3, 1)))
    assert assignment(torch.tensor([-1, -1]), (0,)).tolist() == [0, 0]


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
def test_an_assigned_clip_is_heard_by_its_expert_alone(tiny_recipe, granularity, scope):
    recipe = copy.deepcopy(tiny_recipe)
    recipe["adaptation"]["moe_lora"] |= {"granularity": granularity, "scope": scope}
    detector = build_detector(parse_recipe(recipe).detector, seed=0)
    mixture = detector.mixture
    with torch.no_grad():
        for adapter in mixture.adapters.values():
            adapter.B.normal_()
    clips = torch.randn(3, 6_000)
    detector.train()
    with mixture.assign(torch.tensor([1, 5, 0])):  # the tiny mixture has four
        detector(clips).sum().backward()
    wanted = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]).float()
    assert all(torch.equal(gates, wanted) for gates in mixture.gates().values())
    for adapter in mixture.adapters.values():
        moved = [bool(part.any()) for part in adapter.B.grad.chunk(4, 1)]
        assert moved == [True, True, False, False]
    # Gates of 1 do not depend on routers; only their auxiliary losses would reach them.
    grads = [router.weight.grad for router in mixture.routers.values()]
    assert not any(grad is not None and grad.any() for grad in grads)
    detector(clips)
    assert not all(torch.equal(gates, wanted) for gates in mixture.gates().values())
    with (
        pytest.raises(InputError, match="one number for each clip"),
        mixture.assign(torch.tensor([1, 2])),
    ):
        detector(clips)


def test_one_part_learns_at_a_time(mixed):
    for experts in (True, False):
        let_learn(mixed.mixture, experts=experts)
        mixed.train()
        mixed.zero_grad()
        mixed(torch.randn(2, 6_000)).square().sum().backward()
        routers = [r.weight.grad is not None for r in mixed.mixture.routers.values()]
        adapters = [a.A.grad is not None for a in mixed.mixture.adapters.values()]
        assert adapters == [experts] * len(adapters)
        assert routers == [not experts] * len(routers)


def test_a_run_trains_experts_and_then_routers(tiny_recipe, tmp_path):
    recipe = copy.deepcopy(tiny_recipe)
    recipe["training"] |= {"specialists": {"by": "attack", "share": 0.5}}
    recipe["training"] |= {"steps": 4, "evaluate_every": 2, "best_metric": "last"}
    train(parse_recipe(recipe), tmp_path)
    half, whole = (
        load_file(tmp_path / "checkpoints" / f"checkpoint-{step}" / "model.safetensors")
        for step in (2, 4)
    )
    moved = {name for name in whole if not torch.equal(half[name], whole[name])}
    fresh = build_detector(parse_recipe(recipe).detector, seed=0).whole_state()
    first = {name for name in half if not torch.equal(half[name], fresh[name])}
    routers = {name for name in whole if "moe_router" in name}
    experts = {name for name in whole if name.endswith((".A", ".B"))}
    assert routers and experts
    assert routers <= moved and not experts & moved
    assert experts <= first and not routers & first
    assert "backend.output.weight" in moved & first
    assert json.loads((tmp_path / "metrics.json").read_text())["dev_cross_entropy"] > 0


def test_what_has_no_routers_is_refused(tiny_recipe, tmp_path):
    recipe = copy.deepcopy(tiny_recipe)
    recipe["training"] |= {"specialists": {}}
    recipe["adaptation"] = {"mode": "frozen"}
    with pytest.raises(ConfigError, match=r"training\.specialists is about"):
        train(parse_recipe(recipe), tmp_path / "none")
    with pytest.raises(ConfigError):
        check_specialists(None)
    recipe["training"]["mldg"] = {}
    with pytest.raises(ConfigError, match="give one"):
        parse_recipe(recipe)
