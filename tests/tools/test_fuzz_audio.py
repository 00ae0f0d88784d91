import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def program(tool):
    return tool("fuzz_audio")


@pytest.fixture(scope="module")
def mutator(program, tmp_path_factory):
    return program.Mutator(3, tmp_path_factory.mktemp("mutated"))


def test_every_mutation_comes_and_a_number_is_always_the_same_file(mutator):
    seen, size = set(), {}
    for number in (*range(48), 5, 13):
        path, what, how = mutator.write(number)
        seen.add(what)
        # Some containers write the time of day or a random number into their header.
        assert size.setdefault(number, (how, path.stat().st_size)) == (how, path.stat().st_size)
    assert seen == {"cut", "flip", "header", "declared", "values", "rate", "channels", "mixed"}
    assert len(mutator.containers) >= 40


def test_hours_of_silence_take_no_space(program, mutator):
    # Seed 3: number 249 is a hole behind a header.
    path, what, how = mutator.write(249)
    assert what == "silence" and "h of silence, WAV" in how
    assert path.stat().st_size > 3e8 and path.stat().st_blocks < 100
    name, suffix, data = sys.modules["audio_mutations"]._bomb(7)
    assert name == "1 h of silence, AAC" and suffix == "aac" and len(data) < 1_000_000


GOOD = {"verdict": "SPOOF", "reasons": [], "p_spoof": 0.9, "llr": -2.0, "score": -1.0}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, ""),
        ({"verdict": "ERROR", "reasons": ["/x/a.wav: holds no samples"]}, ""),
        ({"verdict": "ERROR", "reasons": ["holds no samples"]}, "does not name the file"),
        ({"verdict": "ERROR", "reasons": []}, "ERROR without a reason"),
        ({"verdict": "NOT_APPLICABLE", "reasons": [""]}, "without a reason"),
        ({"verdict": "maybe"}, "a verdict 'maybe'"),
        ({"llr": float("nan")}, "with the numbers"),
        ({"verdict": "UNCERTAIN", "reasons": ["two\nlines"]}, "no line of text"),
    ],
)
def test_an_answer_needs_a_reason_and_numbers(program, change, wrong):
    told = program.fault(GOOD | change, "/x/a.wav")
    assert told == wrong or (wrong and wrong in told)


def test_the_stand_in_scores_whatever_is_finite(program):
    scores, gates = program.StandIn().score_windows(np.float32([[0.0] * 9, [1e6] * 9]))
    assert np.isfinite(scores).all() and not gates


def test_files_are_judged_in_a_child_and_counted():
    command = [sys.executable, str(TOOLS / "fuzz_audio.py"), "--count", "8", "--seed", "5"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(sum(row.values()) for row in found["by_mutation"].values()) == found["files"] == 8
    assert found["failures"] == [] and found["idle_mib"] > 10


@pytest.mark.parametrize(
    ("error", "verdict"), [(MemoryError(), "memory"), (KeyError("odd"), "exception")]
)
def test_what_gets_out_is_a_failure(program, monkeypatch, error, verdict):
    def detect(model, paths):
        raise error

    monkeypatch.setattr(program, "detect", detect)
    told, wrong = program.judge(None, "/x/a.wav")
    assert told == verdict and wrong


def test_a_child_that_dies_or_hangs_or_eats_is_told_of_and_begun_anew(
    program, tmp_path, monkeypatch
):
    child_program = tmp_path / "child.py"
    child_program.write_text(
        f"import sys\nsys.path.insert(0, {str(TOOLS)!r})\nimport fuzz_audio, os, time\n"
        "def detect(model, paths):\n"
        "    if paths[0].endswith('crash.wav'): os.abort()\n"
        "    if paths[0].endswith('hang.wav'): time.sleep(60)\n"
        "    if paths[0].endswith('memory.wav'): held = b'x' * (60 * 2**20)\n"
        "    return real(model, paths)\n"
        "real, fuzz_audio.detect = fuzz_audio.detect, detect\n"
        "fuzz_audio.work('', 50)\n"
    )
    monkeypatch.setattr(program, "PATIENCE", 3)
    names = ("whole", "memory", "crash", "whole", "hang")
    for name in names:
        (tmp_path / f"{name}.wav").write_bytes(program.Mutator.sound_file())
    child = program.Child("", 50, 0.5, [tmp_path / "whole.wav"])
    child._command = [sys.executable, str(child_program)]
    try:
        for name in names:
            answer = child.ask(tmp_path / f"{name}.wav")
            assert (answer["wrong"] == "") == (name == "whole")
            assert name in ("whole", answer["verdict"])
    finally:
        child.close()
