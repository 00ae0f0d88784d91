"""More experts in some layers than in others (MoLA)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from loradar.errors import ConfigError, MergeError
from loradar.moe_lora import MoeLoraConfig, export_expert, inject, list_experts, load
from loradar.moe_lora.allocation import experts_of_blocks
from loradar.moe_lora.silence import silenced

CONFIG = MoeLoraConfig(experts_by_layer=(2, 4), rank=3, alpha=5.0, orthogonality_weight=0.1)


def adapted(make_encoder, stir, config=CONFIG, blocks=2):
    torch.manual_seed(0)
    model = make_encoder(blocks=blocks).eval()
    mixture = inject(model, config, lambda: model(torch.randn(2, 5, 8)))
    stir(mixture)
    return model, mixture


@given(
    numbers=st.lists(st.integers(2, 12), min_size=1, max_size=8),
    more=st.integers(0, 40),
)
def test_numbers_are_spread_over_even_groups_in_order(numbers, more):
    blocks = len(numbers) + more
    spread = experts_of_blocks(
        MoeLoraConfig(experts_by_layer=numbers, top_k=min(numbers), layers=None), blocks
    )
    assert len(spread) == blocks
    # Groups follow each other, and none has more than one block more than another.
    sizes = [0] * len(numbers)
    place = 0
    for block, experts in enumerate(spread):
        while block * len(numbers) // blocks > place:
            place += 1
        sizes[place] += 1
        assert experts == numbers[place]
    assert max(sizes) - min(sizes) <= 1


def test_the_papers_2468_and_a_single_number():
    config = MoeLoraConfig(experts_by_layer=[2, 4, 6, 8])
    assert experts_of_blocks(config, 32) == [2] * 8 + [4] * 8 + [6] * 8 + [8] * 8
    assert (config.experts, config.experts_by_layer) == (8, (2, 4, 6, 8))
    assert experts_of_blocks(MoeLoraConfig(experts=5), 3) == [5, 5, 5]
    with pytest.raises(ConfigError, match="has 4 numbers, but 3 blocks are adapted"):
        experts_of_blocks(config, 3)


def test_more_numbers_than_blocks_leave_the_model_as_it_was(make_encoder):
    model = make_encoder()
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(ConfigError, match="3 numbers, but 2 blocks"):
        inject(model, MoeLoraConfig(experts_by_layer=(2, 3, 4)))
    assert [name for name, _ in model.named_modules()] == names


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_each_layer_is_a_mixture_of_its_own_size(make_encoder, stir, scope):
    config = MoeLoraConfig(experts_by_layer=(2, 4), rank=3, scope=scope)
    model, mixture = adapted(make_encoder, stir, config)
    sizes = {name: a.config.experts for name, a in mixture.adapters.items()}
    assert set(sizes.values()) == {2, 4}
    assert all(size == (2 if name.startswith("layers.0") else 4) for name, size in sizes.items())
    assert mixture.num_parameters() == sum(
        size * (3 * (8 + 8) + (8 if scope == "projection" else 0)) for size in sizes.values()
    ) + (0 if scope == "projection" else 8 * (2 + 4))
    x = torch.randn(2, 5, 8)
    model(x)
    loss, terms = mixture.auxiliary_loss()
    assert loss > 0
    assert terms["balance"] > 0
    for name, gates in mixture.gates().items():
        assert gates.shape == (2, 2 if name.startswith("layers.0") else 4)
        torch.testing.assert_close(gates.sum(1), torch.ones(2))
    loads = {name: len(load) for name, load in mixture.statistics().load.items()}
    assert set(loads.values()) == {2, 4}


def test_the_numbers_count_adapted_blocks_alone(make_encoder, stir):
    config = MoeLoraConfig(experts_by_layer=(2, 4), layers=(0, 3))
    _, mixture = adapted(make_encoder, stir, config, blocks=4)
    assert {name: router.config.experts for name, router in mixture.routers.items()} == {
        "layers.0": 2,
        "layers.3": 4,
    }


def test_even_numbers_are_the_plain_mixture(make_encoder, stir):
    x = torch.randn(2, 5, 8)
    plain, one = adapted(make_encoder, stir, MoeLoraConfig(experts=4, rank=3))
    even, other = adapted(make_encoder, stir, MoeLoraConfig(experts_by_layer=(4, 4), rank=3))
    assert torch.equal(even(x), plain(x))
    assert torch.equal(other.auxiliary_loss()[0], one.auxiliary_loss()[0])


def test_every_expert_of_every_layer_learns(make_encoder, stir):
    config = MoeLoraConfig(experts_by_layer=(2, 4), rank=3, top_k=2)
    model, mixture = adapted(make_encoder, stir, config)
    model(torch.randn(4, 50, 8)).square().sum().backward()
    for adapter in mixture.adapters.values():
        for dim, stacked in ((0, adapter.A), (1, adapter.B)):
            assert all(p.any() for p in stacked.grad.chunk(adapter.config.experts, dim))


def test_round_trip(make_encoder, stir, tmp_path):
    model, mixture = adapted(make_encoder, stir)
    mixture.freeze(1, 3)
    mixture.save(tmp_path)
    torch.manual_seed(0)
    other = make_encoder(blocks=2).eval()
    again = load(other, tmp_path)
    assert again.config == mixture.config
    assert again.config.frozen == (1, 3)
    x = torch.randn(2, 5, 8)
    assert torch.equal(other(x), model(x))
    # Number 3 is there in the second layer alone.
    other(torch.randn(4, 50, 8)).square().sum().backward()
    low, high = (again.adapters[f"layers.{n}.q_proj"] for n in (0, 1))
    assert (low.config.frozen, high.config.frozen) == ((1,), (1, 3))
    assert [p.any().item() for p in low.B.grad.chunk(2, 1)] == [True, False]
    assert [p.any().item() for p in high.B.grad.chunk(4, 1)] == [True, False, True, False]


def test_experts_are_listed_exported_and_silenced_where_they_are(make_encoder, stir, tmp_path):
    model, mixture = adapted(make_encoder, stir)
    found = list_experts(mixture)
    assert [list(expert.parameters) for expert in found] == [["layers.0", "layers.1"]] * 2 + [
        ["layers.1"]
    ] * 2
    total = sum(sum(expert.parameters.values()) for expert in found)
    assert total == mixture.num_parameters()
    assert found[3].strength.keys() == {"layers.1"}

    export_expert(mixture, 3, tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors").keys()
    assert len(names) == 8
    assert all(".layers.1." in name for name in names)

    x = torch.randn(4, 50, 8)
    whole = model(x)
    with silenced(mixture, 3):
        assert not torch.equal(model(x), whole)
    assert torch.equal(model(x), whole)
    with pytest.raises(ConfigError, match="no expert 4; there are 0 to 3"):
        mixture.tensors_of(4)


def test_what_needs_one_number_in_all_layers_is_refused(make_encoder, stir):
    model, mixture = adapted(make_encoder, stir)
    x = torch.randn(1, 4, 8)
    before = model(x)
    with pytest.raises(ConfigError, match="experts_by_layer cannot grow"):
        mixture.add_expert()
    with pytest.raises(ConfigError, match="no expert of a mixture with experts_by_layer can be"):
        mixture.remove(0)
    with pytest.raises(MergeError, match="gates change"):
        mixture.merge()
    assert torch.equal(model(x), before)
    assert all(parameter.requires_grad for parameter in mixture.parameters())


@pytest.mark.parametrize("wrong", [[], [1, 2], 4, "24", [2, 2.5], [2, True]])
def test_numbers_out_of_range(wrong):
    with pytest.raises(ConfigError, match=r"moe_lora.experts_by_layer is"):
        MoeLoraConfig(experts_by_layer=wrong)


def test_top_k_may_not_exceed_the_least():
    with pytest.raises(ConfigError, match=r"top_k is 3; .* at most the \(least\) .*, 2"):
        MoeLoraConfig(experts_by_layer=(2, 6), top_k=3)


def test_settings_go_through_json_and_are_left_out_when_unset():
    back = MoeLoraConfig.from_json(CONFIG.to_json())
    assert back == CONFIG
    assert back.experts_by_layer == (2, 4)
    new = {"experts_by_layer", "routing", "selection_weight", "kind"}
    assert not new & MoeLoraConfig().to_dict().keys()
