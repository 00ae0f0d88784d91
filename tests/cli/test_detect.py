import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from loradar.cli.detect import verdict_lines
from loradar.inference.verdict import Segment, Verdict

KEYS = {
    "path",
    "verdict",
    "p_spoof",
    "llr",
    "score",
    "reasons",
    "segments",
    "experts",
    "model",
    "seconds",
}


@pytest.fixture
def clip(tiny_corpus):
    return tiny_corpus.parent / "00.wav"


def _write(path, samples):
    sf.write(path, np.asarray(samples, np.float32), 16_000)
    return path


def test_json_is_one_object_a_line_with_the_designed_keys(loradar, tiny_model, tmp_path, spoken):
    clip = _write(tmp_path / "short.wav", spoken(1.0))
    long = _write(tmp_path / "long.wav", spoken(2.5))
    ended = loradar("detect", "--model", tiny_model, clip, long, "--json")
    assert ended.code == 0
    short, timed = map(json.loads, ended.out.splitlines())
    assert set(short) == set(timed) == KEYS
    assert short["verdict"] in ("BONAFIDE", "SPOOF", "UNCERTAIN")
    assert timed["segments"][0]["start"] == 0
    assert timed["segments"][-1]["end"] == pytest.approx(2.5, abs=0.2)
    assert set(timed["segments"][0]) == {"start", "end", "p_spoof", "llr", "verdict"}


def test_for_people_there_is_a_line_and_a_timeline(loradar, tiny_model, tmp_path, spoken):
    gap = np.zeros(32_000)
    path = _write(tmp_path / "a.wav", np.concatenate([spoken(2.0), gap, spoken(2.0, 1)]))
    ended = loradar("detect", "--model", tiny_model, path)
    assert ended.code == 0
    first, *rest = ended.out.splitlines()
    assert first.startswith(f"{path}: ")
    assert "p_spoof" in first
    assert rest[0].startswith("    00:00.0-00:0")
    assert any(line.endswith(" no speech") for line in rest)


def test_a_gap_that_would_show_as_nothing_parts_no_line():
    spans = ((0.0, 30.1), (30.4, 60.0), (62.0, 90.0))
    parts = tuple(Segment(start, end, 0.1, 2.0, "BONAFIDE") for start, end in spans)
    verdict = Verdict("a.wav", "BONAFIDE", 0.1, 2.0, 2.0, segments=parts, seconds=90.3)
    assert [line.split()[:2] for line in verdict_lines(verdict)[1:]] == [
        ["00:00-01:00", "human"],
        ["01:00-01:02", "no"],
        ["01:02-01:30", "human"],
    ]


def test_the_channels_of_a_call_are_told_apart(loradar, tiny_model, tmp_path, spoken):
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(32_000)
    sides = [
        np.concatenate([spoken(2.0), quiet]),
        np.concatenate([quiet, spoken(2.0, 1)]),
    ]
    path = _write(tmp_path / "call.wav", np.stack(sides, axis=1))
    ended = loradar("detect", "--model", tiny_model, path, "--json")
    assert len(json.loads(ended.out)["channels"]) == 2
    ended = loradar("detect", "--model", tiny_model, path)
    assert "  channel 2: " in ended.out
    ended = loradar("detect", "--model", tiny_model, path, "--channels", "mix", "--json")
    assert "channels" not in json.loads(ended.out)
    assert loradar("detect", "--model", tiny_model, path, "--channels", "left").code == 2


def test_noise_gets_no_verdict(loradar, tiny_model, clip):
    ended = loradar("detect", "--model", tiny_model, clip, "--json")
    found = json.loads(ended.out)
    assert found["verdict"] == "NOT_APPLICABLE"
    assert "no_speech" in found["reasons"]
    assert found["llr"] is not None


def test_silence_and_tiny_clips_are_answers_without_a_verdict(loradar, tiny_model, tmp_path):
    silent = _write(tmp_path / "silent.wav", np.zeros(32_000))
    tiny = _write(tmp_path / "tiny.wav", [0.1, -0.1] * 25)
    ended = loradar("detect", "--model", tiny_model, silent, tiny, "--json")
    assert ended.code == 0
    one, two = map(json.loads, ended.out.splitlines())
    assert one["verdict"] == two["verdict"] == "NOT_APPLICABLE"
    assert "silence" in one["reasons"]
    assert "too_short" in two["reasons"]
    assert one["score"] is not None
    assert two["llr"] is not None


def _bad_inputs(folder):
    empty = folder / "empty.wav"
    empty.touch()
    text = folder / "text.wav"
    text.write_text("these are words, not samples\n" * 50)
    whole = _write(folder / "whole.wav", 0.1 * np.random.default_rng(1).standard_normal(16_000))
    corrupt = folder / "corrupt.flac"
    sf.write(corrupt, np.random.default_rng(1).standard_normal(16_000) * 0.1, 16_000)
    data = bytearray(corrupt.read_bytes())
    data[:400] = b"\x00" * 400
    corrupt.write_bytes(data)
    no_samples = _write(folder / "no_samples.wav", np.zeros(0))
    return [empty, text, corrupt, no_samples], whole


@pytest.mark.parametrize("which", range(4))
def test_an_unreadable_input_alone_is_one_line_and_exit_code_2(
    loradar, tiny_model, tmp_path, which
):
    bad = _bad_inputs(tmp_path)[0][which]
    ended = loradar("detect", "--model", tiny_model, bad, "--json")
    assert ended.code == 2
    (line,) = ended.out.splitlines()
    found = json.loads(line)
    assert found["verdict"] == "ERROR"
    assert found["score"] is None
    assert bad.name in found["reasons"][0]


def test_in_a_batch_the_rest_go_on_and_the_exit_code_is_1(loradar, tiny_model, tmp_path):
    bad, whole = _bad_inputs(tmp_path)
    ended = loradar("detect", "--model", tiny_model, *bad, whole)
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert sum(": ERROR: " in line for line in lines) == 4
    assert any(str(whole) in line and "p_spoof" in line for line in lines)


def test_a_missing_path_is_exit_code_2(loradar, tiny_model, clip, tmp_path):
    ended = loradar("detect", "--model", tiny_model, tmp_path / "none.wav", clip)
    assert ended.code == 2
    assert "none.wav" in ended.out
    assert str(clip) in ended.out


def test_without_a_model_the_line_of_the_design(loradar, nothing_embedded, clip):
    ended = loradar("detect", clip)
    assert ended.code == 2
    assert ended.err.strip() == "loradar: no model: give --model, or run make demo"


def test_a_reader_that_goes_away_ends_the_command_quietly(tiny_model, clip):
    command = [sys.executable, "-c", "from loradar.cli.app import main; main()"]
    arguments = ["detect", "--model", str(tiny_model), "--json", *[str(clip)] * 400]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert json.loads(process.stdout.readline())["path"] == str(clip)
        process.stdout.close()
        complaints = process.stderr.read()
    assert process.returncode == 0
    assert complaints == ""


def test_ctrl_c_is_exit_code_130(tiny_model, clip):
    command = [sys.executable, "-c", "from loradar.cli.app import main; main()"]
    arguments = ["detect", "--model", str(tiny_model), "--json", *[str(clip)] * 4000]
    with subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts its background jobs deaf to Ctrl-C, and the suite may be in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        complaints = process.stderr.read()
    assert process.returncode == 130
    assert "Traceback" not in complaints


@pytest.mark.parametrize("arguments", [[], ["--prior", "2"], ["--nonsense"]])
def test_usage_errors_are_exit_code_2(loradar, tiny_model, clip, arguments):
    clips = [clip] if arguments else []
    assert loradar("detect", "--model", tiny_model, *arguments, *clips).code == 2


def test_a_folder_that_is_no_model(loradar, clip, tmp_path):
    ended = loradar("detect", "--model", tmp_path, clip)
    assert ended.code == 2
    assert "not a detector checkpoint" in ended.err
    ended = loradar("detect", "--model", tmp_path / "none", clip)
    assert ended.code == 2
    assert "no such model folder" in ended.err
