import pytest
import torch
from torch import nn

from loradar.errors import CheckpointError, MergeError
from loradar.moe_lora import MoeLoraConfig, inject


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_plain_lora_merges_exactly(make_encoder, stir, dtype):
    model = make_encoder().to(dtype).eval()
    names = [name for name, _ in model.named_modules()]
    mixture = inject(model, MoeLoraConfig(experts=1, rank=2, alpha=6.0))
    stir(mixture)
    x = torch.randn(2, 5, 8, dtype=dtype)
    start, adapted = model.layers[0].q_proj.base(x), model(x)
    wanted = {
        name: (a.base.weight.double() + 3 * (a.B.double() @ a.A.double())).to(dtype)
        for name, a in mixture.adapters.items()
    }
    mixture.merge()
    assert [name for name, _ in model.named_modules()] == names
    for name, weight in wanted.items():
        assert type(model.get_submodule(name)) is nn.Linear
        assert torch.equal(model.get_submodule(name).weight, weight)
    assert not torch.allclose(model.layers[0].q_proj(x), start)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(model(x), adapted, rtol=0, atol=tolerance)


def test_after_merging_there_is_nothing_left_to_save(make_encoder, tmp_path):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=1))
    mixture.merge()
    assert mixture.num_parameters() == 0
    with pytest.raises(CheckpointError, match="merged"):
        mixture.save(tmp_path)


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_a_mixture_is_refused_with_the_reason(make_encoder, granularity):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=4, granularity=granularity))
    x = torch.randn(1, 5, 8)
    before = model(x)
    with pytest.raises(MergeError, match=f"its gates change with the {granularity}"):
        mixture.merge()
    assert torch.equal(model(x), before)
