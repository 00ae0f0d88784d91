import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from loradar.errors import InputError
from loradar.moe_lora import MoeLoraConfig, MoeLoraLinear, Router
from loradar.moe_lora.context import RoutingContext


def route(logits, mask=None, training=False, **options):
    logits = torch.as_tensor(logits, dtype=torch.float64)
    config = MoeLoraConfig(experts=logits.shape[-1], **options)
    return Router(4, config).train(training).route(logits, mask)


@given(
    logits=st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    top_k=st.integers(1, 4),
    temperature=st.floats(0.1, 10),
)
def test_gates_are_the_softmax_over_the_largest(logits, top_k, temperature):
    routing = route([logits], top_k=top_k, temperature=temperature)
    assert routing.selected.sum() == top_k
    assert ((routing.gates == 0) | routing.selected).all()
    # Of the scores: logits an ulp apart may be one score after the division by the temperature.
    smallest_chosen = routing.scores[routing.selected].min()
    assert (routing.scores[~routing.selected] <= smallest_chosen).all()
    probabilities = (torch.tensor(logits, dtype=torch.float64) / temperature).softmax(-1)
    torch.testing.assert_close(routing.probabilities[0], probabilities)
    expected = probabilities * routing.selected[0]
    if top_k > 1:
        expected = expected / expected.sum()
    torch.testing.assert_close(routing.gates[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_a_cue_is_heard_in_all_frames_of_its_clip(granularity):
    torch.manual_seed(0)
    config = MoeLoraConfig(experts=4, granularity=granularity, cue_size=3)
    router = Router(6, config, dtype=torch.float64)
    frames = torch.randn(2, 5, 6, dtype=torch.float64)
    cue = torch.randn(2, 3, dtype=torch.float64)
    # At the start it says nothing, and learns to.
    assert torch.equal(router(frames, cue=cue).gates, router(frames).gates)
    router(frames, cue=cue).gates[..., 0].sum().backward()
    assert router.cue_weight.grad.any()
    nn.init.normal_(router.cue_weight)
    routing = router(frames, cue=cue)
    expected = (
        torch.cat([frames, cue[:, None].expand(2, 5, 3)], -1)
        @ torch.cat([router.weight, router.cue_weight], 1).T
    )
    if granularity == "utterance":
        expected = expected.mean(1)
    torch.testing.assert_close(routing.logits, expected)
    with pytest.raises(InputError, match=r"cue has shape \[3, 3\]"):
        router(frames, cue=torch.zeros(3, 3, dtype=torch.float64))


def test_ties_still_choose_exactly_k():
    routing = route(torch.zeros(2, 5, 8))
    assert (routing.selected.sum(-1) == 2).all()
    torch.testing.assert_close(routing.gates.sum(-1), torch.ones(2, 5, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_logits_and_gates_are_float32_at_least(dtype):
    router = Router(16, MoeLoraConfig(experts=4)).to(dtype)
    routing = router(torch.randn(2, 5, 16).to(dtype))
    wide = torch.promote_types(dtype, torch.float32)
    assert routing.logits.dtype == routing.gates.dtype == routing.probabilities.dtype == wide
    exact = (router.weight.double() @ torch.ones(16).double()).to(torch.float64)
    logits = router(torch.ones(1, 1, 16, dtype=dtype)).logits[0, 0].double()
    assert (logits - exact).abs().max() < 1e-6


def test_autocast_does_not_reach_the_router():
    router = Router(16, MoeLoraConfig(experts=4))
    x = torch.randn(2, 5, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(router(x).logits, router(x).logits)
        assert router(x).logits.dtype == torch.float32
        within = router(x).logits
    assert torch.equal(within, router(x).logits)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_layer_under_autocast_routes_by_its_float32_input(dropout):
    layer = MoeLoraLinear(nn.Linear(16, 16), MoeLoraConfig(experts=4, dropout=dropout))
    context = RoutingContext()
    layer.join(context, "layer")
    x = torch.randn(2, 5, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        layer(x)
    assert torch.equal(context.routings["layer"].logits, layer.router(x).logits)


def test_bfloat16_layer_routes_by_float32_logits():
    # Two experts whose logits differ by 0.1 %: equal in bfloat16, not in float32.
    config = MoeLoraConfig(experts=2, rank=1, top_k=1)
    layer = MoeLoraLinear(nn.Linear(2, 2, dtype=torch.bfloat16), config)
    with torch.no_grad():
        layer.router.weight.copy_(torch.tensor([[4.0, 0.0], [4.0, 0.004]]))
    assert layer.router.weight.dtype == torch.float32
    logits = layer.router.logits(torch.ones(1, 1, 2, dtype=torch.bfloat16))
    assert logits[0, 0, 1] > logits[0, 0, 0]
    assert layer.router(torch.ones(1, 1, 2, dtype=torch.bfloat16)).selected[0, 0].tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_top_1_trains_its_router(granularity):
    torch.manual_seed(0)
    config = MoeLoraConfig(experts=4, rank=2, top_k=1, granularity=granularity)
    layer = MoeLoraLinear(nn.Linear(16, 16), config)
    nn.init.normal_(layer.B)
    layer(torch.randn(4, 20, 16)).square().mean().backward()
    assert layer.router.weight.grad.norm() > 1e-2


def test_utterance_routing_is_by_the_mean_of_valid_frames():
    torch.manual_seed(0)
    router = Router(6, MoeLoraConfig(experts=4, granularity="utterance"))
    x = torch.randn(3, 9, 6)
    lengths = torch.tensor([9, 4, 1])
    mask = torch.arange(9) < lengths[:, None]
    routing = router(x, mask)
    assert routing.gates.shape == (3, 4)
    for clip, length in enumerate(lengths):
        mean = x[clip, :length].mean(0)
        torch.testing.assert_close(routing.logits[clip], router.weight @ mean)
    junk = x.masked_fill(~mask.unsqueeze(-1), torch.nan)
    torch.testing.assert_close(router(junk, mask).gates, routing.gates)


def test_a_clip_without_valid_frames_is_routed_evenly_and_does_not_count():
    router = Router(6, MoeLoraConfig(experts=4, top_k=4, granularity="utterance"))
    mask = torch.tensor([[True] * 5, [False] * 5])
    routing = router(torch.randn(2, 5, 6), mask)
    assert routing.gates[1].tolist() == [0.25] * 4
    assert routing.valid.tolist() == [True, False]
    assert routing.clip_gates()[1].tolist() == [0] * 4


def test_noise_only_in_training():
    logits = torch.zeros(1, 400, 4)
    noisy = route(logits, training=True, noise=0.5)
    assert 0.4 < noisy.scores.std() < 0.6
    assert torch.equal(noisy.logits, logits.double())
    assert noisy.selected.sum((0, 1)).min() > 50
    quiet = route(logits, training=False, noise=0.5)
    assert torch.equal(quiet.scores, logits.double())


def test_wrong_masks_and_shapes_are_refused():
    router = Router(6, MoeLoraConfig(experts=4, granularity="utterance"))
    with pytest.raises(InputError, match=r"mask has shape \[2, 4\].*\[2, 5\]"):
        router(torch.randn(2, 5, 6), torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="batch, time"):
        router(torch.randn(5, 6))


def test_clip_gates_average_valid_frames_and_take_a_single_clip():
    routing = route(torch.randn(2, 5, 4), torch.arange(5) < torch.tensor([[5], [2]]))
    expected = torch.stack([routing.gates[0].mean(0), routing.gates[1, :2].mean(0)])
    torch.testing.assert_close(routing.clip_gates(), expected)
    single = route(torch.randn(5, 4), torch.tensor([True, True, True, False, False]))
    torch.testing.assert_close(single.clip_gates(), single.gates[:3].mean(0, keepdim=True))


def test_print_says_what_it_is():
    assert "6 -> 4, top 2, frame" in repr(Router(6, MoeLoraConfig(experts=4)))
