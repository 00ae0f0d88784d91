"""What synthesisers leave of speech, band by band."""

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal

from loradar.audio.reading import SAMPLE_RATE


@pytest.fixture(scope="module")
def traces(tool):
    return tool("traces")


@pytest.fixture(scope="module")
def voice():
    """A buzz with formants that moves, 2 s."""
    rng = np.random.default_rng(0)
    f0 = 120 + 20 * np.sin(2 * np.pi * 0.7 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE)
    turns = np.cumsum(f0) / SAMPLE_RATE
    buzz = sum(np.cos(2 * np.pi * k * turns) / k for k in range(1, 55))
    return 0.1 * buzz + 1e-3 * rng.standard_normal(len(buzz))


def write(folder, **clips):
    rows = []
    for name, samples in clips.items():
        soundfile.write(folder / f"{name}.wav", samples, SAMPLE_RATE, subtype="FLOAT")
        label = "bonafide" if name == "real" else "spoof"
        rows.append({"path": f"{name}.wav", "label": label, "attack": name, "pair_id": "p"})
    table = pd.DataFrame(rows).assign(speaker="s", split="train", corpus="c")
    table.loc[table["label"] == "bonafide", "attack"] = ""
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def test_clips_are_brought_in_time_or_left_out(traces, voice):
    source, copy = traces.in_time(voice, np.r_[np.zeros(300), voice])
    assert np.allclose(source, copy)
    noise = np.random.default_rng(1).standard_normal(len(voice))
    assert traces.in_time(voice, noise) is None


def test_each_measure_hears_its_fault(traces, voice, tmp_path, capsys):
    rng = np.random.default_rng(2)
    noisy = voice + 0.003 * rng.standard_normal(len(voice))
    sos = signal.butter(4, 3_000, "high", fs=SAMPLE_RATE, output="sos")
    table = write(
        tmp_path, real=voice, same=voice, noisy=noisy, high=voice - 0.9 * _above(voice, sos)
    )
    found = traces.measure(traces.read_manifest(table).table, "attack", 5, None, 0)
    found = found.set_index(["attack", "measure"])
    low, high = "500-1000 Hz", "5500-7000 Hz"
    same = found.loc["same"]
    assert np.allclose(same.loc["filled", [low, high]].astype(float), 0, atol=1e-6)
    assert np.allclose(same.loc["coherence", [low, high]].astype(float), 1, atol=1e-6)
    assert found.loc[("noisy", "filled"), high] > 2 > found.loc[("noisy", "filled"), low]
    assert found.loc[("noisy", "coarse"), high] > 0.1 > found.loc[("same", "coarse"), high]
    assert found.loc[("noisy", "coherence"), high] < found.loc[("noisy", "coherence"), low] - 0.01
    assert found.loc[("high", "filled"), high] < -6 < -1 < found.loc[("high", "filled"), low]


def _above(x, sos):
    return signal.sosfiltfilt(sos, x)


def test_a_shallow_graft_is_nearer(traces, voice, tmp_path):
    noise = np.random.default_rng(3).standard_normal(len(voice))
    table = write(tmp_path, real=voice, noisy=voice + 0.003 * noise)
    rows = traces.read_manifest(table).table
    whole, deep, faint = (
        traces.measure(rows, "attack", 1, depth, 0).set_index("measure")["4000-5500 Hz"]
        for depth in (None, (1.0, 1.0), (0.1, 0.1))
    )
    assert abs(whole["filled"]) > abs(faint["filled"])
    assert faint["coherence"] > max(whole["coherence"], deep["coherence"])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--by", "nothing"], "no column nothing"),
        (["--depth", "2"], "give LEAST,MOST"),
        (["--depth", "1,0.1"], "give LEAST,MOST"),
        (["--where", "split=eval"], "eval"),
        (["--where", "split"], "write COLUMN=VALUE"),
    ],
)
def test_bad_input_is_one_line(traces, voice, tmp_path, capsys, more, says):
    table = write(tmp_path, real=voice, noisy=voice)
    assert traces.main([str(table), *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("traces: ") and says in error and error.count("\n") == 1


def test_the_table_is_printed(traces, voice, tmp_path, capsys):
    table = write(tmp_path, real=voice, copy=voice)
    assert traces.main([str(table)]) == 0
    assert "coherence" in capsys.readouterr().out
    alone = write(tmp_path, copy=voice)
    assert traces.main([str(alone)]) == 2
    assert "runs in time" in capsys.readouterr().err
