"""Speech encoders of Hugging Face, tiny and random."""

import pytest
import torch

from loradar.errors import InjectionError
from loradar.moe_lora import MoeLoraConfig, inject

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 4),
    "conv_stride": (5, 4),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "mask_time_prob": 0.0,
    "layerdrop": 0.0,
}


def build(name):
    torch.manual_seed(0)
    if name == "whisper":
        config = transformers.WhisperConfig(
            d_model=16,
            encoder_layers=2,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            num_mel_bins=8,
            max_source_positions=20,
        )
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        model, inputs = WhisperEncoder(config), torch.randn(2, 8, 40)
    else:
        classes = {
            "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2Model"),
            "hubert": ("HubertConfig", "HubertModel"),
            "wavlm": ("WavLMConfig", "WavLMModel"),
        }
        config, model_class = (getattr(transformers, n) for n in classes[name])
        model, inputs = model_class(config(**SIZES)), torch.randn(2, 1600)
    model.requires_grad_(False)
    return model, inputs


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "whisper"])
@pytest.mark.parametrize("scope", ["block", "projection"])
@pytest.mark.parametrize("experts", [1, 4])
def test_the_self_test_passes(name, scope, experts):
    model, inputs = build(name)
    with torch.no_grad():
        expected = model.eval()(inputs).last_hidden_state
    config = MoeLoraConfig(experts=experts, rank=2, scope=scope)
    mixture = inject(model, config, lambda: model(inputs).last_hidden_state)
    parent = "self_attn" if name == "whisper" else "attention"
    assert len(mixture.adapters) == 8
    assert all(key.split(".")[-2] == parent for key in mixture.adapters)
    with torch.no_grad():
        assert torch.equal(model(inputs).last_hidden_state, expected)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "whisper"])
@pytest.mark.parametrize(
    "options",
    [
        {"experts_by_layer": (2, 3)},
        {"experts": 4, "routing": "self"},
        {"experts": 4, "kind": "singular_values"},
        {"experts": 4, "kind": "singular_matrix", "granularity": "utterance"},
    ],
    ids=lambda options: "-".join(map(str, options)),
)
def test_other_kinds_act_and_start_at_the_base(name, options):
    model, inputs = build(name)
    with torch.no_grad():
        expected = model.eval()(inputs).last_hidden_state
    config = MoeLoraConfig(rank=2, **options)
    mixture = inject(model, config, lambda: model(inputs).last_hidden_state)
    assert len(mixture.adapters) == 8
    with torch.no_grad():
        assert torch.equal(model(inputs).last_hidden_state, expected)
    assert set(mixture.auxiliary_loss()[1]) >= {"balance", "entropy"}


@pytest.mark.parametrize("with_probe", [False, True])
@pytest.mark.parametrize("experts", [1, 4])
def test_wavlm_bypasses_and_is_refused(with_probe, experts):
    model, inputs = build("wavlm")
    config = MoeLoraConfig(experts=experts, rank=2)
    with pytest.raises(InjectionError, match=r"layers.0.attention.\w_proj .*bypassed"):
        if with_probe:
            inject(model, config, lambda: model(inputs).last_hidden_state)
        else:
            inject(model, config)
            model(inputs)
    if with_probe:
        assert torch.isfinite(model(inputs).last_hidden_state).all()


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
def test_a_padded_batch_through_a_layer_norm_encoder(granularity, scope, stir):
    model, _ = build("wav2vec2")
    model.eval()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=2, granularity=granularity, scope=scope))
    stir(mixture)
    lengths = [1600, 1100, 420]
    waveforms = torch.zeros(3, 1600)
    for n, length in enumerate(lengths):
        waveforms[n, :length] = torch.randn(length)
    attention_mask = (torch.arange(1600) < torch.tensor(lengths)[:, None]).long()
    frames = int(model._get_feat_extract_output_lengths(torch.tensor(1600)))
    mask = model._get_feature_vector_attention_mask(frames, attention_mask).bool()
    with torch.no_grad():
        with mixture.mask(mask):
            together = model(waveforms, attention_mask=attention_mask).last_hidden_state
        for n, length in enumerate(lengths):
            alone = model(waveforms[n : n + 1, :length]).last_hidden_state[0]
            assert len(alone) == mask[n].sum()
            torch.testing.assert_close(together[n, : len(alone)], alone, rtol=0, atol=1e-5)


def test_training_with_layer_drop_and_hugging_faces_checkpointing(stir):
    model, inputs = build("wav2vec2")
    mixture = inject(model, MoeLoraConfig(experts=4, rank=2))
    stir(mixture)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.config.layerdrop = 0.5
    torch.manual_seed(0)
    for _ in range(8):
        model.train()
        loss = model(inputs).last_hidden_state.square().mean() + mixture.auxiliary_loss()[0]
        if loss.requires_grad:
            loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in mixture.parameters())
