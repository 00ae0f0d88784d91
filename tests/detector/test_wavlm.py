import copy

import pytest
import torch
from transformers import WavLMConfig, WavLMModel

from loradar.detector.wavlm import call_projections_as_modules
from loradar.errors import InjectionError
from loradar.moe_lora import MoeLoraConfig, inject

TINY = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
}


def make(**options):
    torch.manual_seed(0)
    model = WavLMModel(WavLMConfig(**{**TINY, **options})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # At the start the position bias is near nothing; make it and its gates count.
            if "rel_attn_embed" in name or "gru_rel_pos" in name:
                parameter.normal_()
            if name.endswith("_proj.bias"):
                parameter.normal_(std=0.1)
    return model


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # the original's
@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_route_equals_the_original(stable, padded):
    model = make(do_stable_layer_norm=stable)
    routed = copy.deepcopy(model)
    call_projections_as_modules(routed)
    waveforms = torch.randn(2, 8_000)
    mask = torch.ones(2, 8_000, dtype=torch.long)
    valid = [model._get_feat_extract_output_lengths(torch.tensor(8_000))] * 2
    if padded:
        waveforms[1, 5_000:] = 0
        mask[1, 5_000:] = 0
        valid[1] = model._get_feat_extract_output_lengths(torch.tensor(5_000))
    with torch.no_grad():
        expected = model(waveforms, attention_mask=mask).last_hidden_state
        found = routed(waveforms, attention_mask=mask).last_hidden_state
    for row in range(2):
        frames = int(valid[row])
        assert (found[row, :frames] - expected[row, :frames]).abs().max() < 1e-5


def test_position_bias_matters_in_this_test():
    model = make()
    clip = torch.randn(1, 8_000)
    with torch.no_grad():
        before = model(clip).last_hidden_state
        model.encoder.layers[0].attention.rel_attn_embed.weight.zero_()
        assert (model(clip).last_hidden_state - before).abs().max() > 1e-3


def test_gradients_equal_the_original():
    model = make().double()
    routed = copy.deepcopy(model)
    call_projections_as_modules(routed)
    clip = torch.randn(1, 6_000, dtype=torch.float64)
    weights = torch.randn(24, dtype=torch.float64)
    for each in (model, routed):
        (each(clip).last_hidden_state @ weights).sum().backward()
    pairs = zip(model.named_parameters(), routed.parameters(), strict=True)
    compared = 0
    for (name, ours), theirs in pairs:
        if ours.grad is not None:
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-9), name
            compared += bool(ours.grad.any())
    assert compared > 50


def test_injection_needs_the_route():
    config = MoeLoraConfig(experts=2, rank=2, top_k=1)
    clip = torch.randn(1, 4_000)
    model = make()
    with pytest.raises(InjectionError):
        inject(model, config, probe=lambda: model(clip).last_hidden_state)
    routed = make()
    call_projections_as_modules(routed)
    mixture = inject(routed, config, probe=lambda: routed(clip).last_hidden_state)
    assert len(mixture.adapters) == 3 * 4
