import json
import math

import pytest
import torch

from loradar.moe_lora import MoeLoraConfig, Router, RoutingStatistics
from loradar.moe_lora.statistics import RoutingTotals


def statistics_of(batches, **options):
    totals = RoutingTotals()
    for logits, mask in batches:
        config = MoeLoraConfig(experts=logits.shape[-1], **options)
        totals.add(Router(4, config).route(logits, mask))
    return RoutingStatistics.of({"a": totals})


def test_counts_by_hand():
    logits = torch.tensor([[[9.0, 5, 0, 0], [9, 0, 5, 0], [0, 9, 5, 0]]], dtype=torch.float64)
    seen = statistics_of([(logits, None)])
    assert seen.positions["a"] == 3
    assert seen.load["a"].tolist() == pytest.approx([2 / 6, 2 / 6, 2 / 6, 0])
    assert seen.dead["a"] == [3]
    high = 1 / (1 + math.exp(-4))
    expected = [2 * high / 3, (high + 1 - high) / 3, 2 * (1 - high) / 3, 0]
    assert seen.gates["a"].tolist() == pytest.approx(expected)
    entropy = torch.distributions.Categorical(logits=logits[0]).entropy().mean().item()
    assert seen.entropy["a"] == pytest.approx(entropy)


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_sums_over_batches_without_padding(granularity):
    torch.manual_seed(0)
    clips = [torch.randn(1, length, 4) for length in (5, 3, 7)]
    alone = statistics_of([(clip, None) for clip in clips], granularity=granularity)
    padded = torch.full((3, 7, 4), torch.nan)
    mask = torch.zeros(3, 7, dtype=torch.bool)
    for n, clip in enumerate(clips):
        padded[n, : clip.shape[1]], mask[n, : clip.shape[1]] = clip[0], True
    together = statistics_of([(padded, mask)], granularity=granularity)
    assert together.positions["a"] == alone.positions["a"] == (15 if granularity == "frame" else 3)
    for one, other in (
        (together.load["a"], alone.load["a"]),
        (together.gates["a"], alone.gates["a"]),
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert together.entropy["a"] == pytest.approx(alone.entropy["a"], abs=1e-6)


def test_even_routing_has_no_dead_experts():
    seen = statistics_of([(torch.eye(8).repeat(1, 4, 1) * 5, None)], top_k=1)
    assert seen.load["a"].tolist() == pytest.approx([1 / 8] * 8)
    assert seen.dead["a"] == []


def test_plain_values_go_to_json():
    seen = statistics_of([(torch.randn(2, 5, 4), None)])
    back = json.loads(json.dumps(seen.to_dict()))
    assert back["a"]["positions"] == 10
    assert sum(back["a"]["load"]) == pytest.approx(1)
    assert set(back["a"]) == {"positions", "load", "gates", "entropy", "dead"}


def test_no_forward_no_rows():
    assert RoutingStatistics.of({"a": RoutingTotals()}).load == {}


def test_a_model_that_moved_goes_on_counting():
    totals = RoutingTotals()
    config = MoeLoraConfig(experts=4, top_k=2)
    for device in ("cpu", "meta"):  # `meta` stands in for a GPU
        router = Router(4, config, device=device)
        totals.add(router.route(torch.zeros(2, 5, 4, device=device), None))
    assert totals.gates.device.type == totals.selected.device.type == "meta"
