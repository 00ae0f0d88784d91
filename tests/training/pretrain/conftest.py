import numpy as np
import pytest
import soundfile as sf

SPECTRAL = {
    "model_type": "loradar-spectral",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "stem_channels": [4, 6, 8],
}


@pytest.fixture(scope="session")
def paired_corpus(tmp_path_factory):
    """A manifest of 16 half-second noises and copies with a tone: ``low`` at 1, ``high`` at 4 kHz.

    ``pair_id`` and ``family`` (as from ``loradar corpus copies``); the last four sources are dev.
    """
    folder = tmp_path_factory.mktemp("paired")
    rng = np.random.default_rng(0)
    time = np.arange(8_000) / 16_000
    lines = ["path,label,attack,speaker,split,corpus,pair_id,family"]
    for index in range(16):
        noise = 0.1 * rng.standard_normal(8_000)
        split = "train" if index < 12 else "dev"
        for attack, hertz in (("", 0), ("low", 1_000), ("high", 4_000)):
            samples = noise + 0.05 * np.sin(2 * np.pi * hertz * time)
            name = f"{index:02d}{attack}.wav"
            sf.write(folder / name, samples.astype(np.float32), 16_000)
            label = "spoof" if attack else "bonafide"
            family = f"{attack}_family" if attack else ""
            lines.append(f"{name},{label},{attack},s{index % 4},{split},tiny,{index},{family}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.fixture(scope="session")
def pretrain_values(paired_corpus):
    """A recipe that runs in seconds; change a copy of it."""
    return {
        "name": "tiny",
        "encoder": {"config": SPECTRAL},
        "objective": {"masked": {"codes": 8, "code_size": 4}, "artifact": {}},
        "data": {"path": str(paired_corpus), "window": 6_000, "workers": 0},
        "augmentation": {"steps": [{"name": "gain", "probability": 0.5}]},
        "training": {
            "steps": 6,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "evaluate_every": 2,
            "log_every": 2,
        },
    }
