"""Experts that are added, frozen and removed."""

import itertools
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from loradar.errors import CheckpointError, ConfigError, InjectionError, MergeError
from loradar.moe_lora import MoeLoraConfig, MoeLoraLinear, inject, load
from loradar.moe_lora.adapters import read_adapters

KINDS = [
    pytest.param(
        {"granularity": granularity, "scope": scope, "experts": experts},
        id=f"{granularity}-{scope}-{experts}",
    )
    for granularity, scope, experts in itertools.product(
        ["frame", "utterance"], ["block", "projection"], [1, 3]
    )
]
KINDS.append(pytest.param({"experts": 3, "shared_down": True}, id="shared-down"))


def same(make_encoder):
    """The same base each time."""
    torch.manual_seed(0)
    return make_encoder().eval()


def adapted(make_encoder, stir, **options):
    model = same(make_encoder)
    mixture = inject(model, MoeLoraConfig(**{"experts": 3, "rank": 2, **options}))
    stir(mixture)
    return model, mixture


def open_gates(mixture, std=2.0):
    """Let grown experts work, as after training."""
    for gates in mixture.growth.values():
        for row in gates.rows:
            nn.init.normal_(row.data, std=std)


def copied(mixture):
    return {name: tensor.clone() for name, tensor in mixture.state_dict().items()}


@pytest.mark.parametrize("options", KINDS)
def test_a_grown_model_is_the_old_one_until_it_has_learnt(make_encoder, stir, options):
    model, mixture = adapted(make_encoder, stir, **options)
    x, mask = torch.randn(3, 7, 8), torch.arange(7) < torch.tensor([[7], [4], [2]])

    def answer():
        with mixture.mask(mask):
            return model(x, mask)

    before, old = answer().detach(), copied(mixture)
    experts = options["experts"]
    assert mixture.add_expert() == experts
    assert mixture.config.grown == (2,)
    grown = answer()
    assert torch.equal(grown, before)

    # The gates have a gradient from the start; A and B as soon as the gates have moved.
    grown.square().sum().backward()
    new = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert new.keys() == mixture.state_dict().keys() - old.keys()
    for name, parameter in new.items():
        assert bool(parameter.grad.any()) == (".rows." in name), name
    optimizer = torch.optim.AdamW(new.values(), 0.05)
    optimizer.step()
    optimizer.zero_grad()
    moved = answer()
    assert not torch.equal(moved, before)
    moved.square().sum().backward()
    assert all(parameter.grad.any() for parameter in new.values())
    optimizer.step()
    for name, tensor in old.items():
        assert torch.equal(mixture.state_dict()[name], tensor), name

    # A second one, beside the first at work, changes nothing either.
    one = answer().detach()
    assert mixture.add_expert(rank=3) == experts + 1
    assert torch.equal(answer(), one)
    assert sum(p.requires_grad for p in mixture.parameters()) == (
        2 * len(mixture.adapters) + len(mixture.growth)
    )

    # Each is removed without a trace.
    mixture.remove(experts + 1)
    assert torch.equal(answer(), one)
    mixture.remove(experts)
    assert torch.equal(answer(), before)
    assert mixture.state_dict().keys() == old.keys()
    assert all(torch.equal(mixture.state_dict()[name], old[name]) for name in old)
    assert mixture.config == MoeLoraConfig(**{"rank": 2, **options})


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
def test_grown_experts_work_on_padded_batches(make_encoder, stir, granularity, scope):
    model, mixture = adapted(make_encoder, stir, granularity=granularity, scope=scope)
    mixture.add_expert()
    open_gates(mixture)
    lengths = [6, 3]
    batch = torch.randn(2, 6, 8) * 5
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    with mixture.mask(mask):
        together = model(batch, mask)
    gates, openings = mixture.gates(), mixture.statistics().opening
    for n, length in enumerate(lengths):
        alone = model(batch[n : n + 1, :length])
        torch.testing.assert_close(together[n, :length], alone[0], rtol=0, atol=1e-5)
        for name, row in mixture.gates().items():
            assert row.shape == (1, 4)
            assert 0 < row[0, 3].abs() < 1
            torch.testing.assert_close(gates[name][n], row[0], rtol=0, atol=1e-5)
    for name, opening in openings.items():
        assert opening.shape == (1, 2)
        counts = [1, 1] if granularity == "utterance" else lengths
        mean = (gates[name][:, 3].double() * torch.tensor(counts)).sum() / sum(counts)
        torch.testing.assert_close(opening[0, 0], mean, rtol=0, atol=1e-5)


def test_a_grown_expert_by_hand():
    torch.manual_seed(0)
    config = MoeLoraConfig(experts=2, rank=2, alpha=6.0, scope="projection", targets=("a",))
    layer = MoeLoraLinear(nn.Linear(6, 5), replace(config, grown=(3,))).double()
    nn.init.normal_(layer.B)
    nn.init.normal_(layer.grown_gates.rows[0])
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    plain = MoeLoraLinear(layer.base, config).double()
    plain.load_state_dict(layer.state_dict(), strict=False)
    gate = torch.tanh(x @ layer.grown_gates.rows[0] / 6**0.5)
    expert = layer.grown[0]
    expected = plain(x) + 3.0 * gate[..., None] * (x @ expert.A.T @ expert.B.T)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    # Given gates stand in for both.
    given = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64).expand(2, 4, 3)
    expected = layer.base(x) + 3.0 * (
        0.5 * (x @ layer.A[:2].T @ layer.B[:, :2].T) + 2 * (x @ expert.A.T @ expert.B.T)
    )
    torch.testing.assert_close(layer(x, given), expected, rtol=0, atol=1e-12)
    with pytest.raises(InjectionError, match=r"\[2, 4, 3\]"):
        layer(x, given[..., :2])


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_save_and_load_with_a_format_that_older_code_refuses(make_encoder, stir, tmp_path, scope):
    model, mixture = adapted(make_encoder, stir, scope=scope)
    mixture.save(tmp_path / "old")
    old = json.loads((tmp_path / "old" / "moe_lora.json").read_text())
    # What is not grown is written as before, for every reader.
    assert old["format_version"] == 1
    assert not {"grown", "frozen"} & old["config"].keys()

    mixture.add_expert(rank=3)
    open_gates(mixture)
    mixture.freeze(1, 3)
    mixture.save(tmp_path / "grown")
    assert json.loads((tmp_path / "grown" / "moe_lora.json").read_text())["format_version"] == 2
    again = same(make_encoder)
    x = torch.randn(2, 5, 8)
    loaded = load(again, tmp_path / "grown", lambda: again(x))
    assert (loaded.config.grown, loaded.config.frozen) == ((3,), (1, 3))
    assert torch.equal(again(x), model(x))
    for name, tensor in mixture.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    (row,) = next(iter(loaded.growth.values())).rows
    assert not row.requires_grad
    assert not loaded.adapters["layers.0.q_proj"].grown[0].A.requires_grad
    with pytest.raises(CheckpointError, match=r"saved with grown=None, .* with \[3\]"):
        loaded.load(tmp_path / "old")
    loaded.remove(3)
    plain = same(make_encoder)
    load(plain, tmp_path / "old")
    assert torch.equal(again(x), plain(x))


def test_frozen_experts_stay_and_the_others_learn(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir, orthogonality_weight=1.0, balance_weight=1.0)
    mixture.freeze(1)
    mixture.freeze(0)
    assert mixture.config.frozen == (0, 1)
    before = copied(mixture)
    optimizer = torch.optim.Adam(mixture.parameters(), 0.05)
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(torch.randn(2, 6, 8)).square().sum() + mixture.auxiliary_loss()[0]
        loss.backward()
        optimizer.step()
    for name, tensor in mixture.state_dict().items():
        dim = 1 if name.endswith(".B") else 0
        for number, (now, was) in enumerate(
            zip(tensor.chunk(3, dim), before[name].chunk(3, dim), strict=True)
        ):
            assert torch.equal(now, was) == (number < 2), (name, number)
    mixture.freeze(2)
    assert not any(parameter.requires_grad for parameter in mixture.parameters())


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_experts_of_the_softmax_are_removed_with_their_rows(make_encoder, stir, scope):
    model, mixture = adapted(make_encoder, stir, scope=scope, top_k=3)
    mixture.add_expert()
    open_gates(mixture)
    mixture.freeze(2, 3)
    kept = {number: mixture.tensors_of(number) for number in (0, 2, 3)}
    mixture.remove(1)
    config = mixture.config
    assert (config.experts, config.top_k, config.frozen) == (2, 2, (1, 2))
    for new, old in enumerate((0, 2, 3)):
        for name, (A, B) in mixture.tensors_of(new).items():
            assert torch.equal(A, kept[old][name][0])
            assert torch.equal(B, kept[old][name][1])
    x = torch.randn(2, 5, 8)
    model(x)
    for name, gates in mixture.gates().items():
        assert mixture.routers[name].weight.shape == (2, 8)
        torch.testing.assert_close(gates[:, :2].sum(1), torch.ones(2))

    # The last one of the softmax is plain LoRA, and merges once no gate is left.
    mixture.remove(0)
    assert (mixture.config.experts, mixture.routers) == (1, {})
    assert not any("router" in name for name, _ in model.named_parameters())
    model(x)
    assert all(torch.equal(row[:, 0], torch.ones(2)) for row in mixture.gates().values())
    with pytest.raises(MergeError, match="grown"):
        mixture.merge()
    with pytest.raises(ConfigError, match="must stay"):
        mixture.remove(0)
    mixture.remove(1)
    expected = model(x)
    mixture.merge()
    torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match="no adapters"):
        mixture.add_expert()


def test_what_is_not_there_is_refused(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir)
    x = torch.randn(1, 4, 8)
    before = model(x)
    for change in (mixture.freeze, mixture.remove, mixture.tensors_of):
        for wrong in (3, -1):
            with pytest.raises(ConfigError, match=f"no expert {wrong}; there are 0 to 2"):
                change(wrong)
    for rank in (0, 1.5):
        with pytest.raises(ConfigError, match="grown"):
            mixture.add_expert(rank)
    assert torch.equal(model(x), before)
    assert all(parameter.requires_grad for parameter in mixture.parameters())


def test_a_plain_lora_in_blocks_that_cannot_route_is_refused_whole(stir):
    model = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.Linear(8, 8)))
    mixture = inject(model, MoeLoraConfig(experts=1, targets=("0",)))
    with pytest.raises(InjectionError, match="scope='projection'"):
        mixture.add_expert()
    assert mixture.growth == {}
    assert mixture.config.grown == ()
    model(torch.randn(2, 8))


def test_undo_takes_everything_out(make_encoder, stir):
    for options in ({"scope": "block"}, {"scope": "projection"}, {"experts": 1}):
        model = make_encoder()
        names = [name for name, _ in model.named_modules()]
        x = torch.randn(1, 4, 8)
        base = model(x)
        mixture = inject(model, MoeLoraConfig(**{"experts": 2, **options}))
        stir(mixture)
        mixture.add_expert()
        mixture.undo()
        assert [name for name, _ in model.named_modules()] == names
        assert torch.equal(model(x), base)


def test_only_what_trains_is_in_training_mode(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir, dropout=0.5, noise=1.0)
    x = torch.randn(2, 6, 8)
    before = model(x)
    mixture.train()
    assert not torch.equal(model(x), before)
    mixture.add_expert()
    mixture.train()
    assert torch.equal(model(x), before)
    open_gates(mixture)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_statistics_and_export_of_a_grown_mixture(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir)
    mixture.add_expert()
    x = torch.randn(2, 6, 8)
    model(x)
    shut = mixture.statistics()
    assert shut.dead["layers.0"][-1:] == [3]
    row = json.loads(json.dumps(shut.to_dict()))["layers.0"]
    assert row["opening"] == {"gates": [0.0], "sizes": [0.0]}
    assert (len(row["load"]), row["positions"]) == (3, 12)
    open_gates(mixture)
    mixture.reset_statistics()
    expected = model(x)
    assert 3 not in mixture.statistics().dead["layers.0"]
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), expected)


def test_old_files_are_read(make_encoder, stir, tmp_path):
    _, mixture = adapted(make_encoder, stir)
    mixture.save(tmp_path)
    config, _ = read_adapters(tmp_path)
    assert (config.grown, config.frozen, config.total) == ((), (), 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"grown": 2},
        {"grown": [0]},
        {"grown": ["2"]},
        {"frozen": 1},
        {"frozen": [3]},
        {"frozen": [1, 1]},
        {"frozen": [-1]},
        {"frozen": [True]},
    ],
)
def test_wrong_settings_of_growth(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MoeLoraConfig(experts=3, **wrong)
    assert MoeLoraConfig(experts=3, grown=[2], frozen=[3, 0]).frozen == (0, 3)


def test_settings_of_growth_go_through_json():
    config = MoeLoraConfig(experts=3, grown=(2, 4), frozen=(4,))
    assert MoeLoraConfig.from_json(config.to_json()) == config
    assert config.total == 5


def test_with_one_a_for_all_experts_come_and_go_by_their_b(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir, shared_down=True, top_k=3)
    name, adapter = next(iter(mixture.adapters.items()))
    A, B = adapter.A.detach().clone(), adapter.B.detach().clone()
    assert (A.shape, B.shape) == ((2, 8), (8, 6))
    own = mixture.tensors_of(1)[name]
    assert torch.equal(own[0], A)
    assert torch.equal(own[1], B[:, 2:4])

    # Freezing one holds what it shares, and not the others' own.
    mixture.freeze(1)
    model(torch.randn(2, 5, 8)).square().sum().backward()
    assert adapter.A.grad is None
    assert not adapter.B.grad[:, 2:4].any()
    assert adapter.B.grad[:, :2].any()
    mixture.remove(0)
    assert torch.equal(adapter.A, A)
    assert torch.equal(adapter.B, B[:, 2:])
    assert mixture.config.frozen == (0,)
    assert mixture.config.shared_down
    mixture.remove(1)
    x = torch.randn(2, 5, 8)
    one = model(x)
    mixture.merge()
    torch.testing.assert_close(model(x), one, rtol=0, atol=1e-5)


def test_one_a_for_all_leaves_nothing_to_make_orthogonal(make_encoder, stir):
    with pytest.raises(ConfigError, match="with shared_down they have one"):
        MoeLoraConfig(shared_down=True, orthogonality_weight=0.1)
    model, mixture = adapted(make_encoder, stir, shared_down=True)
    model(torch.randn(2, 5, 8))
    assert mixture.auxiliary_loss()[1]["orthogonality"] == 0
    assert mixture.auxiliary_loss()[1]["balance"] > 0


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_routers_that_hear_a_cue_are_frozen_cut_saved_and_grown(
    make_encoder, stir, scope, tmp_path
):
    model, mixture = adapted(make_encoder, stir, scope=scope, cue_size=2)
    for router in mixture.routers.values():
        nn.init.normal_(router.cue_weight)
    x, cue = torch.randn(2, 5, 8), torch.randn(2, 2)

    def answer(mixture, model, cue=cue):
        with mixture.mask(None, cue):
            return model(x)

    before = answer(mixture, model)
    assert not torch.equal(before, answer(mixture, model, -cue))
    mixture.save(tmp_path)
    other = same(make_encoder)
    assert torch.equal(answer(load(other, tmp_path), other), before)
    mixture.add_expert()
    assert torch.equal(answer(mixture, model), before)
    assert not any(router.cue_weight.requires_grad for router in mixture.routers.values())
    mixture.remove(3, 1)
    name, router = next(iter(mixture.routers.items()))
    old = read_adapters(tmp_path)[1]
    at = next(key for key in old if key.endswith("cue_weight") and key.startswith(name))
    assert torch.equal(router.cue_weight, old[at][[0, 2]])
