"""Experts without a router, which fold into the base weight (FURINA)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from loradar.errors import ConfigError
from loradar.moe_lora import (
    MoeLoraConfig,
    SelfRoutedLinear,
    export_expert,
    import_expert,
    inject,
    list_experts,
    load,
)
from loradar.moe_lora.losses import selection_loss
from loradar.moe_lora.peft_format import read_peft
from loradar.moe_lora.silence import silenced

OPTIONS = {"experts": 4, "rank": 2, "routing": "self", "top_k": 1, "alpha": 3.0}


def stir_all(mixture):
    """Let the experts, which start at nothing, act."""
    for adapter in mixture.adapters.values():
        nn.init.normal_(adapter.B)
        nn.init.normal_(adapter.magnitude)


def adapted(make_encoder, dtype=torch.float32, **options):
    torch.manual_seed(0)
    model = make_encoder().to(dtype).eval()
    x = torch.randn(2, 5, 8, dtype=dtype)
    mixture = inject(model, MoeLoraConfig(**{**OPTIONS, **options}), lambda: model(x))
    stir_all(mixture)
    return model, mixture


def written_out(layer, x):
    """One expert after the other, with whole matrices; its shares beside it."""
    config, r = layer.config, layer.config.rank
    y, sizes = x @ layer.base.weight.T + layer.base.bias, []
    for e in range(config.experts):
        W = layer.B[:, e * r : e * r + r] @ layer.A[e * r : e * r + r]
        if e < config.experts - 1:
            W = W / (W.norm(dim=1, keepdim=True) + 1e-6)
            sizes.append((x @ W.T).norm(dim=-1))
            W = layer.magnitude[:, None] * W
        y = y + config.scale * x @ W.T
    sizes = torch.stack(sizes, -1)
    return y, sizes / sizes.sum(-1, keepdim=True)


@settings(max_examples=25, deadline=None)
@given(
    experts=st.integers(3, 6),
    rank=st.integers(1, 4),
    d_in=st.integers(1, 12),
    d_out=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_any_shape_equals_the_loop(experts, rank, d_in, d_out, seed):
    torch.manual_seed(seed)
    config = MoeLoraConfig(experts=experts, rank=rank, routing="self", alpha=5.0)
    layer = SelfRoutedLinear(nn.Linear(d_in, d_out, dtype=torch.float64), config)
    nn.init.normal_(layer.B)
    nn.init.normal_(layer.magnitude)
    x = torch.randn(3, 5, d_in, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(3, 5, d_out, dtype=torch.float64)
    wanted = [x, layer.A, layer.B, layer.magnitude]
    ours = layer(x)
    loop, _ = written_out(layer, x)
    torch.testing.assert_close(ours, loop, rtol=0, atol=1e-10)
    for a, b in zip(
        torch.autograd.grad(ours, wanted, upstream),
        torch.autograd.grad(loop, wanted, upstream),
        strict=True,
    ):
        # Gradients grow with the inverse of a row's norm.
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_the_start_equals_the_base_and_everything_comes_to_learn(make_encoder):
    torch.manual_seed(0)
    model = make_encoder().eval()
    x = torch.randn(2, 20, 8)
    base = model(x)
    mixture = inject(model, MoeLoraConfig(**OPTIONS), lambda: model(x))
    assert torch.equal(model(x), base)
    assert mixture.routers == {}
    optimizer = torch.optim.Adam(mixture.parameters(), 0.01)
    for step in range(2):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        for adapter in mixture.adapters.values():
            # Size and shared expert first; directions as soon as there is a size.
            assert adapter.magnitude.grad.any()
            shares = [bool(part.any()) for part in adapter.B.grad.chunk(4, 1)]
            assert shares == [step > 0] * 3 + [True]
        optimizer.step()
    assert not torch.equal(model(x), base)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_merging_changes_nothing_but_the_cost(make_encoder, dtype, within):
    model, mixture = adapted(make_encoder, dtype)
    names = set(type(make_encoder())().state_dict())
    x = torch.randn(2, 7, 8, dtype=dtype)
    expected, base = model(x), model.layers[0].q_proj.base(x)
    assert not torch.allclose(model.layers[0].q_proj(x), base)
    mixture.merge()
    assert set(model.state_dict()) == names
    assert type(model.layers[0].q_proj) is nn.Linear
    tolerance = within * float(expected.detach().abs().max())
    torch.testing.assert_close(model(x), expected, rtol=0, atol=tolerance)


def test_shares_losses_and_statistics(make_encoder):
    model, mixture = adapted(
        make_encoder, torch.float64, top_k=2, selection_weight=1.0, balance_weight=1.0
    )
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    with mixture.mask(mask):
        model(x, mask)
    name = "layers.0.q_proj"
    seen = model.norm(x)
    _, shares = written_out(mixture.adapters[name], seen)
    routing = mixture.context.routings[name]
    torch.testing.assert_close(routing.gates, shares, rtol=0, atol=1e-10)
    torch.testing.assert_close(mixture.gates()[name][1], shares[1, :2].mean(0))
    best = shares.sort(-1).values[..., 1:].sum(-1)
    torch.testing.assert_close(selection_loss(routing), 1 - best[mask].mean())
    total, terms = mixture.auxiliary_loss()
    assert set(terms) == {"balance", "selection", "orthogonality", "entropy"}
    assert total.item() == pytest.approx((terms["balance"] + terms["selection"]).item())
    total.backward()
    # Losses are about directions: neither size nor shared expert has a part in them (but through
    # what later layers get).
    last = mixture.adapters["layers.1.out_proj"]
    assert last.magnitude.grad is None
    assert [bool(part.any()) for part in last.B.grad.chunk(4, 1)] == [True] * 3 + [False]
    statistics = mixture.statistics()
    assert statistics.positions[name] == 7
    assert statistics.load[name].sum() == pytest.approx(1)
    assert len(statistics.load[name]) == 3


def test_choosing_is_learnt_under_checkpointing_and_warned_of_without_gradient(make_encoder):
    model, mixture = adapted(make_encoder, selection_weight=1.0)
    model.train()
    x = torch.randn(2, 5, 8)

    def gradients():
        model.zero_grad()
        (model(x).square().sum() + mixture.auxiliary_loss()[0]).backward()
        return [p.grad.clone() for p in mixture.parameters()]

    plain = gradients()
    model.checkpoint = lambda *args: checkpoint(*args, use_reentrant=False)
    for a, b in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        model(x)
    with pytest.warns(RuntimeWarning, match="have no gradient"):
        mixture.auxiliary_loss()


def test_round_trip(make_encoder, tmp_path):
    model, mixture = adapted(make_encoder)
    mixture.save(tmp_path)
    torch.manual_seed(0)
    other = make_encoder().eval()
    again = load(other, tmp_path)
    assert again.config == mixture.config
    x = torch.randn(2, 5, 8)
    assert torch.equal(other(x), model(x))
    assert again.state_dict().keys() == mixture.state_dict().keys()
    assert any(name.endswith("q_proj.magnitude") for name in mixture.state_dict())


def test_listing_counts_all_but_the_size_they_share(make_encoder):
    _, mixture = adapted(make_encoder)
    found = list_experts(mixture)
    total = sum(sum(expert.parameters.values()) for expert in found)
    assert total == mixture.num_parameters() - 8 * len(mixture.adapters)
    adapter = mixture.adapters["layers.0.q_proj"]
    A, B = mixture.tensors_of(1)["layers.0.q_proj"]
    lengths = (B @ A).norm(dim=1)
    torch.testing.assert_close(lengths, adapter.magnitude.abs(), rtol=1e-4, atol=1e-5)
    assert found[1].strength["layers.0"] > 0


def test_exported_experts_add_up_to_the_mixture(make_encoder, tmp_path):
    model, mixture = adapted(make_encoder, torch.float64)
    total = {}
    for number in range(4):
        export_expert(mixture, number, tmp_path / str(number))
        for name, (A, B) in read_peft(tmp_path / str(number)).items():
            total[name] = total.get(name, 0) + B @ A
    for name, adapter in mixture.adapters.items():
        torch.testing.assert_close(total[name], adapter.change().float(), rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="cannot grow"):
        import_expert(mixture, tmp_path / "0")
    assert mixture.config.grown == ()
    model(torch.randn(1, 4, 8, dtype=torch.float64))


@pytest.mark.parametrize("number", [1, 3])
def test_silence_freeze_and_remove(make_encoder, number):
    model, mixture = adapted(make_encoder)
    x = torch.randn(2, 9, 8)
    with torch.no_grad():
        whole = model(x)
        with silenced(mixture, number):
            without = model(x)
        assert torch.equal(model(x), whole)
    assert not torch.allclose(without, whole)
    mixture.freeze(number)
    model(x).square().sum().backward()
    for adapter in mixture.adapters.values():
        assert adapter.magnitude.grad is None
        parts = [bool(part.any()) for part in adapter.B.grad.chunk(4, 1)]
        assert parts == [n != number for n in range(4)]
    if number == 3:
        with pytest.raises(ConfigError, match=r"expert 3 is the shared one .* must stay"):
            mixture.remove(3)
        return
    mixture.remove(number)
    torch.testing.assert_close(model(x), without, rtol=0, atol=1e-5)
    assert (mixture.config.experts, mixture.config.top_k) == (3, 1)
    with pytest.raises(ConfigError, match="must stay, and two beside it"):
        mixture.remove(0)
    mixture.freeze(0, 1, 2)
    assert not any(parameter.requires_grad for parameter in mixture.parameters())


def test_growing_is_refused_and_changes_nothing(make_encoder):
    model, mixture = adapted(make_encoder)
    x = torch.randn(1, 4, 8)
    before = model(x)
    with pytest.raises(ConfigError, match=r"routing self cannot grow.*could not be merged"):
        mixture.add_expert()
    assert torch.equal(model(x), before)
    assert all(parameter.requires_grad for parameter in mixture.parameters())


def test_low_precision_trains_float32():
    torch.manual_seed(0)
    config = MoeLoraConfig(**OPTIONS)
    layer = SelfRoutedLinear(nn.Linear(12, 10, dtype=torch.bfloat16), config)
    nn.init.normal_(layer.magnitude)
    x = torch.randn(2, 7, 12)
    output = layer(x.bfloat16())
    assert output.dtype == torch.bfloat16
    expected = layer.float()(x)
    assert (output.float() - expected).abs().max() < 0.05 * expected.abs().max()
    output.float().sum().backward()
    assert layer.magnitude.grad.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "wrong",
    [
        {"granularity": "utterance"},
        {"temperature": 2.0},
        {"noise": 0.1},
        {"renormalise": True},
        {"cue_size": 4},
        {"z_weight": 0.1},
        {"shared_down": True},
        {"experts_by_layer": [4, 6]},
        {"kind": "singular_values"},
        {"experts": 2},
        {"top_k": 4},
    ],
)
def test_settings_of_routers_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MoeLoraConfig(**{**OPTIONS, **wrong})


def test_settings_go_through_json():
    config = MoeLoraConfig(**OPTIONS, selection_weight=0.01)
    assert MoeLoraConfig.from_json(config.to_json()) == config
    assert (config.routed, config.mixes) == (False, True)
    with pytest.raises(ConfigError, match="routing is 'none'"):
        MoeLoraConfig(routing="none")
    with pytest.raises(ConfigError, match="selection_weight is a loss of routing self"):
        MoeLoraConfig(selection_weight=0.1)
