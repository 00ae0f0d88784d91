"""The layer against a loop over experts, written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from loradar.errors import InjectionError
from loradar.moe_lora import MoeLoraConfig, MoeLoraLinear, Router


def make_layer(config, d_in=12, d_out=10, dtype=torch.float64, bias=True):
    layer = MoeLoraLinear(nn.Linear(d_in, d_out, bias=bias, dtype=dtype), config)
    nn.init.normal_(layer.B)
    return layer


def loop_gates(logits, config):
    """Gates of one position's logits ``[E]``, expert by expert."""
    scores = logits / config.temperature
    probabilities = scores.exp() / scores.exp().sum()
    order = sorted(range(config.experts), key=lambda e: -scores[e].item())
    chosen = order[: config.top_k]
    total = sum(probabilities[e] for e in chosen) if config.renormalises else 1
    return [probabilities[e] / total if e in chosen else None for e in range(config.experts)]


def loop_output(x, weight, bias, A, B, router, config, mask=None):
    """``[B, T, d_in]`` -> ``[B, T, d_out]``, one frame and one expert at a time."""
    r, scale = config.rank, (config.alpha or config.rank) / config.rank
    clips = []
    for clip, frames in enumerate(x):
        valid = range(len(frames)) if mask is None else mask[clip].nonzero().flatten().tolist()
        mean = sum(frames[t] for t in valid) / max(len(valid), 1)
        rows = []
        for frame in frames:
            y = weight @ frame + (0 if bias is None else bias)
            if config.experts == 1:
                gates = [1]
            else:
                seen = mean if config.granularity == "utterance" else frame
                gates = loop_gates(router @ seen, config)
            for e, gate in enumerate(gates):
                if gate is not None:
                    down = A if config.shared_down else A[e * r : e * r + r]
                    y = y + scale * gate * (B[:, e * r : e * r + r] @ (down @ frame))
            rows.append(y)
        clips.append(torch.stack(rows))
    return torch.stack(clips)


def both_ways(config, dtype, mask=None, bias=True, scope="projection"):
    """Outputs and gradients (x, A, B, router) of the layer and of the loop."""
    layer = make_layer(config, dtype=dtype, bias=bias)
    x = torch.randn(3, 5, 12, dtype=dtype)
    upstream = torch.randn(3, 5, 10, dtype=dtype)
    results = []
    for way in ("layer", "loop"):
        inputs = x.clone().requires_grad_()
        router = Router(12, config, dtype=dtype) if layer.router is None else layer.router
        with torch.no_grad():
            router.weight.copy_(torch.linspace(-1, 1, router.weight.numel()).view_as(router.weight))
            router.weight.mul_(torch.cos(torch.arange(12.0)).to(dtype) * 2)
        if way == "loop":
            parts = layer.base.weight, layer.base.bias, layer.A, layer.B, router.weight
            output = loop_output(inputs, *parts, config, mask)
        elif scope == "block" or mask is not None:
            output = layer(inputs, router(inputs, mask).gates)
        else:
            output = layer(inputs)
        wanted = [inputs, layer.A, layer.B]
        if config.experts > 1:
            wanted.append(router.weight)
        results.append([output, *torch.autograd.grad(output, wanted, upstream)])
    return results


@pytest.mark.parametrize("shared_down", [False, True])
@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
@pytest.mark.parametrize(
    ("top_k", "renormalise"), [(1, False), (2, False), (2, True), (4, False), (4, True)]
)
def test_equals_the_loop_over_experts(granularity, scope, top_k, renormalise, shared_down):
    torch.manual_seed(top_k)
    config = MoeLoraConfig(
        experts=4,
        rank=3,
        alpha=5.0,
        top_k=top_k,
        granularity=granularity,
        scope=scope,
        renormalise=renormalise,
        temperature=0.7,
        shared_down=shared_down,
    )
    assert make_layer(config).A.shape == (3 if shared_down else 12, 12)
    for ours, loop in zip(*both_ways(config, torch.float64, scope=scope), strict=True):
        torch.testing.assert_close(ours, loop, rtol=0, atol=1e-10)
        assert loop.abs().max() > 1e-3
    for ours, loop in zip(*both_ways(config, torch.float32, scope=scope), strict=True):
        assert (ours - loop).abs().max() <= 1e-5 * loop.abs().max()


@settings(max_examples=25, deadline=None)
@given(
    experts=st.integers(1, 5),
    rank=st.integers(1, 4),
    data=st.data(),
    granularity=st.sampled_from(["frame", "utterance"]),
    bias=st.booleans(),
    masked=st.booleans(),
    shared=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_shape_equals_the_loop(experts, rank, data, granularity, bias, masked, shared, seed):
    torch.manual_seed(seed)
    config = MoeLoraConfig(
        experts=experts,
        rank=rank,
        top_k=data.draw(st.integers(1, experts)),
        granularity=granularity,
        shared_down=shared,
    )
    mask = None
    if masked and experts > 1:
        mask = torch.arange(5) < torch.tensor([[5], [1], [3]])
    for ours, loop in zip(*both_ways(config, torch.float64, mask, bias), strict=True):
        torch.testing.assert_close(ours, loop, rtol=0, atol=1e-10)


@pytest.mark.parametrize("experts", [1, 4])
def test_numerical_gradients(experts):
    torch.manual_seed(0)
    layer = make_layer(MoeLoraConfig(experts=experts, rank=2, top_k=min(2, experts)), 5, 4)
    x = torch.randn(1, 3, 5, dtype=torch.float64, requires_grad=True)
    names = [name for name, p in layer.named_parameters() if p.requires_grad]
    values = [layer.get_parameter(name) for name in names]

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *values))


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_start_equals_the_base_exactly(experts, bias):
    layer = MoeLoraLinear(nn.Linear(6, 7, bias=bias), MoeLoraConfig(experts=experts, rank=2))
    x = torch.randn(2, 9, 6)
    assert torch.equal(layer(x), layer.base(x))
    with torch.no_grad():
        assert torch.equal(layer(x), layer.base(x))


def test_only_adapter_and_router_are_trained_and_the_input_may_be_constant():
    layer = make_layer(MoeLoraConfig(experts=4, rank=2), dtype=torch.float32)
    assert {n for n, p in layer.named_parameters() if p.requires_grad} == {
        "A",
        "B",
        "router.weight",
    }
    layer(torch.randn(2, 3, 12)).sum().backward()
    assert layer.base.weight.grad is None
    assert all(p.grad.abs().max() > 0 for p in (layer.A, layer.B, layer.router.weight))


def test_an_unfrozen_base_trains_as_it_should():
    layer = make_layer(MoeLoraConfig(experts=2, rank=2), dtype=torch.float32)
    layer.base.requires_grad_(True)
    x, upstream = torch.randn(2, 3, 12), torch.randn(2, 3, 10)
    ours = torch.autograd.grad(layer(x), [layer.base.weight, layer.base.bias], upstream)
    plain = torch.autograd.grad(layer.base(x), [layer.base.weight, layer.base.bias], upstream)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_without_gradients_the_output_is_the_same():
    layer = make_layer(MoeLoraConfig(experts=4, rank=2), dtype=torch.float32)
    x = torch.randn(2, 7, 12)
    expected = layer(x)
    with torch.no_grad():
        assert torch.equal(layer(x), expected)
    with torch.inference_mode():
        assert torch.equal(layer(x), expected)


def test_frame_routing_takes_any_leading_shape():
    layer = make_layer(MoeLoraConfig(experts=4, rank=2), dtype=torch.float64)
    x = torch.randn(2, 3, 4, 12, dtype=torch.float64)
    flat = layer(x.view(24, 12))
    torch.testing.assert_close(layer(x).view(24, 10), flat, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(x[0, 0, 0]), flat[0], rtol=0, atol=1e-12)


def test_an_input_that_is_not_contiguous():
    layer = make_layer(MoeLoraConfig(experts=4, rank=2))
    x = torch.randn(12, 7, 2, dtype=torch.float64).permute(2, 1, 0).requires_grad_()
    layer(x).sum().backward()
    copy = x.detach().contiguous().requires_grad_()
    layer(copy).sum().backward()
    torch.testing.assert_close(x.grad, copy.grad, rtol=0, atol=1e-12)


def test_bfloat16_is_close_to_float32():
    torch.manual_seed(0)
    layer = make_layer(MoeLoraConfig(experts=4, rank=2, top_k=4), dtype=torch.float32)
    x = torch.randn(2, 7, 12)
    expected = layer(x)
    output = layer.to(torch.bfloat16)(x.bfloat16())
    assert output.dtype == torch.bfloat16
    assert (output.float() - expected).abs().max() < 0.05 * expected.abs().max()
    output.float().sum().backward()
    assert layer.A.grad.dtype == torch.bfloat16


def test_adapters_of_a_bfloat16_base_train_in_float32():
    torch.manual_seed(0)
    layer = make_layer(MoeLoraConfig(experts=4, rank=2), dtype=torch.bfloat16)
    assert layer.base.weight.dtype == torch.bfloat16
    output = layer(torch.randn(2, 7, 12).bfloat16())
    assert output.dtype == torch.bfloat16
    output.float().sum().backward()
    for parameter in (layer.A, layer.B, layer.router.weight):
        assert parameter.dtype == parameter.grad.dtype == torch.float32
    before = layer.B.detach().clone()
    with torch.no_grad():
        layer.B.add_(1.0).sub_(1e-4)  # a step that bfloat16 would round away
    assert not torch.equal(layer.B, before + 1.0)


def test_autocast_runs_in_its_type_and_trains_float32_parameters():
    torch.manual_seed(0)
    layer = make_layer(MoeLoraConfig(experts=4, rank=2, top_k=4), dtype=torch.float32)
    x = torch.randn(2, 7, 12, requires_grad=True)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)
        assert output.dtype == layer.base(x).dtype == torch.bfloat16
    assert (output.float() - expected).abs().max() < 0.05 * expected.abs().max()
    output.float().sum().backward()
    for tensor in (x, layer.A, layer.B, layer.router.weight):
        assert tensor.grad.dtype == torch.float32
        assert tensor.grad.abs().max() > 0


def test_dropout_only_in_training_and_only_on_the_experts_input():
    torch.manual_seed(0)
    config = MoeLoraConfig(experts=4, rank=2, dropout=0.5)
    layer = make_layer(config, dtype=torch.float32)
    x = torch.randn(2, 7, 12)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    layer.train()
    nn.init.zeros_(layer.B)
    assert torch.equal(layer(x), layer.base(x))


def test_dropout_keeps_the_expected_value():
    torch.manual_seed(0)
    layer = make_layer(MoeLoraConfig(experts=1, rank=2, dropout=0.3))
    x = torch.randn(1, 1, 12, dtype=torch.float64)
    outputs = layer(x.expand(20_000, 1, 12))
    spread = outputs.std(0) / 20_000**0.5
    assert ((outputs.mean(0) - layer.eval()(x)[0]).abs() < 5 * spread).all()


def test_a_raw_weight_is_not_to_be_had():
    layer = make_layer(MoeLoraConfig(experts=2, rank=2))
    with pytest.raises(InjectionError, match="reads the weight"):
        _ = layer.weight
    assert not hasattr(layer, "bias")
    assert (layer.in_features, layer.out_features) == (12, 10)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = layer.nonsense


def test_other_linear_maps_are_refused():
    class Quantised(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs.round())

    with pytest.raises(InjectionError, match="Quantised"):
        MoeLoraLinear(Quantised(4, 4), MoeLoraConfig())


def test_gates_of_other_frames_are_refused():
    layer = make_layer(MoeLoraConfig(experts=4, rank=2))
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    with pytest.raises(InjectionError, match="gates of shape"):
        layer(x, torch.ones(2, 6, 4))
