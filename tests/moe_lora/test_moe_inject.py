import pytest
import torch
from torch import nn

from loradar.errors import ConfigError, InjectionError
from loradar.moe_lora import MoeLoraConfig, Router, inject

PROJECTIONS = ("k_proj", "out_proj", "q_proj", "v_proj")


def structure(model):
    return {name: type(module) for name, module in model.named_modules()}


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_names_parameters_and_start(make_encoder, scope):
    model = make_encoder()
    x = torch.randn(2, 6, 8)
    expected = model(x)
    config = MoeLoraConfig(experts=4, rank=3, scope=scope)
    mixture = inject(model, config, lambda: model(x))
    assert sorted(mixture.adapters) == [f"layers.{n}.{p}" for n in (0, 1) for p in PROJECTIONS]
    routers = ["layers.0", "layers.1"] if scope == "block" else sorted(mixture.adapters)
    assert sorted(mixture.routers) == routers
    count = 8 * (4 * 3) * (8 + 8) + len(routers) * 4 * 8
    assert mixture.num_parameters() == count == sum(p.numel() for p in mixture.parameters())
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert trained == {id(p) for p in mixture.parameters()}
    assert torch.equal(model(x), expected)


def test_plain_lora_has_no_routers(make_encoder, stir):
    model = make_encoder()
    x = torch.randn(2, 6, 8)
    mixture = inject(model, MoeLoraConfig(experts=1, rank=3), lambda: model(x))
    stir(mixture)
    assert mixture.routers == {}
    assert not any(isinstance(module, Router) for module in model.modules())
    alone = model(x)
    with mixture.mask(torch.zeros(2, 6, dtype=torch.bool)):
        assert torch.equal(model(x), alone)
    total, terms = mixture.auxiliary_loss()
    assert (total.item(), terms, mixture.gates(), mixture.statistics().load) == (0, {}, {}, {})


def test_block_scope_runs_one_router_on_the_blocks_input(make_encoder, stir):
    model = make_encoder(blocks=1)
    x = torch.randn(2, 6, 8)
    config = MoeLoraConfig(experts=4, rank=3)
    mixture = inject(model, config, lambda: model(x))
    stir(mixture)
    output = model(x)
    block, hidden = model.layers[0], model.norm(x)
    gates = block.moe_router(hidden).gates
    q, k, v = (getattr(block, f"{n}_proj")(hidden, gates) for n in "qkv")
    context = (q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v
    torch.testing.assert_close(output, x + block.out_proj(context, gates))


def test_layers_and_targets_choose(make_encoder):
    model = make_encoder(blocks=3)
    config = MoeLoraConfig(experts=2, layers=(2,), targets=("q_proj", "v_proj"))
    mixture = inject(model, config)
    assert list(mixture.adapters) == ["layers.2.q_proj", "layers.2.v_proj"]
    with pytest.raises(ConfigError, match="block 3, but the model has 3 blocks"):
        inject(make_encoder(blocks=3), MoeLoraConfig(layers=(3,)))


def test_a_target_may_be_several_names_long(make_encoder):
    model = make_encoder(blocks=2)
    mixture = inject(model, MoeLoraConfig(targets=("1.q_proj",)))
    assert list(mixture.adapters) == ["layers.1.q_proj"]


def test_what_cannot_be_adapted_is_refused(make_encoder):
    model = make_encoder()
    with pytest.raises(InjectionError, match="no module named 'query'"):
        inject(model, MoeLoraConfig(targets=("q_proj", "query")))
    with pytest.raises(InjectionError, match="LayerNorm"):
        inject(model, MoeLoraConfig(targets=("norm",)))
    inject(model, MoeLoraConfig())
    with pytest.raises(InjectionError, match="adapted already"):
        inject(model, MoeLoraConfig())


class Bypassing(nn.Module):
    """Uses the raw weight of one projection and forgets another."""

    def __init__(self, raw: bool) -> None:
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(4, 4), nn.Linear(4, 4)
        self.raw = raw
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        x = self.scale * self.q_proj(x)
        return nn.functional.linear(x, self.v_proj.weight) if self.raw else x


@pytest.mark.parametrize(("raw", "reason"), [(True, "reads the weight"), (False, "bypasses")])
@pytest.mark.parametrize("with_probe", [False, True])
def test_a_bypassed_module_is_found(raw, reason, with_probe):
    model = Bypassing(raw)
    before = structure(model)
    x = torch.randn(1, 5, 4)
    config = MoeLoraConfig(experts=2, rank=2, targets=("q_proj", "v_proj"))
    with pytest.raises(InjectionError, match=reason) as caught:
        if with_probe:
            inject(model, config, lambda: model(x))
        else:
            inject(model, config)
            model(x)
    assert "v_proj" in str(caught.value)
    if with_probe:
        assert structure(model) == before
        assert all(p.requires_grad for p in model.parameters())
        assert not model._forward_pre_hooks


def test_a_probe_cut_off_from_autograd_is_an_error(make_encoder):
    model = make_encoder()
    x = torch.randn(1, 5, 8)
    with pytest.raises(InjectionError, match="does not reach"):
        inject(model, MoeLoraConfig(), lambda: model(x).detach())


def test_the_probe_leaves_no_trace(make_encoder):
    model = make_encoder().train()
    model.layers[1].eval()
    flags = {module: module.training for module in model.modules()}
    x = torch.randn(1, 5, 8)
    twin = make_encoder()
    state = torch.random.get_rng_state()
    bare = inject(twin, MoeLoraConfig(experts=2))
    after_bare = torch.random.get_rng_state()
    torch.random.set_rng_state(state)
    mixture = inject(model, MoeLoraConfig(experts=2), lambda: model(x) + torch.randn(()))
    assert torch.equal(torch.random.get_rng_state(), after_bare)
    assert flags.keys() <= set(model.modules())
    assert all(module.training == training for module, training in flags.items())
    assert all(p.grad is None for p in model.parameters())
    assert mixture.statistics().load == {}
    assert bare.num_parameters() == mixture.num_parameters()


def test_the_probe_does_not_merely_sum_the_output():
    class Mirrored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = nn.Linear(6, 6)

        def forward(self, x):
            y = self.q_proj(x)
            return torch.cat([y, -y], -1)  # its sum is constant

    model = Mirrored()
    inject(model, MoeLoraConfig(targets=("q_proj",)), lambda: model(torch.randn(1, 3, 6)))


def test_an_adapter_that_is_called_for_nothing_is_found():
    class Wasteful(Bypassing):
        def forward(self, x):
            return self.q_proj(x) + 0 * self.v_proj(x)

    model = Wasteful(raw=False)
    config = MoeLoraConfig(targets=("q_proj", "v_proj"))
    with pytest.raises(InjectionError, match="v_proj: the adapter's change does not reach"):
        inject(model, config, lambda: model(torch.randn(1, 3, 4)))


@pytest.mark.parametrize("container", [nn.Sequential, nn.ModuleList])
def test_a_container_has_no_input_of_its_own_to_route(container):
    # A router among the children of a Sequential would be called as one of its steps.
    model = nn.Sequential(
        container([nn.Linear(6, 6)]) if container is nn.ModuleList else container(nn.Linear(6, 6))
    )
    config = MoeLoraConfig(targets=("0.0",))
    with pytest.raises(InjectionError, match="use scope='projection'"):
        inject(model, config)
    assert type(model[0][0]) is nn.Linear


class Skipping(nn.Module):
    """Leaves out its second block in training, like layer drop."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.layers = blocks

    def forward(self, x):
        x = self.layers[0](x)
        return x if self.training else self.layers[1](x)


def test_the_probe_runs_without_layer_drop(make_encoder):
    model = Skipping(make_encoder().layers).train()
    mixture = inject(model, MoeLoraConfig(), lambda: model(torch.randn(1, 5, 8)))
    assert len(mixture.adapters) == 8
    assert model.training


def test_layer_drop_is_no_bypass(make_encoder):
    model = Skipping(make_encoder().layers).train()
    mixture = inject(model, MoeLoraConfig(experts=2))
    x = torch.randn(1, 5, 8)
    model(x)
    assert list(mixture.gates()) == ["layers.0"]
    assert mixture.auxiliary_loss()[1]["balance"].item() < 2.01
    model.eval()(x)
    assert list(mixture.gates()) == ["layers.0", "layers.1"]
    assert not model._forward_hooks
    never = Skipping(make_encoder().layers).eval()
    never.training = True
    inject(never, MoeLoraConfig(experts=2))
    never(x)
    never.forward = lambda x: x
    never.training = False
    with pytest.raises(InjectionError, match=r"layers.1.*did not call"):
        never(x)


def test_a_projection_on_other_frames_needs_projection_scope(make_encoder):
    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj, self.k_proj = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x, other):
            return self.q_proj(x) @ self.k_proj(other).transpose(1, 2)

    x, other = torch.randn(1, 5, 8), torch.randn(1, 7, 8)
    for scope in ("block", "projection"):
        model = Cross()
        config = MoeLoraConfig(experts=2, targets=("q_proj", "k_proj"), scope=scope)
        if scope == "block":
            with pytest.raises(InjectionError, match=r"k_proj has gates.*scope=\"projection\""):
                inject(model, config, lambda m=model: m(x, other))
        else:
            inject(model, config, lambda m=model: m(x, other))


def test_a_projection_outside_its_block_has_no_gates(make_encoder):
    model = make_encoder()
    inject(model, MoeLoraConfig(experts=2))
    model(torch.randn(1, 5, 8))
    with pytest.raises(InjectionError, match=r"layers.0.q_proj was called outside"):
        model.layers[0].q_proj(torch.randn(1, 5, 8))


def test_undo_gives_the_model_back(make_encoder, stir):
    model = make_encoder().requires_grad_(True)
    before, x = structure(model), torch.randn(2, 5, 8)
    expected = model(x)
    mixture = inject(model, MoeLoraConfig(experts=2))
    stir(mixture)
    assert not torch.equal(model(x), expected)
    mixture.undo()
    assert structure(model) == before
    assert torch.equal(model(x), expected)
    assert all(p.requires_grad for p in model.parameters())
    assert inject(model, MoeLoraConfig(experts=3)).num_parameters() > 0


@pytest.mark.parametrize("scope", ["block", "projection"])
@pytest.mark.parametrize("training", [False, True])
def test_adapters_and_routers_take_the_models_mode(make_encoder, scope, training):
    model = make_encoder().train(training)
    mixture = inject(model, MoeLoraConfig(scope=scope, noise=1.0, dropout=0.5))
    parts = [*mixture.adapters.values(), *mixture.routers.values()]
    assert [part.training for part in parts] == [training] * len(parts)


def test_a_failed_forward_leaves_no_gates_behind(make_encoder):
    model = make_encoder(blocks=1)
    inject(model, MoeLoraConfig(experts=2))
    block, x = model.layers[0], torch.randn(1, 5, 8)
    with pytest.raises(RuntimeError):
        model(x, torch.ones(1, 9, dtype=torch.bool))  # a mask that does not fit
    with pytest.raises(InjectionError, match="called outside"):
        block.q_proj(x)
