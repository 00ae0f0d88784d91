import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import settings

# No deadline: a test must not fail because the machine is busy.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's shared folder (fixtures, real speech); the test skips where it is absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("LORADAR_SHARED", root.parent / "shared"))
    if not (folder / "fixtures").is_dir():
        pytest.skip("the shared fixtures are not here (set LORADAR_SHARED)")
    return folder


TINY_ENCODER = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 8],
    "conv_stride": [10, 16],
    "num_feat_extract_layers": 2,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory) -> Path:
    """A manifest of 36 half-second clips: noise bursts (bona fide) and buzzes (spoof)."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    lines = ["path,label,attack,speaker,split,corpus"]
    time = np.arange(8_000) / 16_000
    for index in range(36):
        split = ("train", "train", "dev", "eval")[index // 3 % 4]
        attack = ("", "buzz", "hum")[index % 3]
        pitch = rng.uniform(90, 220) * (0.5 if attack == "hum" else 1)
        samples = 0.1 * rng.standard_normal(8_000)
        if attack:
            samples = 0.02 * samples + 0.2 * np.sign(np.sin(2 * np.pi * pitch * time))
        sf.write(folder / f"{index:02d}.wav", samples.astype(np.float32), 16_000)
        label = "spoof" if attack else "bonafide"
        lines.append(f"{index:02d}.wav,{label},{attack},s{index % 4},{split},tiny")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture(scope="session")
def tiny_recipe(tiny_corpus) -> dict:
    """A recipe that trains in a second or two; change a copy of it."""
    return {
        "name": "tiny",
        "encoder": {"type": "huggingface", "config": TINY_ENCODER},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 4, "rank": 2}},
        "backend": {"name": "linear"},
        # No process beside it: starting one takes longer than reading these clips.
        "data": {"path": str(tiny_corpus), "window": 6_000, "workers": 0},
        "augmentation": {"steps": [{"name": "noise", "probability": 0.5}]},
        "training": {
            "steps": 12,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "evaluate_every": 4,
            "log_every": 2,
        },
    }


@pytest.fixture(scope="session")
def tiny_model(tiny_recipe, tmp_path_factory) -> Path:
    """The folder of a trained tiny detector."""
    from loradar.training.recipe import parse_recipe
    from loradar.training.run import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(parse_recipe(tiny_recipe), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_cnn(tiny_model, tmp_path_factory) -> Path:
    """The folder of a spectrogram CNN that fits beside the tiny detector."""
    from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector

    beside = load_detector(tiny_model).config
    values = {
        "encoder": {"type": "spectrogram_cnn"},
        "front_end": beside.front_end.model_dump(),
        "adaptation": {"mode": "full"},
        "backend": {"name": "none"},
    }
    folder: Path = tmp_path_factory.mktemp("runs") / "cnn"
    save_detector(build_detector(DetectorConfig.from_dict(values), seed=3), folder)
    return folder


@pytest.fixture(scope="session")
def tool():
    """Import a script of ``tools/`` by its name."""

    def load(name):
        path = Path(__file__).resolve().parents[1] / "tools" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"tools_{name}", path)
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def embedded_files(tmp_path_factory) -> Path:
    """Stand-ins for the embedded encoder and detector, laid out as in the package."""
    import torch

    from loradar.detector import DetectorConfig, build_detector, save_detector
    from loradar.detector.pretrained import make_model, save_model
    from loradar.files import sha256_of, write_json

    folder = tmp_path_factory.mktemp("embedded")
    encoder, detector = folder / "encoder", folder / "detector"
    torch.manual_seed(0)
    save_model(make_model(TINY_ENCODER), encoder, dtype=torch.float16)
    config = {
        "encoder": {"type": "huggingface", "id": str(encoder), "layer_mix": "learned"},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 2, "rank": 2}},
        "backend": {"name": "linear"},
        "window": 6_000,
    }
    save_detector(build_detector(DetectorConfig.from_dict(config), seed=0), detector)
    record = json.loads((detector / "config.json").read_text())
    record["detector"]["encoder"]["id"] = record["base"]["id"] = "loradar-embedded"
    write_json(detector / "config.json", record)
    calibration = {"slope": 1.0, "intercept": 0.0, "p_spoof": 0.5, "bonafide": 9, "spoof": 9}
    write_json(detector / "calibration.json", calibration)
    (detector / "README.md").write_text("card\n")
    hashed = sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".safetensors"))
    lines = [f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n" for path in hashed]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder


@pytest.fixture
def embedded(embedded_files, tmp_path_factory, monkeypatch) -> Path:
    """The package's folder of weights for this test: a copy of `embedded_files`."""
    folder = tmp_path_factory.mktemp("package") / "embedded"
    shutil.copytree(embedded_files, folder)
    monkeypatch.setattr("loradar.embedded.FOLDER", folder)
    return folder


@pytest.fixture
def nothing_embedded(tmp_path, monkeypatch) -> Path:
    """The package's folder of weights for this test: there are none."""
    monkeypatch.setattr("loradar.embedded.FOLDER", tmp_path / "nothing")
    return tmp_path / "nothing"


@pytest.fixture(scope="session")
def spoken():
    """A maker of sounds that pass for speech: gliding pitch, moving resonances, syllables."""

    def make(seconds: float, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(int(seconds * 16_000)) / 16_000
        knots = np.arange(0, seconds + 1, 0.25)
        pitch, first, second = (
            np.interp(time, knots, rng.uniform(low, high, len(knots)))
            for low, high in ((90, 180), (300, 800), (1_000, 2_400))
        )
        phase = 2 * np.pi * np.cumsum(pitch) / 16_000
        samples = np.zeros(len(time))
        for k in range(1, 40):
            hertz = k * pitch
            gain = 0.004 + sum(np.exp(-(((hertz - f) / 150) ** 2)) for f in (first, second))
            samples += np.where(hertz < 7_000, gain, 0) * np.sin(k * phase) / k**0.5
        voiced = np.sin(np.pi * time / 0.25) ** 2 * (np.floor(time / 0.25) % 5 < 4)
        breath = 0.02 * rng.standard_normal(len(time)) * (0.05 + voiced)
        return (0.3 * samples * voiced + 0.3 * breath).astype(np.float32)

    return make
