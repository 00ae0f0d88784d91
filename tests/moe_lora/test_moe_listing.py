import pytest
import torch
from torch import nn

from loradar.moe_lora import MoeLoraConfig, inject, list_experts


@pytest.mark.parametrize("scope", ["block", "projection"])
@pytest.mark.parametrize("experts", [1, 3])
def test_every_parameter_belongs_to_one_expert(make_encoder, stir, scope, experts):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=experts, rank=2, scope=scope, alpha=4.0))
    stir(mixture)
    mixture.add_expert(rank=3)
    mixture.freeze(0)
    found = list_experts(mixture)
    assert [expert.rank for expert in found] == [2] * experts + [3]
    assert [expert.grown for expert in found] == [False] * experts + [True]
    assert [expert.frozen for expert in found] == [True] + [False] * experts
    assert list(found[0].parameters) == ["layers.0", "layers.1"]
    total = sum(sum(expert.parameters.values()) for expert in found)
    assert total == mixture.num_parameters()


def test_strength_is_the_norm_of_the_change():
    model = nn.ModuleDict({"a": nn.Linear(5, 4), "b": nn.Linear(5, 6)})
    config = MoeLoraConfig(
        experts=2, rank=3, top_k=1, alpha=6.0, targets=("a", "b"), scope="projection"
    )
    mixture = inject(model, config)
    assert all(expert.strength == {"": 0.0} for expert in list_experts(mixture))
    for adapter in mixture.adapters.values():
        nn.init.normal_(adapter.B)
    for expert in list_experts(mixture):
        changes = [2 * B @ A for A, B in mixture.tensors_of(expert.number).values()]
        norm = torch.sqrt(sum(change.square().sum() for change in changes))
        assert expert.strength[""] == pytest.approx(norm.item(), rel=1e-5)
