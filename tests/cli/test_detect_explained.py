import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from loradar.cli.explaining import plot_targets
from loradar.errors import InputError


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000)
    return path


def test_explained_in_json_and_drawn(loradar, tiny_model, clip, tmp_path):
    plot = tmp_path / "clip.png"
    ended = loradar("detect", "--model", tiny_model, clip, "--json", "--explain", "--plot", plot)
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)["explanation"]
    assert [band["low_hz"] for band in told["bands"]] == list(range(0, 8_000, 500))
    assert [expert["expert"] for expert in told["experts"]] == [0, 1, 2, 3]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_for_people_and_into_a_folder(loradar, tiny_model, clip, tmp_path):
    missing = tmp_path / "none.wav"
    plots = tmp_path / "plots"
    arguments = ["--explain", "--plot", plots, clip, missing]
    ended = loradar("detect", "--model", tiny_model, *arguments)
    assert ended.code == 2  # of the clip that is not there
    assert "    experts  " in ended.out
    assert [p.name for p in plots.iterdir()] == ["clip.wav.png"]


def test_pictures_of_clips_of_one_name_stay_apart(tmp_path):
    names = [Path("a/x.wav"), Path("b/x.wav"), Path("b/x.mp3")]
    found = [target.name for target in plot_targets(tmp_path / "p", names)]
    assert found == ["x.wav.png", "x.wav.2.png", "x.mp3.png"]
    with pytest.raises(InputError, match="one picture for 3 clips"):
        plot_targets(tmp_path / "p.png", names)
    with pytest.raises(InputError, match=r"must end in \.png"):
        plot_targets(tmp_path / "p.svg", names[:1])
