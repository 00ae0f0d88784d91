import json

import numpy as np
import pytest
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model

from loradar.detector.config import HuggingFaceEncoderConfig
from loradar.detector.encoders import build_encoder
from loradar.detector.filterbank_encoder import LogFilterbank
from loradar.detector.whisper import LogMel
from loradar.errors import ConfigError, InputError

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
}
BERT = {
    "model_type": "wav2vec2-bert",
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_depthwise_kernel_size": 5,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
WHISPER = {
    "model_type": "whisper",
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 0,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "num_mel_bins": 80,
    "vocab_size": 4,
    "max_target_positions": 1,
    "pad_token_id": 0,
}


def make(kind="wav2vec2", *, layers=None, layer_mix="last", **options):
    torch.manual_seed(0)
    config = {"model_type": kind, **TINY, **options}
    if kind in ("whisper", "wav2vec2-bert"):
        config = WHISPER if kind == "whisper" else {**BERT, **options}
    return build_encoder(
        HuggingFaceEncoderConfig(config=config, layers=layers, layer_mix=layer_mix)
    ).eval()


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "wav2vec2-bert"])
@pytest.mark.parametrize("mix", ["last", "learned"])
def test_layer_norm_encoders_give_a_padded_clip_what_it_gets_alone(kind, mix):
    encoder = make(kind, layer_mix=mix, **(LAYER_NORM if kind != "wav2vec2-bert" else {}))
    assert encoder.supports_padding
    if encoder.mix is not None:
        torch.nn.init.normal_(encoder.mix.weights)
    lengths = torch.tensor([8_000, 5_123, 3_001])
    waveforms = torch.randn(3, 8_000)
    for row, size in enumerate(lengths):
        waveforms[row, size:] = 0
    with torch.no_grad():
        features, mask = encoder(waveforms, lengths)
        assert mask.shape == features.shape[:2]
        for row, size in enumerate(lengths.tolist()):
            alone, nothing = encoder(waveforms[row : row + 1, :size])
            assert nothing is None
            assert alone.shape[1] == encoder.frames(size) == int(mask[row].sum())
            assert (features[row, : alone.shape[1]] - alone[0]).abs().max() < 1e-5


def test_group_norm_encoders_do_not_support_padding():
    encoder = make("hubert")
    assert not encoder.supports_padding
    clip = torch.randn(1, 8_000)
    padded = torch.nn.functional.pad(clip, (0, 4_000))
    with torch.no_grad():
        alone = encoder(clip)[0]
        together = encoder(padded, torch.tensor([8_000]))[0][:, : alone.shape[1]]
    # The reason for the refusal: the answer really changes.
    assert (alone - together).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "wav2vec2-bert", "whisper"])
def test_layer_cut_and_mix(kind):
    whole, cut, mixed = make(kind), make(kind, layers=2), make(kind, layer_mix="learned")
    clip = torch.randn(1, 8_000)
    with torch.no_grad():
        sequences = mixed.layers(clip, None)
        features, _ = mixed(clip)
        last, cut_last = whole(clip)[0], cut(clip)[0]
    count = 2 if kind == "whisper" else 3
    assert len(sequences) == count + 1
    normal = [torch.nn.functional.layer_norm(s, s.shape[-1:]) for s in sequences]
    assert torch.allclose(features, torch.stack(normal).mean(0), atol=1e-6)
    assert torch.allclose(sequences[-1], last, atol=1e-6)
    assert last.shape == (1, whole.frames(8_000), whole.width)
    if kind == "whisper":
        assert torch.equal(cut_last, last)
    else:
        # Post-norm models: the cut ends at what the whole model hands to its third layer.
        assert torch.allclose(cut_last, sequences[2], atol=1e-6)


def test_more_layers_than_there_are():
    with pytest.raises(ConfigError, match="layers is 7, but the encoder has 3"):
        make(layers=7)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "wav2vec2-bert"])
def test_training_draws_nothing(kind):
    """No LayerDrop and no feature masks: with dropout off, train and eval agree."""
    encoder = make(
        kind,
        layerdrop=0.9,
        mask_time_prob=0.9,
        mask_time_length=2,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        **({"conformer_conv_dropout": 0.0} if kind == "wav2vec2-bert" else {}),
    )
    clip = torch.randn(2, 8_000)
    with torch.no_grad():
        quiet = encoder(clip)[0]
        assert torch.allclose(encoder.train()(clip)[0], quiet, atol=1e-6)


def test_log_mel_is_that_of_whisper():
    from transformers import WhisperFeatureExtractor

    clip = 0.1 * np.random.default_rng(0).standard_normal(64_600).astype(np.float32)
    clip[20_000:40_000] *= 1e-4
    theirs = WhisperFeatureExtractor()(
        clip, sampling_rate=16_000, padding="do_not_pad", return_tensors="pt"
    ).input_features
    ours = LogMel(80)(torch.from_numpy(clip).unsqueeze(0))
    assert ours.shape == theirs.shape == (1, 80, 403)
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize("samples", [16_000, 16_160, 20_001])
def test_filterbank_is_that_of_wav2vec2_bert(samples):
    from transformers import SeamlessM4TFeatureExtractor

    clip = 0.1 * np.random.default_rng(0).standard_normal(samples).astype(np.float32) + 0.01
    theirs = SeamlessM4TFeatureExtractor()(clip, sampling_rate=16_000, return_tensors="pt")
    ours = LogFilterbank()(torch.from_numpy(clip).unsqueeze(0), None)
    assert int(theirs.attention_mask.sum()) == ours.shape[1]
    assert (ours - theirs.input_features[:, : ours.shape[1]]).abs().max() < 1e-3


def test_whisper_equals_transformers_with_cut_positions():
    encoder = make("whisper")
    clip = 0.1 * torch.randn(2, 32_000)
    with torch.no_grad():
        found, mask = encoder(clip)
        theirs = encoder.model
        theirs.config.max_source_positions = 100
        theirs.embed_positions = torch.nn.Embedding.from_pretrained(
            theirs.embed_positions.weight[:100].detach()
        )
        expected = theirs(encoder.mel(clip)).last_hidden_state
    assert mask is None
    assert found.shape == expected.shape == (2, 100, 24)
    assert (found - expected).abs().max() < 1e-5


def test_whisper_refuses_more_than_its_positions():
    encoder = make("whisper")
    with pytest.raises(InputError, match="positions for 30 s"):
        encoder(torch.zeros(1, 16_000 * 31))


def test_whisper_tiny_loads_and_changes_with_the_clip(shared):
    folder = shared / "encoders" / "whisper-tiny.en"
    if not folder.is_dir():
        pytest.skip("no whisper-tiny.en here")
    encoder = build_encoder(HuggingFaceEncoderConfig(id=str(folder), layers=2)).eval()
    assert next(encoder.model.parameters()).dtype == torch.float32
    with torch.no_grad():
        features, _ = encoder(0.1 * torch.randn(2, 16_000))
    assert features.shape == (2, 50, 384)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1])


@pytest.mark.parametrize(
    ("model", "config"), [(Wav2Vec2Model, Wav2Vec2Config), (HubertModel, HubertConfig)]
)
def test_local_folder_gives_the_saved_weights(tmp_path, model, config):
    original = model(config(**TINY)).eval()
    original.save_pretrained(tmp_path)
    encoder = build_encoder(HuggingFaceEncoderConfig(id=str(tmp_path))).eval()
    clip = torch.randn(1, 8_000)
    with torch.no_grad():
        assert torch.allclose(encoder(clip)[0], original(clip).last_hidden_state, atol=1e-6)


def test_local_folder_with_pickled_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2", **TINY}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read")
    with pytest.raises(InputError, match="pickled weights"):
        build_encoder(HuggingFaceEncoderConfig(id=str(tmp_path)))
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json"):
        build_encoder(HuggingFaceEncoderConfig(id=str(tmp_path)))


def test_weights_of_another_model_are_refused(tmp_path):
    Wav2Vec2Model(Wav2Vec2Config(**{**TINY, "num_hidden_layers": 1})).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "num_hidden_layers": 2}))
    with pytest.raises(InputError, match="the weights lack"):
        build_encoder(HuggingFaceEncoderConfig(id=str(tmp_path)))


def test_hub_out_of_reach_is_one_clear_line(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("We couldn't connect to 'https://huggingface.co'\nand more lines")

    monkeypatch.setattr("loradar.detector.hub_models.AutoModel.from_pretrained", refuse)
    with pytest.raises(InputError, match="local folder") as info:
        build_encoder(HuggingFaceEncoderConfig(id="facebook/wav2vec2-xls-r-300m"))
    assert "facebook/wav2vec2-xls-r-300m" in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("id", ["./nowhere", "/no/such/folder", "a/b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(id):
    with pytest.raises(InputError, match="no such folder"):
        build_encoder(HuggingFaceEncoderConfig(id=id))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "wav2vec9"}, "unknown model_type 'wav2vec9'"),
        ({"model_type": "wav2vec2", "hiden_size": 8}, "has no hiden_size"),
        ({"model_type": "bert", "num_hidden_layers": 1, "vocab_size": 9}, "bert is not supported"),
        ({"model_type": "wav2vec2", **TINY, "add_adapter": True}, "add_adapter"),
        ({"model_type": "wav2vec2", **TINY, "hidden_size": 25}, "divisible"),
    ],
)
def test_inline_configurations_are_checked(config, message):
    with pytest.raises(ConfigError, match=message) as info:
        build_encoder(HuggingFaceEncoderConfig(config=config))
    assert "\n" not in str(info.value)
