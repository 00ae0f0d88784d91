import os
import shutil
import stat
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from loradar.errors import InputError
from loradar.vocoders import programs
from loradar.vocoders.attacks import ATTACKS, Source, choose
from loradar.vocoders.programs import PROGRAMS

EXECUTABLES = {"espeak": "espeak-ng", "flite": "flite", "festival": "text2wave"}
SOURCE = Source(
    0.05 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32),
    16_000,
    "THE BIRCH CANOE SLID",
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Put a shell script in the place of every program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def install(script: str) -> Path:
        for executable in EXECUTABLES.values():
            path = folder / executable
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path

    return install


def _render(name: str, transcript: str = SOURCE.transcript) -> np.ndarray:
    rng = np.random.default_rng(0)
    source = Source(SOURCE.samples, SOURCE.sample_rate, transcript)
    return ATTACKS[name].render(source, ATTACKS[name].draw(rng), rng)


@pytest.mark.parametrize("name", EXECUTABLES)
def test_the_transcript_goes_in_and_speech_comes_out(fake, tmp_path: Path, name: str) -> None:
    speech = tmp_path / "speech.wav"
    tone = 0.5 * np.sin(0.1 * np.arange(22_050))
    soundfile.write(speech, np.column_stack([tone, tone]), 22_050)
    fake(
        f'cat > {tmp_path}/text; printf "%s\\n" "$@" > {tmp_path}/arguments\n'
        f'for last; do :; done; cp {speech} "$last"'
    )
    copy = _render(name, "  --help; $(touch /tmp/x) `no`\n\x00 A\x1b[1m ")
    assert (tmp_path / "text").read_text() == "--help; $(touch /tmp/x) `no` A [1m"
    assert "help" not in (tmp_path / "arguments").read_text()
    assert copy.dtype == np.float32 and len(copy) == pytest.approx(16_000, abs=2)
    assert np.std(copy) == pytest.approx(np.std(SOURCE.samples), rel=1e-3)
    _render(name)
    assert (tmp_path / "text").read_text() == "the birch canoe slid"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no such voice >&2; exit 3", "espeak: exit code 3: no such voice"),
        ("exit 0", "espeak: wrote no readable speech"),
        ('for last; do :; done; echo junk > "$last"', "espeak: wrote no readable speech"),
        ("kill -9 $$", "espeak: exit code -9"),
    ],
)
def test_failures_are_one_line(fake, script: str, message: str) -> None:
    fake(script)
    with pytest.raises(InputError) as error:
        _render("espeak")
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_silence_and_no_words_are_errors(fake, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(800), 16_000)
    fake(f'for last; do :; done; cp {tmp_path}/silence.wav "$last"')
    with pytest.raises(InputError, match="espeak: wrote silence"):
        _render("espeak")
    with pytest.raises(InputError, match="flite: the transcript is empty"):
        _render("flite", " \n\t")


def test_a_program_that_hangs_is_stopped(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_TIMEOUT", 0.3)
    fake("exec sleep 30")
    before = time.monotonic()
    with pytest.raises(InputError, match=r"festival: no result after 0.3 s"):
        _render("festival")
    assert time.monotonic() - before < 20


def test_absent_programs_are_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    attacks, skipped = choose(["program"], have=frozenset({"transcript"}))
    assert not attacks
    assert skipped[0] == "espeak: needs the program espeak-ng, which is not on PATH"
    assert len(skipped) == len(PROGRAMS)
    with pytest.raises(InputError, match="flite: needs the program flite"):
        _render("flite")


@pytest.mark.parametrize(("name", "executable"), EXECUTABLES.items())
def test_the_real_program_speaks(name: str, executable: str) -> None:
    if shutil.which(executable) is None:
        pytest.skip(f"{executable} is not installed")
    copy = _render(name)
    assert 0.5 < len(copy) / 16_000 < 4 and np.isfinite(copy).all()
    assert np.std(copy) == pytest.approx(np.std(SOURCE.samples), rel=1e-3)
    assert np.array_equal(copy, _render(name))
