"""The order of `make embedded`, with programs that only note how they were called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "make_embedded.sh"
# Each leaves what the script goes by; FAIL names the step to stop at.
LORADAR = """#!/bin/bash
echo "loradar $*" >> calls
case "$1 $2" in
  "vocoder train") mkdir -p "$5"; touch "$5/resume.pt" ;;
  "corpus copies") exit 1 ;;
  pretrain*) mkdir -p "$4"; touch "$4/recipe.yaml" ;;
  train*) mkdir -p "$4"; touch "$4/recipe.yaml"; echo "{}" > "$4/calibration.json" ;;
  calibrate*) echo '{"thresholds": 1}' > "$2/calibration.json" ;;
esac
if [ "$1" = "$FAIL" ]; then exit 3; fi
case "$1" in pretrain|train) touch "$4/README.md" ;; esac
"""
PYTHON = """#!/bin/bash
echo "$*" >> calls
case "$1" in
  *speech_manifest.py) mkdir -p runs/embedded; touch runs/embedded/speech.csv ;;
  *add_branch.py) mkdir -p "${@: -1}"; touch "${@: -1}/config.json" ;;
  *bring_clips.py) mkdir -p "${@: -1}"; touch "${@: -1}/manifest.csv" ;;
  *install_vocoder.py) touch "src/loradar/vocoders/weights/${2##*_}.safetensors" ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """Run the script in a folder of its own; give the exit code and the calls."""
    root = tmp_path / "repository"
    (root / "tools").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "tools")
    weights = root / "src" / "loradar" / "vocoders" / "weights"
    weights.mkdir(parents=True)
    for family in ("istft", "gan", "codec"):
        (weights / f"{family}.safetensors").touch()
    for name, text in (("loradar", LORADAR), ("python", PYTHON)):
        (root / "bin").mkdir(exist_ok=True)
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)

    def run(speech="", clones="", fail=""):
        calls = root / "calls"
        calls.unlink(missing_ok=True)
        given = {"SPEECH": str(speech), "CLONES": str(clones), "FAIL": fail}
        done = subprocess.run(
            [root / "tools" / SCRIPT.name],
            env={**os.environ, "BIN": str(root / "bin"), **given},
            capture_output=True,
            text=True,
        )
        lines = calls.read_text().splitlines() if calls.exists() else []
        return done.returncode, lines, done.stderr

    return run


def test_it_asks_for_speech(make):
    code, calls, told = make()
    assert code == 2
    assert not calls
    assert "make embedded SPEECH=path/to/LibriSpeech" in told


def test_all_steps_in_order_and_none_twice(make, tmp_path):
    code, calls, told = make(speech=tmp_path)
    assert code == 0, told
    starts = [
        "tools/speech_manifest.py",
        "loradar vocoder train recipes/vocoder_flow.yaml",
        "tools/install_vocoder.py runs/embedded/vocoder_flow",
        "loradar corpus copies runs/embedded/speech.csv -o runs/embedded/copies",
        "loradar pretrain recipes/embedded_encoder.yaml -o runs/embedded/encoder",
        "loradar train recipes/embedded.yaml -o runs/embedded/detector",
        "loradar calibrate runs/embedded/detector --on runs/embedded/copies/manifest.csv",
        "tools/install_embedded.py runs/embedded/encoder runs/embedded/detector",
    ]
    assert len(calls) == len(starts)
    for call, start in zip(calls, starts, strict=True):
        assert call.startswith(start)
        assert "--resume" not in call
    # Again: what can tell by itself that it is complete, and the installation.
    code, calls, _ = make()
    assert code == 0
    assert [call.split()[:3][-1] for call in calls] == ["copies", "runs/embedded/detector"]


def test_with_labelled_clips_it_goes_on_with_demo_pages(make, tmp_path):
    labelled = tmp_path / "shared" / "speech" / "labelled.csv"
    labelled.parent.mkdir(parents=True)
    labelled.touch()
    code, calls, told = make(speech=tmp_path)
    assert code == 2 and "make embedded CLONES=path/to/clones" in told
    own = "loradar corpus copies ../shared/speech/labelled.csv --where label=bonafide"
    assert calls[-1].startswith(own)
    code, calls, told = make(speech=tmp_path, clones=tmp_path)
    assert code == 0, told
    final = "runs/embedded/joined"
    starts = [
        f"tools/bring_clips.py results/pages/clips.csv --clones {tmp_path} -o runs/embedded/pages",
        "loradar pretrain recipes/embedded_encoder.yaml -o runs/embedded/encoder",
        "loradar train recipes/embedded_labelled.yaml -o runs/embedded/detector",
        "loradar train recipes/embedded_pages.yaml -o runs/embedded/detector_pages",
        "loradar train recipes/embedded_branch.yaml -o runs/embedded/branch",
        "tools/add_branch.py runs/embedded/detector_pages runs/embedded/branch --scale",
        f"loradar calibrate {final} --on runs/embedded/pages/manifest.csv --by repository",
        f"loradar evaluate {final} --on ../shared/speech/labelled.csv --where split=eval",
        f"loradar calibrate {final} --right",
        f"tools/install_embedded.py runs/embedded/encoder {final}",
    ]
    for call, start in zip(calls[-len(starts) :], starts, strict=True):
        assert call.startswith(start)


@pytest.mark.parametrize("step", ["vocoder", "pretrain", "train"])
def test_a_step_that_was_stopped_goes_on(make, tmp_path, step):
    code, calls, _ = make(speech=tmp_path, fail=step)
    assert code == 3
    assert calls[-1].startswith(f"loradar {step}")
    code, calls, _ = make()
    assert code == 0
    assert [c.split()[1] for c in calls if c.endswith("--resume")] == [step]
    assert calls[-1].startswith("tools/install_embedded.py")
