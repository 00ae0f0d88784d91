import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.conftest import TINY_ENCODER

from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.config import FrontEndConfig
from loradar.detector.filterbank_encoder import LogFilterbank
from loradar.detector.front_end import FrontEnd
from loradar.detector.log_spectrum import LogSpectrum
from loradar.detector.whisper import LogMel
from loradar.errors import CheckpointError, ExportError, InputError
from loradar.inference.export import front_ends, run
from loradar.inference.export.graph import ScoreGraph, fold
from loradar.inference.export.parity import Difference, probes
from loradar.inference.export.run import Trials, export
from loradar.inference.model import load_model
from loradar.inference.onnx_engine import find_export, load_onnx

SPECTRAL = {
    "model_type": "loradar-spectral",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "stem_channels": [4, 4, 4],
}
MOE = {"mode": "moe_lora", "moe_lora": {"experts": 4, "rank": 2, "top_k": 2}}
WAVEFORM = {**TINY_ENCODER, "num_hidden_layers": 1}
WINDOW = 9_000
KINDS = {
    "cnn": {
        "encoder": {"type": "spectrogram_cnn"},
        "adaptation": {"mode": "full"},
        "backend": {"name": "none"},
        "front_end": {"filter": "bandpass"},
    },
    # The shape of the embedded detector: recipes/embedded.yaml, tools/add_branch.py.
    "spectral": {
        "branches": [{"scale": 0.6}],
        "encoder": {"type": "huggingface", "config": SPECTRAL, "layer_mix": "learned"},
        "adaptation": MOE,
        "backend": {"name": "aasist"},
        "front_end": {"filter": "bandpass"},
    },
    "wav2vec2": {
        "encoder": {"type": "huggingface", "config": WAVEFORM},
        "adaptation": {**MOE, "moe_lora": {**MOE["moe_lora"], "scope": "projection"}},
        "backend": {"name": "linear"},
    },
}


@torch.no_grad()
def _make(kind, seed=0):
    """A detector all of whose parts act: adapters, batch statistics, a mix that is not even."""
    config = DetectorConfig.from_dict({**KINDS[kind], "window": WINDOW})
    detector = build_detector(config, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    if kind == "wav2vec2":
        detector.mixture.add_expert(1)
        for gates in detector.mixture.growth.values():
            gates.rows[0].normal_(0, 0.5, generator=draw)
    if detector.mixture is not None:
        for adapter in detector.mixture.adapters.values():
            adapter.B.normal_(0, 0.3, generator=draw)
    for name, buffer in detector.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1, generator=draw)
    if kind == "spectral":
        detector.encoder.mix.weights.normal_(generator=draw)
    return detector.eval()


@pytest.fixture(scope="module", params=KINDS)
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    save_detector(_make(request.param), folder)
    record = export(folder, folder / "onnx", name=request.param)
    return folder, record


def test_scores_and_gates_are_torchs_for_any_batch_and_length(exported):
    folder, record = exported
    assert record["files"]["float32"]["difference"]["largest"] < 1e-4
    detector, engine = load_detector(folder), load_onnx(folder / "onnx")
    rng = np.random.default_rng(3)
    for shape in ((1, WINDOW), (4, 12_345), (2, 7_001)):
        batch = rng.normal(0, 0.1, shape).astype(np.float32)
        scores, gates = detector.score_windows(batch)
        found, found_gates = engine.score_windows(batch)
        np.testing.assert_allclose(found, scores, atol=1e-4)
        assert found_gates.keys() == gates.keys()
        for name, rows in gates.items():
            np.testing.assert_allclose(found_gates[name], rows, atol=1e-4)


def test_int8_is_another_graph_near_the_first(exported):
    folder, record = exported
    entry = record["files"]["int8"]
    assert entry["products"] > 0
    assert 0 < entry["difference"]["largest"] < 1
    batch = np.random.default_rng(4).normal(0, 0.1, (2, WINDOW)).astype(np.float32)
    scores = load_onnx(folder / "onnx", "int8").score_windows(batch)[0]
    np.testing.assert_allclose(scores, load_onnx(folder / "onnx").score_windows(batch)[0], atol=0.5)


def test_trials_give_error_rates(tmp_path):
    save_detector(_make("wav2vec2"), tmp_path / "model")
    rng = np.random.default_rng(5)
    clips = [rng.normal(0, 0.1, n).astype(np.float32) for n in (5_000, 9_000, 20_000, 9_500)]
    labels = ["bonafide", "spoof", "spoof", ""]
    record = export(
        tmp_path / "model",
        tmp_path / "out",
        name="m",
        int8=False,
        trials=Trials(lambda: iter(clips), labels),
    )
    entry = record["files"]["float32"]
    assert entry["eer"] == record["eer_torch"]
    assert entry["difference_on_clips"]["trials"] == 4
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["export.json", "model.onnx"]


def test_scores_that_differ_fail_and_leave_nothing(tmp_path, monkeypatch):
    save_detector(_make("wav2vec2"), tmp_path / "model")
    true = run.write_onnx

    def write_another(detector, path):
        with torch.no_grad():
            detector.backend.output.bias[0] += 0.01
        true(detector, path)

    monkeypatch.setattr(run, "write_onnx", write_another)
    with pytest.raises(ExportError, match=r"by up to 0\.01, more than 0\.001"):
        export(tmp_path / "model", tmp_path / "out", name="m", int8=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_score_that_is_not_finite_differs_without_bound():
    assert Difference.between(np.array([1.0, np.nan]), np.array([1.0, 2.0])).largest == np.inf


def test_plain_lora_is_merged_and_the_mix_is_worked_out():
    config = {**KINDS["spectral"], "adaptation": {"mode": "lora"}, "window": WINDOW}
    detector = build_detector(DetectorConfig.from_dict(config), seed=1).eval()
    batch = torch.randn(2, WINDOW, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for adapter in detector.mixture.adapters.values():
            adapter.B.normal_(0, 0.3)
        before = detector.score(detector(batch))
        graph = ScoreGraph(detector)
        assert detector.mixture is None
        assert isinstance(detector.encoder.mix, front_ends.FixedMix)
        torch.testing.assert_close(graph(batch)[0], before, atol=1e-4, rtol=0)


def test_experts_that_route_themselves_are_merged():
    experts = {"mode": "moe_lora", "moe_lora": {"experts": 4, "rank": 2, "routing": "self"}}
    config = {**KINDS["wav2vec2"], "adaptation": experts, "window": WINDOW}
    detector = build_detector(DetectorConfig.from_dict(config), seed=1).eval()
    batch = torch.randn(2, WINDOW, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in detector.mixture.parameters():
            parameter.normal_(0, 0.3)
        before = detector.score(detector(batch))
        graph = ScoreGraph(detector)
        assert detector.mixture is None
        assert graph.routers == []
        torch.testing.assert_close(graph(batch)[0], before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["singular_values", "singular_matrix"])
def test_singular_values_and_uneven_layers_are_exported(tmp_path, kind):
    experts = {"experts_by_layer": [2, 3], "rank": 2, "kind": kind}
    config = {
        **KINDS["wav2vec2"],
        "encoder": {"type": "huggingface", "config": {**WAVEFORM, "num_hidden_layers": 2}},
        "adaptation": {"mode": "moe_lora", "moe_lora": experts},
        "window": WINDOW,
    }
    detector = build_detector(DetectorConfig.from_dict(config), seed=1).eval()
    with torch.no_grad():
        for adapter in detector.mixture.adapters.values():
            adapter.M.normal_(0, 0.3)
    save_detector(detector, tmp_path / "model")
    export(tmp_path / "model", tmp_path / "onnx", name=kind, int8=False)
    batch = np.random.default_rng(3).normal(0, 0.1, (2, 12_345)).astype(np.float32)
    scores, gates = detector.score_windows(batch)
    found, found_gates = load_onnx(tmp_path / "onnx").score_windows(batch)
    np.testing.assert_allclose(found, scores, atol=1e-4)
    assert {name: rows.shape for name, rows in found_gates.items()} == {
        name: rows.shape for name, rows in gates.items()
    }


def test_weight_norms_become_weights():
    detector = fold(_make("wav2vec2"))
    assert not any("parametrizations" in name for name, _ in detector.named_parameters())


SOURCES = {
    "none": (FrontEnd(FrontEndConfig()), front_ends.BlockFrontEnd),
    "highpass": (FrontEnd(FrontEndConfig(filter="highpass")), front_ends.BlockFrontEnd),
    "bandpass": (FrontEnd(FrontEndConfig(filter="bandpass")), front_ends.BlockFrontEnd),
    "spectrum": (LogSpectrum(), front_ends.ConvLogSpectrum),
    "two spectra": (LogSpectrum(2), front_ends.ConvLogSpectrum),
    "whisper": (LogMel(80), front_ends.ConvLogMel),
}


@pytest.mark.parametrize("name", SOURCES)
@given(samples=st.integers(1_100, 6_000), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_convolutions_stand_in_for_transforms(name, samples, seed):
    source, stand_in = SOURCES[name]
    waveforms = torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(stand_in(source)(waveforms), source(waveforms), atol=2e-3, rtol=1e-4)


def test_the_filterbank_has_its_stand_in():
    source = LogFilterbank()
    waveforms = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    found = front_ends.ConvLogFilterbank(source)(waveforms)
    torch.testing.assert_close(found, source(waveforms, None), atol=1e-3, rtol=1e-3)


def test_probes_are_the_same_every_time_and_of_several_lengths():
    one, two = probes(WINDOW, 2_912), probes(WINDOW, 2_912)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert len({batch.shape[1] for batch in one}) == 5
    assert {len(batch) for batch in one} == {1, 2, 3}


def test_judging_by_onnx_imports_no_torch(exported):
    folder, record = exported
    if record["model"] != "cnn":
        pytest.skip("one graph tells")
    program = (
        "import sys, numpy as np\n"
        "from loradar.inference.model import load_model\n"
        f"model = load_model({str(folder)!r}, engine='onnx')\n"
        f"model.detector.score_windows(np.zeros((1, {WINDOW}), np.float32))\n"
        "print(sorted({'torch', 'transformers', 'onnx'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_exports_that_do_not_hold_are_refused(tmp_path):
    folder = tmp_path / "model"
    save_detector(_make("wav2vec2"), folder)
    with pytest.raises(InputError, match="loradar export"):
        load_model(folder, engine="onnx")
    export(folder, folder / "onnx", name="m", int8=False)
    assert find_export(folder / "onnx") == folder / "onnx"
    with pytest.raises(CheckpointError, match="without int8"):
        load_model(folder, engine="onnx-int8")
    with pytest.raises(InputError, match="--engine jax: give torch, onnx or onnx-int8"):
        load_model(folder, engine="jax")
    save_detector(_make("wav2vec2", seed=1), folder)
    with pytest.raises(CheckpointError, match="other weights"):
        load_model(folder, engine="onnx")
    path = folder / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="altered"):
        load_onnx(folder / "onnx")
