"""Linear maps in 8 bits, and what a detector computes in."""

import gc
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from loradar.detector import DetectorConfig, build_detector
from loradar.detector.quantised import Int8Linear, halve, quantise_linears
from loradar.errors import InputError

WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [10, 8, 4],
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
SPECTRAL = {
    "model_type": "loradar-spectral",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "stem_channels": [8, 8, 16],
}


def detector(encoder=WAV2VEC2, mode="moe_lora"):
    config = DetectorConfig.model_validate(
        {
            "encoder": {"type": "huggingface", "config": encoder},
            "adaptation": {"mode": mode, "moe_lora": {"experts": 4, "rank": 2, "top_k": 2}},
            "backend": {"name": "linear"},
        }
    )
    model = build_detector(config, seed=0).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(".B"):
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return model


def windows(count=5, samples=16_000):
    return np.random.default_rng(0).standard_normal((count, samples)).astype(np.float32)


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 5),
    st.floats(1e-6, 1e6),
    st.booleans(),
)
def test_within_the_steps_of_8_bits(inner, outer, rows, size, bias):
    generator = torch.Generator().manual_seed(inner * 100 + outer)
    linear = nn.Linear(inner, outer, bias=bias)
    inputs = size * torch.randn(rows, inner, generator=generator)
    with torch.inference_mode():
        exact, found = linear(inputs), Int8Linear(linear)(inputs)
    # Half a step of either factor, times the other, for each of the summed products.
    steps = linear.weight.detach().abs().amax(1) / 254, inputs.abs().amax(1, keepdim=True) / 254
    bound = steps[0] * inputs.abs().sum(1, keepdim=True)
    bound = bound + steps[1] * (linear.weight.detach().abs().sum(1) + inner * steps[0])
    assert ((exact - found).abs() <= 1.001 * bound + 1e-5 * exact.abs().max() + 1e-30).all()


def test_zeros_give_the_bias_and_shapes_stay():
    linear = nn.Linear(16, 8)
    found = Int8Linear(linear)(torch.zeros(2, 3, 16))
    assert found.shape == (2, 3, 8)
    assert torch.equal(found, linear.bias.detach().expand(2, 3, 8))


def test_a_frame_gets_the_same_whatever_is_beside_it():
    quantised, frames = Int8Linear(nn.Linear(24, 8)), torch.randn(7, 24)
    loud = torch.cat([frames, 1e4 * torch.randn(3, 24)])
    assert torch.equal(quantised(loud)[:7], quantised(frames))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_output_in_the_inputs_precision_or_autocasts(kind):
    quantised, frames = Int8Linear(nn.Linear(24, 8)), torch.randn(7, 24)
    assert quantised(frames.to(kind)).dtype == kind
    with torch.autocast("cpu", torch.bfloat16):
        assert quantised(frames.to(kind)).dtype == torch.bfloat16


def test_every_plain_linear_map_is_replaced_and_no_other():
    class Odd(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), Odd(4, 4)))
    assert quantise_linears(model) == 2
    assert isinstance(model[0], Int8Linear) and isinstance(model[1][0], Int8Linear)
    assert type(model[1][1]) is Odd


def test_halving_leaves_norms_and_parametrised_maps():
    model = nn.Sequential(
        nn.Conv1d(2, 2, 1), nn.LayerNorm(4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    )
    halve(model)
    assert model[0].weight.dtype == torch.bfloat16
    assert {p.dtype for p in [*model[1].parameters(), *model[2].parameters()]} == {torch.float32}


@pytest.mark.parametrize("encoder", [WAV2VEC2, SPECTRAL])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_scores_are_near_those_in_float32(encoder, precision):
    exact, gates = detector(encoder).score_windows(windows())
    model = detector(encoder).set_precision(precision)
    found, near = model.score_windows(windows())
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()
    assert near.keys() == gates.keys()
    count = sum(isinstance(m, Int8Linear) for m in model.encoder.modules())
    assert (count > 0) == (precision == "int8")


def test_the_weights_that_were_replaced_are_let_go():
    model = detector()
    weight = weakref.ref(model.encoder.model.encoder.layers[0].feed_forward.output_dense.weight)
    model.set_precision("int8")
    gc.collect()
    assert weight() is None


def test_adapters_act_beside_a_base_in_8_bits():
    model = detector().set_precision("int8")
    before, _ = model.score_windows(windows())
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(".B"):
                value.zero_()
    after, _ = model.score_windows(windows())
    assert np.abs(before - after).max() > 1e-3


def test_where_the_products_are_missing_one_line_says_so(monkeypatch):
    def missing(*_):
        raise AttributeError("no onednn")

    monkeypatch.setattr("loradar.detector.quantised.Int8Linear.__init__", missing)
    with pytest.raises(InputError, match=r"cannot multiply in 8 bits \(no onednn\)"):
        detector().set_precision("int8")


def test_what_cannot_be_had_is_refused():
    with pytest.raises(InputError, match="precision half: give float32, bfloat16, int8"):
        detector().set_precision("half")
    with pytest.raises(InputError, match="weights are in int8"):
        detector().set_precision("int8").set_precision("float32")
    baseline = DetectorConfig.model_validate(
        {
            "encoder": {"type": "spectrogram_cnn"},
            "adaptation": {"mode": "full"},
            "backend": {"name": "none"},
        }
    )
    with pytest.raises(InputError, match="no encoder to quantise"):
        build_detector(baseline, seed=0).set_precision("int8")
