import pytest
import torch

from loradar.detector import DetectorConfig, build_detector
from loradar.errors import ConfigError, InputError

WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "hidden_dropout": 0.3,
    "attention_dropout": 0.3,
}
KEEPING = ("frozen", "lora", "moe_lora")


def make(mode="moe_lora", backend="linear", encoder=None, seed=0, moe_lora=None, **more):
    adaptation = {"mode": mode}
    if mode == "moe_lora":
        adaptation["moe_lora"] = {"experts": 3, "rank": 2, **(moe_lora or {})}
    encoder = {"type": "huggingface", "config": {**WAV2VEC2, **(encoder or {})}}
    config = {"encoder": encoder, "adaptation": adaptation, "backend": {"name": backend}, **more}
    return build_detector(DetectorConfig.from_dict(config), seed=seed)


def stir(detector):
    """Give the adapters something to say; they start at zero."""
    with torch.no_grad():
        for parameter in detector.mixture.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))


@pytest.mark.parametrize("mode", KEEPING)
def test_nothing_of_the_base_is_trained(mode):
    detector = make(mode)
    base = detector.base_tensors()
    assert len(base) > 20
    before = {name: tensor.detach().clone() for name, tensor in base.items()}
    graph = []
    detector.encoder.model.feature_extractor.register_forward_hook(
        lambda _, inputs, output: graph.append((inputs[0].requires_grad, output.requires_grad))
    )
    optimiser = torch.optim.SGD(detector.trained_parameters(), 0.1)
    extra, _ = detector.auxiliary_loss() if mode == "frozen" else (0.0, {})
    loss = detector(torch.randn(2, 8_000)).square().sum() + extra
    loss.backward()
    optimiser.step()
    # The convolutions ran outside the autograd graph: no backward is paid for them.
    assert graph == [(False, False)]
    for name, tensor in base.items():
        assert tensor.grad is None, name
        assert torch.equal(tensor, before[name]), name
    assert all(p.grad is not None for p in detector.backend.parameters())
    if mode != "frozen":
        assert any(p.grad is not None for p in detector.mixture.parameters())


def test_full_trains_everything_that_is_used():
    detector = make("full")
    detector(torch.randn(2, 8_000)).square().sum().backward()
    idle = {n for n, p in detector.named_parameters() if p.grad is None}
    assert idle == {"encoder.model.masked_spec_embed"}


def test_full_with_a_frozen_feature_encoder():
    config = DetectorConfig.from_dict(
        {
            "encoder": {"type": "huggingface", "config": WAV2VEC2, "freeze_feature_encoder": True},
            "adaptation": {"mode": "full"},
            "backend": {"name": "linear"},
        }
    )
    detector = build_detector(config, seed=0)
    detector(torch.randn(2, 8_000)).square().sum().backward()
    extractor = detector.encoder.model.feature_extractor
    assert all(p.grad is None for p in extractor.parameters())
    assert all(p.grad is not None for p in detector.encoder.model.encoder.parameters())
    assert not any("feature_extractor" in name for name in detector.trained_state())


@pytest.mark.parametrize("mode", KEEPING)
def test_a_fixed_encoder_has_no_dropout_in_training(mode):
    detector = make(mode)
    clips = torch.randn(2, 8_000)
    detector.train()
    assert detector.training
    assert detector.backend.training
    assert not detector.encoder.model.training
    with torch.no_grad():
        assert torch.equal(detector(clips), detector(clips))
    if mode != "frozen":
        assert all(a.training for a in detector.mixture.adapters.values())
        detector.eval()
        assert not any(a.training for a in detector.mixture.adapters.values())
    full = make("full").train()
    assert full.encoder.model.training
    with torch.no_grad():
        assert not torch.equal(full(clips), full(clips))


def test_one_seed_gives_one_detector_and_the_same_start_in_every_mode():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first, second, other = make(), make(), make(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    clips = torch.randn(2, 8_000)
    modes = [make(mode).eval() for mode in ("full", *KEEPING)]
    with torch.no_grad():
        assert torch.equal(first.eval()(clips), second.eval()(clips))
        assert not torch.allclose(first(clips), other.eval()(clips))
        # Adapters start as nothing, so every mode starts from the same answers.
        answers = [detector(clips) for detector in modes]
    for answer in answers[1:]:
        assert torch.allclose(answer, answers[0], atol=1e-6)


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_a_padded_batch_gives_each_clip_what_it_gets_alone(kind, granularity):
    detector = make(
        moe_lora={"granularity": granularity},
        encoder={"model_type": kind},
        front_end={"filter": "bandpass"},
    ).eval()
    stir(detector)
    sizes = [8_000, 5_001, 3_210]
    batch = torch.randn(3, 9_000)
    with torch.no_grad():
        together = detector(batch, torch.tensor(sizes))
        for row, size in enumerate(sizes):
            alone = detector(batch[row : row + 1, :size])
            assert (together[row] - alone[0]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("backend", "encoder"),
    [("aasist", {}), ("linear", {"feat_extract_norm": "group"})],
    ids=["aasist", "group norm"],
)
def test_unequal_lengths_are_refused_without_a_mask(backend, encoder):
    detector = make(backend=backend, encoder=encoder).eval()
    batch = torch.randn(2, 8_000)
    with pytest.raises(InputError, match="unequal length"):
        detector(batch, torch.tensor([8_000, 7_999]))
    with torch.no_grad():
        equal = detector(batch, torch.tensor([6_000, 6_000]))
        assert torch.equal(equal, detector(batch[:, :6_000]))


@pytest.mark.parametrize(
    ("waveforms", "lengths", "message"),
    [
        (torch.zeros(8_000), None, "batch, samples"),
        (torch.zeros(2, 8_000), torch.tensor([8_000]), "lengths must hold 2"),
        (torch.zeros(1, 8_000), torch.tensor([8_001]), "at most 8000"),
        (torch.zeros(1, 20), None, "too short"),
        (torch.zeros(2, 8_000), torch.tensor([8_000, 0]), "too short"),
    ],
)
def test_what_cannot_be_taken_is_said(waveforms, lengths, message):
    with pytest.raises(InputError, match=message):
        make()(waveforms, lengths)


@pytest.mark.parametrize("backend", ["aasist", "linear"])
def test_the_shortest_clip_works(backend):
    detector = make(backend=backend).eval()
    size = detector.minimum_samples
    assert detector(torch.randn(1, size)).shape == (1, 2)
    with pytest.raises(InputError, match=f"needs {size}"):
        detector(torch.randn(1, size - 1))


def test_score_and_auxiliary_loss():
    logits = torch.tensor([[1.0, 3.0], [2.0, -1.0]])
    detector = make()
    assert detector.score(logits).tolist() == [2.0, -3.0]
    detector(torch.randn(2, 8_000))
    total, terms = detector.auxiliary_loss()
    assert total.requires_grad
    assert terms
    nothing, terms = make("frozen").auxiliary_loss()
    assert float(nothing) == 0
    assert terms == {}


def test_trained_state_is_all_but_the_base():
    detector = make(backend="aasist")
    state = detector.trained_state()
    base = {id(t) for t in detector.base_tensors().values()}
    assert not any(id(t) in base for t in state.values())
    assert "backend.first_bn.running_mean" in state
    trained = {id(p) for p in detector.trained_parameters()}
    assert trained <= {id(t) for t in state.values()}


@pytest.mark.parametrize("kind", ["raw_aasist", "spectrogram_cnn"])
def test_baselines(kind):
    def build(mode):
        values = {
            "encoder": {"type": kind},
            "adaptation": {"mode": mode},
            "backend": {"name": "none"},
        }
        return build_detector(DetectorConfig.from_dict(values), seed=0)

    detector = build("full")
    assert detector.mixture is None
    assert not detector.supports_padding
    detector(torch.randn(2, 16_000)).square().sum().backward()
    assert sum(p.grad is not None for p in detector.parameters()) > 20
    assert not list(build("frozen").trained_parameters())
    with pytest.raises(InputError, match="unequal length"):
        detector(torch.randn(2, 16_000), torch.tensor([16_000, 15_000]))


def test_whisper_with_adapters():
    encoder = {"type": "huggingface", "config": WHISPER, "layer_mix": "learned"}
    config = {"encoder": encoder, "adaptation": {"mode": "moe_lora"}}
    detector = build_detector(DetectorConfig.from_dict(config), seed=0)
    detector(torch.randn(2, 16_000)).square().sum().backward()
    assert detector.encoder.mix.weights.grad is not None
    assert len(detector.mixture.adapters) == 8
    assert all(p.grad is None for p in detector.base_tensors().values())
    with pytest.raises(InputError, match="unequal length"):
        detector(torch.randn(2, 16_000), torch.tensor([16_000, 15_000]))


WHISPER = {
    "model_type": "whisper",
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 0,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "vocab_size": 4,
    "max_target_positions": 1,
    "pad_token_id": 0,
}
W2V_BERT = {
    "model_type": "wav2vec2-bert",
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TARGETS_OF_BERT = ("linear_q", "linear_k", "linear_v", "linear_out")


def in_bfloat16(config, mode="moe_lora", frozen_dtype="bfloat16", **moe_lora):
    values = {
        "encoder": {"type": "huggingface", "config": config, "frozen_dtype": frozen_dtype},
        "adaptation": {"mode": mode},
        "backend": {"name": "aasist"},
    }
    if mode == "moe_lora":
        values["adaptation"]["moe_lora"] = {"experts": 3, "rank": 2, **moe_lora}
    return build_detector(DetectorConfig.from_dict(values), seed=0)


@pytest.mark.parametrize(
    ("config", "targets"),
    [
        (WAV2VEC2, None),
        ({**WAV2VEC2, "model_type": "wavlm"}, None),
        (WHISPER, None),
        (W2V_BERT, TARGETS_OF_BERT),
    ],
)
def test_a_fixed_encoder_in_bfloat16(config, targets):
    options = {} if targets is None else {"targets": targets}
    reference = in_bfloat16(config, frozen_dtype="float32", **options)
    detector = in_bfloat16(config, **options)
    assert {t.dtype for t in detector.base_tensors().values()} == {torch.bfloat16}
    trained = {t.dtype for t in detector.trained_parameters()}
    assert trained == {torch.float32}
    assert {r.weight.dtype for r in detector.mixture.routers.values()} == {torch.float32}
    torch.manual_seed(0)
    stir(reference)
    torch.manual_seed(0)
    stir(detector)
    clips = torch.randn(2, 16_000)
    expected, _ = reference.encoder.eval()(clips)
    features, _ = detector.encoder.eval()(clips)
    assert features.dtype == torch.float32
    error = (features - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert 0 < error < 0.1
    logits = detector(clips)
    assert logits.dtype == torch.float32
    (logits.square().sum() + detector.auxiliary_loss()[0]).backward()
    for part in (*detector.mixture.adapters.values(), *detector.mixture.routers.values()):
        for name, parameter in part.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad.dtype == torch.float32, name
                assert parameter.grad.isfinite().all(), name
                assert parameter.grad.abs().max() > 0, name


def test_full_fine_tuning_stays_in_float32():
    detector = in_bfloat16(WAV2VEC2, mode="full")
    assert {t.dtype for t in detector.parameters()} == {torch.float32}


def test_targets_that_match_nothing_are_an_error():
    with pytest.raises((ConfigError, ValueError)):
        make(moe_lora={"targets": ["nothing_proj"]})
