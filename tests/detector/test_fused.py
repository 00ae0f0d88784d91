"""Scoring in fewer passes: the numbers of the plain operations, and nothing else changes."""

import copy

import pytest
import torch
from tests.detector.test_spectral_encoder import SPECTRAL, stir_norms

from loradar.detector import DetectorConfig, build_detector
from loradar.detector.aasist import AasistBackend
from loradar.detector.branch import join
from loradar.detector.config import FrontEndConfig
from loradar.detector.front_end import FrontEnd
from loradar.detector.fused import conv_norm, magnitudes, scoring, tanh
from loradar.detector.log_spectrum import LogSpectrum, SharedSpectrum
from loradar.detector.residual import Residual
from loradar.detector.spectral import SpectralConfig, SpectralStem
from loradar.detector.spectrogram_cnn import SpectrogramCnn

CNN = {"encoder": {"type": "spectrogram_cnn"}, "backend": {"name": "none"}}


def both_ways(module, *inputs):
    """What a module gives plainly, and while windows are scored."""
    module = module.double().eval()
    with torch.no_grad():
        plain = module(*inputs)
    with torch.inference_mode():
        return plain, module(*inputs)


def detector():
    """Encoder, adapters and AASIST, with a CNN beside them."""
    adapted = {
        "encoder": {"type": "huggingface", "config": SPECTRAL, "layer_mix": "learned"},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 3, "rank": 2, "top_k": 2}},
        "backend": {"name": "aasist"},
    }
    sections = {"front_end": {"filter": "bandpass"}, "window": 9_000}
    one, cnn = (
        build_detector(DetectorConfig.from_dict({**given, **sections}), seed=seed).eval()
        for seed, given in enumerate((adapted, {**CNN, "adaptation": {"mode": "full"}}))
    )
    torch.manual_seed(0)
    stir_norms(one)
    stir_norms(cnn)
    return join(one, cnn, 0.6)


@pytest.fixture
def clips():
    return torch.randn(9, 9_000, generator=torch.Generator().manual_seed(0))


def test_only_while_scoring():
    assert not scoring()
    with torch.no_grad():
        assert not scoring()
    with torch.inference_mode():
        assert scoring()


@pytest.mark.parametrize("bias", [False, True])
def test_a_norm_folded_into_a_convolution(bias):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 4, (2, 3), (2, 1), padding=(1, 0), bias=bias)
    pair = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(4)).double().eval()
    stir_norms(pair)
    maps = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    before = copy.deepcopy(pair.state_dict())
    with torch.inference_mode():
        found = conv_norm(*pair, maps)
    torch.testing.assert_close(found, pair(maps), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(before[name], value) for name, value in pair.state_dict().items())
    # Where statistics are of the batch, there is nothing to fold.
    pair.train()
    with torch.inference_mode():
        assert conv_norm(*pair, maps).mean().abs() < 0.6
        assert pair[1].num_batches_tracked == 1


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Residual(3, 5, (2, 1)), (2, 3, 8, 9)),
        (lambda: SpectralStem(SpectralConfig(stem_channels=(4, 6, 8))), (2, 40, 224)),
        (lambda: AasistBackend(12), (2, 30, 12)),
    ],
    ids=["residual", "stem", "aasist"],
)
def test_parts_give_the_same(make, shape):
    torch.manual_seed(0)
    module = make()
    stir_norms(module)
    plain, scored = both_ways(module, torch.randn(shape, dtype=torch.float64))
    torch.testing.assert_close(scored, plain, rtol=1e-10, atol=1e-10)


def test_a_padded_stem_gives_the_same():
    torch.manual_seed(0)
    stem = SpectralStem(SpectralConfig(stem_channels=(4, 6, 8)))
    stir_norms(stem)
    spectra = torch.randn(2, 40, 224, dtype=torch.float64)
    plain, scored = both_ways(stem, spectra, torch.tensor([10, 7]))
    torch.testing.assert_close(scored, plain, rtol=1e-10, atol=1e-10)


def test_the_cnn_gives_the_same(clips):
    torch.manual_seed(0)
    cnn = SpectrogramCnn().eval()
    stir_norms(cnn)
    with torch.no_grad():
        plain = cnn(clips)
    with torch.inference_mode():
        torch.testing.assert_close(cnn(clips), plain, rtol=1e-5, atol=1e-5)


def test_functions():
    values = torch.linspace(-30, 30, 999, dtype=torch.float64)
    pairs = torch.complex(values, values.flip(0) + 0.1)
    low = values.to(torch.bfloat16)
    with torch.inference_mode():
        torch.testing.assert_close(tanh(values), values.tanh(), rtol=0, atol=1e-15)
        torch.testing.assert_close(magnitudes(pairs), pairs.abs(), rtol=1e-15, atol=1e-15)
        torch.testing.assert_close(tanh(values.float()), values.tanh().float(), rtol=0, atol=2e-7)
        assert torch.equal(tanh(low), low.tanh())


def test_the_front_end_gives_the_same(clips):
    front_end = FrontEnd(FrontEndConfig())
    with torch.inference_mode():
        scored = front_end(clips + 0.3)
    torch.testing.assert_close(scored, front_end(clips + 0.3), rtol=0, atol=2e-6)


def test_a_spectrum_shared_by_two(clips):
    shared, plain = SharedSpectrum(), LogSpectrum()
    with torch.inference_mode():
        first = shared(clips)
        assert shared(clips) is first  # the second reader's
        assert shared(clips) is not first  # and forgotten
        assert not torch.equal(shared(clips * 2 + 1), first)
    assert shared(clips) is not shared(clips)
    torch.testing.assert_close(first, plain(clips), rtol=1e-5, atol=1e-5)


def test_scores_are_those_of_the_plain_forward(clips):
    model = detector()
    assert model.encoder.spectrum is model.branches[0].spectrum
    with torch.no_grad():
        plain = model.score(model(clips))
    scores, gates = model.score_windows(clips.numpy())
    torch.testing.assert_close(torch.from_numpy(scores), plain, rtol=1e-5, atol=1e-5)
    for name, rows in model.mixture.gates().items():
        torch.testing.assert_close(torch.from_numpy(gates[name]), rows, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("grown", [False, True])
def test_training_after_scoring_is_what_it_was(clips, grown):
    models = [detector(), detector()]
    before = {name: tensor.clone() for name, tensor in models[0].state_dict().items()}
    models[0].score_windows(clips.numpy())
    assert all(torch.equal(before[name], value) for name, value in models[0].state_dict().items())
    for model in models:
        torch.manual_seed(1)
        if grown:
            model.requires_grad_(False)
            model.mixture.add_expert()
        else:
            model.backend.requires_grad_(True)
        optimiser = torch.optim.SGD(model.trained_parameters(), 0.1)
        logits = model.train()(clips)
        torch.nn.functional.cross_entropy(logits, torch.arange(9) % 2).backward()
        optimiser.step()
    after = models[1].state_dict()
    assert all(torch.equal(after[name], value) for name, value in models[0].state_dict().items())
    assert any(not torch.equal(before.get(name, value - 1), value) for name, value in after.items())
