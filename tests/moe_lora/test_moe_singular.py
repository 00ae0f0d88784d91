"""Experts among the singular values of the frozen weight."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from loradar.errors import ConfigError, MergeError
from loradar.moe_lora import (
    MoeLoraConfig,
    Router,
    SingularLinear,
    export_expert,
    import_expert,
    inject,
    list_experts,
    load,
)
from loradar.moe_lora.peft_format import read_peft
from loradar.moe_lora.silence import silenced

KINDS = ["singular_values", "singular_matrix"]


def adapted(make_encoder, kind, **options):
    torch.manual_seed(0)
    model = make_encoder().eval()
    x = torch.randn(2, 5, 8)
    config = MoeLoraConfig(**{"experts": 3, "rank": 4, "alpha": 6.0, "kind": kind, **options})
    mixture = inject(model, config, lambda: model(x))
    for adapter in mixture.adapters.values():
        nn.init.normal_(adapter.M)
    return model, mixture


def written_out(layer, x, gates):
    """One expert after the other: the weight with changed singular values, frame by frame."""
    config, r = layer.config, layer.config.rank
    U, S, V = torch.linalg.svd(layer.base.weight, full_matrices=False)
    y = x @ layer.base.weight.T + (0 if layer.base.bias is None else layer.base.bias)
    for e in range(config.experts):
        M = torch.diag(layer.M[e]) if config.kind == "singular_values" else layer.M[e]
        change = config.scale * U[:, :r] @ M @ torch.diag(S[:r]) @ V[:r]
        y = y + gates[..., e : e + 1] * (x @ change.T)
    return y


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    experts=st.integers(1, 5),
    d_in=st.integers(2, 12),
    d_out=st.integers(2, 12),
    data=st.data(),
    granularity=st.sampled_from(["frame", "utterance"]),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_shape_equals_the_loop(kind, experts, d_in, d_out, data, granularity, bias, seed):
    torch.manual_seed(seed)
    config = MoeLoraConfig(
        experts=experts,
        rank=data.draw(st.integers(1, min(d_in, d_out))),
        top_k=data.draw(st.integers(1, experts)),
        granularity=granularity,
        alpha=5.0,
        kind=kind,
    )
    layer = SingularLinear(nn.Linear(d_in, d_out, bias=bias, dtype=torch.float64), config)
    nn.init.normal_(layer.M)
    x = torch.randn(3, 5, d_in, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(3, 5, d_out, dtype=torch.float64)
    wanted = [x, layer.M]
    gates = torch.ones(3, 5, 1, dtype=torch.float64)
    if layer.router is not None:
        wanted.append(layer.router.weight)
        gates = layer.router(x).gates
        if granularity == "utterance":
            gates = gates.unsqueeze(1)
    ours, loop = layer(x), written_out(layer, x, gates)
    torch.testing.assert_close(ours, loop, rtol=0, atol=1e-10)
    for a, b in zip(
        torch.autograd.grad(ours, wanted, upstream),
        torch.autograd.grad(loop, wanted, upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_values_are_scaled_by_one_and_the_learnt_part():
    torch.manual_seed(0)
    config = MoeLoraConfig(experts=1, rank=3, kind="singular_values")
    layer = SingularLinear(nn.Linear(6, 5, bias=False, dtype=torch.float64), config)
    layer.M.data = torch.tensor([[0.5, -0.2, 0.0]], dtype=torch.float64)
    S = torch.linalg.svdvals(layer.base.weight)
    changed = torch.linalg.svdvals(layer.base.weight + layer.change())
    S[:3] *= torch.tensor([1.5, 0.8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(changed, S.sort(descending=True).values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scope", ["block", "projection"])
@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_the_start_equals_the_base_and_every_expert_learns(make_encoder, kind, scope, granularity):
    torch.manual_seed(0)
    model = make_encoder().eval()
    x = torch.randn(16, 20, 8)
    base = model(x)
    config = MoeLoraConfig(
        experts=3, rank=4, top_k=3, kind=kind, scope=scope, granularity=granularity
    )
    mixture = inject(model, config, lambda: model(x))
    assert torch.equal(model(x), base)
    optimizer = torch.optim.Adam(mixture.parameters(), 0.05)
    for step in range(2):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        for adapter in mixture.adapters.values():
            assert all(part.any() for part in adapter.M.grad)
        # As with LoRA, the router has a gradient once the experts differ from nothing.
        for router in mixture.routers.values():
            assert bool(router.weight.grad.any()) == (step > 0)
        optimizer.step()
    assert not torch.equal(model(x), base)


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_takes_the_directions_along(make_encoder, kind, tmp_path):
    model, mixture = adapted(make_encoder, kind)
    # As another library's decomposition may give them: both signs turned.
    for adapter in mixture.adapters.values():
        turn = torch.tensor([1.0, -1.0, 1.0, -1.0])
        adapter.below.mul_(turn[:, None])
        adapter.above.mul_(turn)
    mixture.save(tmp_path)
    torch.manual_seed(0)
    other = make_encoder().eval()
    again = load(other, tmp_path)
    assert again.config == mixture.config
    x = torch.randn(2, 5, 8)
    assert torch.equal(other(x), model(x))
    ours, theirs = mixture.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    assert {"M", "below", "above"} <= {name.rpartition(".")[2] for name in ours}


@pytest.mark.parametrize("kind", KINDS)
def test_an_expert_is_a_lora_of_its_rank(make_encoder, kind, tmp_path):
    _, mixture = adapted(make_encoder, kind)
    found = list_experts(mixture)
    total = sum(sum(expert.parameters.values()) for expert in found)
    assert total == mixture.num_parameters()
    assert found[0].strength["layers.0"] > 0
    export_expert(mixture, 1, tmp_path)
    x = torch.randn(2, 5, 8)
    gates = torch.tensor([0.0, 1.0, 0.0]).expand(2, 5, 3)
    for name, (A, B) in read_peft(tmp_path).items():
        adapter = mixture.adapters[name]
        expected = adapter.base(x) + x @ A.T @ B.T
        torch.testing.assert_close(adapter(x, gates), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_experts_are_silenced_frozen_and_removed(make_encoder, kind):
    model, mixture = adapted(make_encoder, kind, top_k=3)
    x = torch.randn(2, 9, 8)
    with torch.no_grad():
        whole = model(x)
        with silenced(mixture, 2):
            assert not torch.allclose(model(x), whole)
        assert torch.equal(model(x), whole)
    mixture.freeze(0)
    model(x).square().sum().backward()
    name, adapter = next(iter(mixture.adapters.items()))
    assert [bool(part.any()) for part in adapter.M.grad] == [False, True, True]
    kept = mixture.tensors_of(2)[name]
    mixture.remove(1)
    for now, was in zip(mixture.tensors_of(1)[name], kept, strict=True):
        assert torch.equal(now, was)
    with pytest.raises(MergeError, match="gates change"):
        mixture.merge()
    mixture.remove(0)
    one = model(x)
    mixture.merge()
    torch.testing.assert_close(model(x), one, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_grown_expert_beside_them_is_a_lora(make_encoder, kind, tmp_path):
    model, mixture = adapted(make_encoder, kind)
    x = torch.randn(2, 5, 8)
    before = model(x)
    assert mixture.add_expert(2) == 3
    assert torch.equal(model(x), before)
    assert not any(a.M.requires_grad for a in mixture.adapters.values())
    export_expert(mixture, 0, tmp_path)
    assert import_expert(mixture, tmp_path) == 4
    assert torch.equal(model(x), before)
    A, B = mixture.tensors_of(4)["layers.0.q_proj"]
    wanted = mixture.tensors_of(0)["layers.0.q_proj"]
    torch.testing.assert_close(B @ A, wanted[1] @ wanted[0], rtol=0, atol=1e-5)
    assert [expert.rank for expert in list_experts(mixture)] == [4, 4, 4, 2, 4]
    mixture.remove(3, 4)
    assert torch.equal(model(x), before)


def test_experts_by_layer_and_singular_values(make_encoder):
    model, mixture = adapted(make_encoder, "singular_values", experts_by_layer=(2, 3))
    assert {len(a.M) for a in mixture.adapters.values()} == {2, 3}
    model(torch.randn(2, 5, 8))
    assert mixture.auxiliary_loss()[1]["orthogonality"] == 0


def test_low_precision_trains_float32():
    torch.manual_seed(0)
    for kind in KINDS:
        config = MoeLoraConfig(experts=3, rank=4, top_k=3, kind=kind)
        layer = SingularLinear(nn.Linear(12, 10, dtype=torch.bfloat16), config)
        nn.init.normal_(layer.M)
        x = torch.randn(2, 7, 12)
        output = layer(x.bfloat16())
        assert output.dtype == torch.bfloat16
        expected = layer.float()(x)
        assert (output.float() - expected).abs().max() < 0.05 * expected.abs().max()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lower = layer(x)
        assert lower.dtype == torch.bfloat16
        lower.float().sum().backward()
        assert layer.M.grad.dtype == torch.float32


def test_frames_of_any_leading_shape_and_gates_of_others():
    layer = SingularLinear(
        nn.Linear(6, 5, dtype=torch.float64),
        MoeLoraConfig(experts=3, rank=2, kind="singular_matrix"),
    )
    nn.init.normal_(layer.M)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    flat = layer(x.view(24, 6))
    torch.testing.assert_close(layer(x).view(24, 5), flat, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer(x[0, 0, 0]), flat[0], rtol=0, atol=1e-12)
    assert isinstance(layer.router, Router)


def test_what_does_not_fit_is_refused(make_encoder):
    with pytest.raises(ConfigError, match="kind is 'svd'"):
        MoeLoraConfig(kind="svd")
    for wrong in ({"shared_down": True}, {"orthogonality_weight": 0.1}):
        with pytest.raises(ConfigError, match="experts of kind singular_values have none"):
            MoeLoraConfig(kind="singular_values", **wrong)
    model = make_encoder()
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(ConfigError, match="rank is 9, but a map of 8 to 8 features has 8 singular"):
        inject(model, MoeLoraConfig(rank=9, kind="singular_values"))
    assert [name for name, _ in model.named_modules()] == names
    config = MoeLoraConfig(rank=4, kind="singular_matrix")
    assert MoeLoraConfig.from_json(config.to_json()) == config
