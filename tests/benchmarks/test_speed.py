import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Import a script of ``benchmarks/``, which import each other by their plain names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = [path.stem for path in BENCHMARKS.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8] * 7,
}


def test_the_plain_loop_and_the_pipeline_do_the_same_work(bench, monkeypatch, tmp_path):
    folder, xlsr = bench("folder"), bench("xlsr")
    monkeypatch.setitem(vars(xlsr), "XLSR_300M", xlsr.XLSR_300M | SMALL)
    monkeypatch.setattr(folder, "LONGEST_S", 4.5)
    paths, seconds = folder.make_clips(tmp_path, 3)
    assert seconds == pytest.approx(1 + 4.5**0.5 + 4.5)
    detector = xlsr._detector("frozen").eval()
    plain = folder.PlainLoop(detector)(paths)
    ours = folder.pipeline(folder.Model(detector, None, "x"), paths, tmp_path / "scores.csv")
    assert len(set(plain)) == 3 and ours == pytest.approx(plain, abs=1e-4)
    monkeypatch.setattr(folder, "PROFILE_ROUNDS", 1)
    parts = folder.profile(detector)
    assert {"convolutions", "attention", "feed-forward", "AASIST"} < parts.keys()
    assert not detector.backend._forward_hooks
    rows = folder.folder_rows(3)
    assert [row["target"] for row in rows] == [None, folder.TARGET, None]
    assert all(row["value"] > 0 for row in rows) and rows[0]["ok"] is None


def test_the_wait_for_a_verdict_is_a_ratio_and_torch_is_looked_for(bench, monkeypatch, tmp_path):
    first = bench("first_verdict")
    seen = []

    def child(program, *arguments):
        seen.append(arguments)
        onnx = "onnx" in arguments
        return (1.5 if onnx else 2.0 if program == first.IMPORT else 4.0), str(not onnx)

    monkeypatch.setattr(first, "child", child)
    ratio, onnx = first.measure(str(tmp_path), rounds=1)
    assert ratio["value"] == 2.0 and ratio["ok"] is False
    assert onnx["value"] == 1.5 and onnx["ok"] is True and "torch was not imported" in onnx["how"]
    assert sum("detect" in arguments for arguments in seen) == 4


def test_a_fresh_process_says_whether_torch_came(bench):
    first = bench("first_verdict")
    seconds, last = first.child(first.COMMAND, "--version")
    assert seconds > 0 and last == "False"
    with pytest.raises(SystemExit, match="failed"):
        first.child("raise SystemExit(1)")


def test_parts_replace_their_own_rows_alone(bench, monkeypatch, tmp_path, capsys):
    run = bench("run")
    old = [{"name": "a", "value": 1}, {"name": "b", "value": 2}]
    row = {"name": "b", "value": 3.0, "target": 2.0, "better": "lower", "ok": False}
    results = tmp_path / "results.json"
    results.write_text(json.dumps(old))
    monkeypatch.setattr(run, "RESULTS", results)
    monkeypatch.setattr(run.metrics, "measure", lambda: [row])
    monkeypatch.setattr(sys, "argv", ["run", "--only", "metrics"])
    assert run.main() == 1
    assert json.loads(results.read_text()) == [old[0], row]
    assert "MISSED" in capsys.readouterr().out
    assert set(run.parts(1)) >= {"folder", "first_verdict", "xlsr"}


def test_clips_are_the_same_every_time(bench, tmp_path):
    folder = bench("folder")
    (tmp_path / "two").mkdir()
    one, _ = folder.make_clips(tmp_path, 1)
    two, _ = folder.make_clips(tmp_path / "two", 1)
    same = [folder.soundfile.read(path)[0] for path in (*one, *two)]
    assert np.array_equal(*same)


def test_the_truth_about_speech_fits_the_recordings(bench, tmp_path):
    voice = bench("voice_activity")
    rng = np.random.default_rng(0)
    for number in range(6):
        sf.write(tmp_path / f"{number}.wav", 0.1 * rng.standard_normal(70_000), voice.RATE)
    (found,) = voice.recordings(sorted(tmp_path.glob("*.wav")), 1, rng)
    samples, truth = found
    assert len(samples) == len(truth) * voice.HOP
    steps = samples.reshape(-1, voice.HOP)
    assert (steps[truth == 0] == 0).all()
    assert (steps[truth == 1] != 0).any(axis=1).all()
    assert (truth == 1).sum() == 6 * (voice.CLIP // voice.HOP)
    loud = voice.laid_over(samples, "noise", 10.0, rng)
    added = voice.rms(loud - samples)
    assert added == pytest.approx(0.05 * 10**-0.5, rel=0.01)
    assert voice.ours(loud).shape == truth.shape


def test_real_time_in_both_precisions(bench, monkeypatch, tiny_model):
    folder = bench("folder")
    monkeypatch.setattr(folder, "LONGEST_S", 1.5)
    plain, half = folder.real_time_rows(str(tiny_model), 2)
    for row in (plain, half):
        assert row["target"] == folder.REAL_TIME
        assert row["ok"] == (row["value"] >= folder.REAL_TIME)
    assert "--precision bfloat16" in half["how"]
