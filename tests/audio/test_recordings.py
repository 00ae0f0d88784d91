from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from loradar.audio.augmentation import AugmentationConfig, build_augmentation
from loradar.audio.augmentation.effects import Samples, rms
from loradar.errors import LoradarError

RATE = 16_000


def _voice(length: int = 8000) -> Samples:
    time = np.arange(length) / RATE
    return (0.3 * np.sin(2 * np.pi * 200 * time) * np.sin(2 * np.pi * 3 * time)).astype(np.float32)


def _run(name: str, params: dict[str, Any], samples: Samples, seed: int = 0) -> Samples:
    config = AugmentationConfig.model_validate({"steps": [{"name": name, "params": params}]})
    return build_augmentation(config)(samples, RATE, np.random.default_rng(seed))


@pytest.fixture
def noises(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, seconds, rate in (("a/long.wav", 3.0, 16_000), ("b/short.flac", 0.2, 8_000)):
        path = tmp_path / "noises" / name
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.2 * rng.standard_normal(round(seconds * rate)), rate)
    return tmp_path / "noises"


def test_background_meets_its_ratio_from_long_and_short_files(noises: Path) -> None:
    samples = _voice()
    params = {"folder": str(noises), "snr_db": (10, 10)}
    made = [_run("background", params, samples, seed) for seed in range(6)]
    for result in made:
        assert result.dtype == np.float32 and result.shape == samples.shape
        assert 20 * np.log10(rms(samples) / rms(result - samples)) == pytest.approx(10, abs=0.05)
    assert np.array_equal(made[0], _run("background", params, samples, 0))
    added = [result - samples for result in made]
    edges = [np.abs(np.fft.rfft(part))[2200:].mean() for part in added]  # above 4.4 kHz
    assert max(edges) > 20 * min(edges)  # both files came, one of them sampled at 8 kHz


def test_a_silent_background_changes_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(4000), RATE)
    samples = _voice()
    made = _run("background", {"folder": str(tmp_path / "silence.wav")}, samples)
    assert np.array_equal(made, samples)


def test_recorded_room_keeps_place_and_level(tmp_path: Path) -> None:
    response = np.zeros(6000)
    response[1000], response[2600] = 0.8, 0.4  # late peak; an echo 0.1 s behind it
    soundfile.write(tmp_path / "room.wav", response, RATE, "FLOAT")
    click = np.zeros(4000, np.float32)
    click[500] = 1.0
    made = _run("recorded_room", {"folder": str(tmp_path)}, click)
    assert np.argmax(np.abs(made)) == 500
    assert made[2100] / made[500] == pytest.approx(0.5, abs=1e-3)
    assert rms(made) == pytest.approx(rms(click), rel=1e-4)
    again = _run("recorded_room", {"folder": str(tmp_path)}, _voice(1))
    assert again.shape == (1,) and np.isfinite(again).all()


def test_folders_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("background", "recorded_room"):
        with pytest.raises(ValidationError, match=f"{name}: folder: Field required"):
            _run(name, {}, _voice())
        with pytest.raises(ValidationError, match="no such file or folder"):
            _run(name, {"folder": str(tmp_path / "absent")}, _voice())
        with pytest.raises(ValidationError, match="no audio below this folder"):
            _run(name, {"folder": str(tmp_path)}, _voice())


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    with pytest.raises(LoradarError, match=r"broken\.wav"):
        _run("background", {"folder": str(tmp_path)}, _voice())
    soundfile.write(tmp_path / "broken.wav", np.zeros(100), RATE)
    with pytest.raises(LoradarError, match="is silent"):
        _run("recorded_room", {"folder": str(tmp_path)}, _voice())
