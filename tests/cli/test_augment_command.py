import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from loradar.audio.augmentation.catalogue import catalogue
from loradar.cli.app import app

RUN = CliRunner()


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "voice.wav"
    time = np.arange(8000) / 16_000
    samples = 0.9 * np.sin(2 * np.pi * 300 * time) * np.sin(2 * np.pi * 2 * time)
    soundfile.write(path, samples, 16_000)
    return path


def test_sounds_page_and_sheet(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "heard"
    done = RUN.invoke(
        app,
        ["augment", str(clip), "-o", str(out), "--effects", "gain,ambience,pcm_mulaw", "--json"],
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    names = [made["name"] for made in said["made"]]
    assert names == ["gain", "music", "babble", "hum", "pcm_mulaw"]
    assert said["made"][1]["settings"]["kinds"] == ["music"]
    source, _ = soundfile.read(out / "source.wav")
    for made in said["made"]:
        samples, rate = soundfile.read(made["path"])
        assert rate == 16_000 and len(samples) == len(source)
        assert not np.array_equal(samples, source)
    page = (out / "index.html").read_text()
    assert page.count("<audio controls") == 6
    assert "http" not in page
    assert (out / "sheet.png").read_bytes().startswith(b"\x89PNG")
    # Made again with fewer: nothing of the earlier run stays, and the draws are the same.
    before = (out / "hum.wav").read_bytes()
    again = RUN.invoke(app, ["augment", str(clip), "-o", str(out), "--effects", "hum"])
    assert again.exit_code == 0
    assert sorted(path.name for path in out.glob("*.wav")) == ["hum.wav", "source.wav"]
    assert (out / "hum.wav").read_bytes() == before


def test_folders_and_what_is_too_loud(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "heard"
    options = ["--noises", str(clip), "--rooms", str(clip), "--effects", "background,recorded_room"]
    done = RUN.invoke(app, ["augment", str(clip), "-o", str(out), *options, "--seed", "3"])
    assert done.exit_code == 0, done.output
    for name in ("background", "recorded_room"):
        assert np.abs(soundfile.read(out / f"{name}.wav")[0]).max() <= 1.0
    assert "dB lower, to fit a file" in (out / "index.html").read_text()


def test_a_recipe_gives_its_steps_and_whole_chains(clip: Path, tmp_path: Path) -> None:
    recipe = Path(__file__).resolve().parents[2] / "recipes" / "mini_fold_a_cnn.yaml"
    done = RUN.invoke(
        app, ["augment", str(clip), "-o", str(tmp_path / "x"), "--recipe", str(recipe)]
    )
    assert done.exit_code == 0, done.output
    names = {path.stem for path in (tmp_path / "x").glob("*.wav")}
    assert names >= {"source", "noise", "room", "chain_1", "chain_2", "chain_3"}


def _complaint(*arguments: str) -> str:
    from loradar.errors import LoradarError

    done = RUN.invoke(app, ["augment", *arguments])
    assert isinstance(done.exception, LoradarError)
    return str(done.exception)


def test_mistakes(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    assert "give --noises" in _complaint(str(clip), "-o", str(out), "--effects", "background")
    assert "no effect 'echo'" in _complaint(str(clip), "-o", str(out), "--effects", "gain,echo")
    assert "at least one" in _complaint(str(clip), "-o", str(out), "--effects", ",")
    assert "no such file" in _complaint(str(tmp_path / "no.wav"), "-o", str(out))
    assert "/absent: no such" in _complaint(str(clip), "-o", str(out), "--rooms", "/absent")
    assert not out.exists()
    assert "holds other files" in _complaint(str(clip), "-o", str(clip.parent))


def test_every_variant_has_a_name() -> None:
    names = catalogue()
    assert {f"rawboost_{number}" for number in range(1, 9)} <= names.keys()
    assert {"music", "hum", "telephone", "clipping_hard", "trim", "g722"} <= names.keys()
    assert all(step.probability == 1 for step in names.values())
