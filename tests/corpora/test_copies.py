import csv
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.audio.augmentation.effects import rms
from loradar.corpora import Manifest, make_copies, read_manifest
from loradar.corpora.copies import render as render_module
from loradar.corpora.copies.pool import spread
from loradar.corpora.voice import draw_speaker, speak
from loradar.errors import ConfigError, InputError, LoradarError
from loradar.files import sha256_of
from loradar.vocoders.attacks import ATTACKS, Attack

RATE = 16_000
CHEAP = ("lpc", "sinusoidal", "phase_randomised")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Four clips of two speakers, one of them at 22 kHz in stereo, and a spoofed one."""
    folder = tmp_path_factory.mktemp("source")
    rows = []
    for index in range(4):
        rng = np.random.default_rng(index)
        samples = speak(draw_speaker(np.random.default_rng(index % 2)), 1.2, rng)
        samples = (0.6 * samples / np.abs(samples).max()).astype(np.float32)
        data, rate = (np.stack([samples, samples], 1), 22_050) if index == 3 else (samples, RATE)
        sf.write(folder / f"c{index}.wav", data, rate)
        rows.append((f"c{index}.wav", "bonafide" if index else "", f"s{index % 2}", "train", "f"))
    rows.append(("c9.wav", "spoof", "s0", "train", "m"))
    table = pd.DataFrame(rows, columns=["path", "label", "speaker", "split", "gender"])
    return Manifest(table, folder=folder)


def _louder_end(clip, settings, rng):
    return clip.samples * np.linspace(0.5, 1.0, len(clip.samples), dtype=np.float32)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "copies.jsonl"
    }


def test_everything_about_a_run(source: Manifest, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    result = make_copies(
        source,
        tmp_path / "out",
        attacks=CHEAP,
        per_clip=2,
        channels=["none", "mp3"],
        workers=1,
        progress=lambda done, total, what: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (result.made, result.skipped) == (4, [])
    table = read_manifest(tmp_path / "out" / "manifest.csv").table
    assert table.equals(result.manifest.table.astype(table.dtypes.to_dict()))
    assert list(table.columns) == [
        *("path", "label", "attack", "speaker", "split", "corpus"),
        *("pair_id", "family", "settings", "aligned", "source", "seconds", "channel", "gender"),
    ]
    assert len(table) == 12
    assert set(table["pair_id"]) == {"c0", "c1", "c2", "c3"}
    copies = table[table["label"] == "spoof"]
    assert set(copies["attack"]) <= {"lpc_pulse", "lpc_quantised", "sinusoidal", "phase_randomised"}
    assert copies["attack"].value_counts().tolist() == [2, 2, 2, 2]
    for _, pair in table.groupby("pair_id"):
        assert pair["label"].tolist() == ["bonafide", "spoof", "spoof"]
        assert pair["source"].nunique() == pair["channel"].nunique() == 1
        clips = [sf.read(path, dtype="float32") for path in pair["path"]]
        assert {rate for _, rate in clips} == {RATE}
        assert len({len(samples) for samples, _ in clips}) == 1
        levels = [rms(samples) for samples, _ in clips]
        assert levels == pytest.approx([levels[0]] * 3, rel=1e-3)
        assert max(np.abs(samples).max() for samples, _ in clips) <= 0.991
        assert all(sf.info(path).subtype == "PCM_16" for path in pair["path"])
        assert pair["seconds"].tolist() == pytest.approx([len(clips[0][0]) / RATE] * 3, abs=1e-4)
    assert sorted(table.drop_duplicates("pair_id")["channel"]) == ["", "", "mp3", "mp3"]
    for row in copies.itertuples():
        assert isinstance(json.loads(row.settings), dict)
        assert row.family == ATTACKS[row.attack].family
        assert row.aligned == "yes"


def test_the_source_is_what_it_was(source: Manifest, tmp_path: Path) -> None:
    result = make_copies(source, tmp_path / "out", attacks=["sinusoidal"], workers=1)
    row = result.manifest.table.iloc[0]
    ours, original = sf.read(row["path"])[0], sf.read(row["source"])[0]
    gain = np.dot(ours, original) / np.dot(original, original)
    assert 0 < gain <= 1.0001
    assert np.abs(ours - gain * original).max() <= 2.1 / 32768  # rounding and dither alone


@pytest.mark.slow
def test_workers_do_not_matter(source: Manifest, tmp_path: Path) -> None:
    asked = {"attacks": CHEAP, "per_clip": 3, "channels": ["all"], "seed": 7}
    make_copies(source, tmp_path / "one", workers=1, **asked)
    make_copies(source, tmp_path / "two", workers=2, **asked)
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")


def test_a_killed_run_goes_on(source: Manifest, tmp_path: Path) -> None:
    asked = {"attacks": CHEAP, "per_clip": 2, "channels": ["room", "none"], "workers": 1}
    make_copies(source, tmp_path / "whole", **asked)
    out = tmp_path / "killed"

    class Killed(BaseException):
        pass

    def kill(done: int, total: int, what: str) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        make_copies(source, out, progress=kill, **asked)
    assert not (out / "manifest.csv").exists()
    with (out / "copies.jsonl").open("a") as file:
        file.write('{"name": "c3", "seco')  # a line cut short
    (out / "bonafide" / ".c3-tmp123.flac").touch()
    assert make_copies(source, out, **asked).made == 2
    assert _hashes(out) == _hashes(tmp_path / "whole")
    assert len((out / "copies.jsonl").read_text().splitlines()) == 5
    # Again: nothing to do. A file that is gone: only its clip.
    assert make_copies(source, out, **asked).made == 0
    next((out / "spoof").rglob("*.flac")).unlink()
    assert make_copies(source, out, **asked).made == 1
    assert _hashes(out) == _hashes(tmp_path / "whole")
    # And one that was cut short.
    cut = next((out / "spoof").rglob("*.flac"))
    cut.write_bytes(cut.read_bytes()[:100])
    assert make_copies(source, out, **asked).made == 1
    assert _hashes(out) == _hashes(tmp_path / "whole")


def test_a_record_from_before_sizes_were_kept_is_read(source: Manifest, tmp_path: Path) -> None:
    asked = {"attacks": ["sinusoidal"], "workers": 1}
    make_copies(source, tmp_path / "out", **asked)
    journal = tmp_path / "out" / "copies.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert all(line.pop("sizes") for line in lines[1:])
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert make_copies(source, tmp_path / "out", **asked).made == 0


def test_a_source_that_changed_is_copied_again(source: Manifest, tmp_path: Path) -> None:
    clip = tmp_path / "a.wav"
    samples = sf.read(source.table["path"][0])[0]
    sf.write(clip, samples, RATE)
    manifest = Manifest(pd.DataFrame({"path": [str(clip)]}))
    make_copies(manifest, tmp_path / "out", attacks=["sinusoidal"], workers=1)
    sf.write(clip, samples[::-1], RATE)
    os.utime(clip, ns=(1, 1))
    assert make_copies(manifest, tmp_path / "out", attacks=["sinusoidal"], workers=1).made == 1


def test_copies_by_other_weights_are_made_again(
    source: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = ["a" * 64]
    attack = Attack(
        "net", "net", "classical", lambda rng: {"n": 1}, _louder_end, weights=lambda: weights[0]
    )
    monkeypatch.setitem(ATTACKS, "net", attack)
    asked = {"attacks": ["net", "sinusoidal"], "workers": 1}
    result = make_copies(source, tmp_path / "out", **asked)
    told = result.manifest.table.set_index("attack")["settings"]
    assert [json.loads(text) for text in told["net"]] == [{"n": 1, "weights": "a" * 12}] * 2
    assert all("weights" not in text for text in told["sinusoidal"])
    assert make_copies(source, tmp_path / "out", **asked).made == 0
    weights[0] = "b" * 64
    with caplog.at_level("INFO", "loradar"):
        assert make_copies(source, tmp_path / "out", **asked).made == 2
    assert "the weights of net have changed: 2 clips are made again" in caplog.messages
    make_copies(source, tmp_path / "fresh", **asked)
    assert _hashes(tmp_path / "out") == _hashes(tmp_path / "fresh")


def test_a_source_that_changed_is_copied_again_and_it_says_so(
    source: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [Path(path) for path in source.table["path"][:2]]
    for name in names:
        (tmp_path / name.name).write_bytes(name.read_bytes())
    table = source.table[:2].assign(path=[str(tmp_path / name.name) for name in names])
    mine, asked = Manifest(table, source="clips"), {"attacks": ["sinusoidal"], "workers": 1}
    make_copies(mine, tmp_path / "out", **asked)
    (tmp_path / names[0].name).write_bytes(Path(source.table["path"].iloc[2]).read_bytes())
    with caplog.at_level("INFO", "loradar"):
        assert make_copies(mine, tmp_path / "out", **asked).made == 1
    assert "the sources of 1 clips have changed: they are made again" in caplog.messages
    make_copies(mine, tmp_path / "fresh", **asked)
    assert _hashes(tmp_path / "out") == _hashes(tmp_path / "fresh")


def test_other_arguments_are_refused(source: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = {"attacks": ["sinusoidal"], "workers": 1}
    make_copies(source, out, **asked)
    for changed, told in (
        ({"seed": 3}, "with seed 0, not 3"),
        ({"seconds": 0.8}, "with seconds None, not 0.8"),
        ({"channels": ["mp3"]}, "with channels"),
        ({"audio_format": "wav"}, "with format flac, not wav"),
    ):
        with pytest.raises(InputError, match=f"out: was made {told}.*; repeat those arguments"):
            make_copies(source, out, **{**asked, **changed})
    other = "with attacks sinusoidal, not lpc_pulse,lpc_quantised; give --attacks sinusoidal or"
    with pytest.raises(InputError, match=other):
        make_copies(source, out, **{**asked, "attacks": ["lpc"]})
    with pytest.raises(InputError, match="from other clips"):
        make_copies(source.where({"speaker": "s1"}), out, **asked)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "thesis.txt").touch()
    with pytest.raises(InputError, match="holds other files"):
        make_copies(source, tmp_path / "else", **asked)
    with pytest.raises(InputError, match=r"thesis\.txt: is a file"):
        make_copies(source, tmp_path / "else" / "thesis.txt", **asked)
    lines = (out / "copies.jsonl").read_text().splitlines()
    (out / "copies.jsonl").write_text("\n".join([lines[0], "nonsense", *lines[1:], ""]))
    with pytest.raises(InputError, match="line 2 is damaged"):
        make_copies(source, out, **asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"per_clip": 0}, "0 copies a clip"),
        ({"seconds": 0.1}, "give 0.5 to 600 s"),
        ({"audio_format": "mp3"}, "there are flac, wav"),
        ({"attacks": ["lpd"]}, "no attack or family 'lpd'"),
        ({"attacks": []}, "no attack is named"),
        ({"channels": ["radio"]}, "no channel 'radio'"),
        ({"channels": ["speed"]}, "no channel 'speed'"),
        ({"attacks": ["espeak"]}, "no attack of espeak can run: espeak: "),
    ],
)
def test_bad_arguments(source: Manifest, tmp_path: Path, asked: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_copies(source, tmp_path / "out", workers=1, **asked)
    assert not (tmp_path / "out").exists()


def test_a_channel_that_cannot_run_is_not_passed_over(
    source: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loradar.corpora.copies.channels.available_codecs", lambda: ("mp3",))
    asked = {"attacks": ["sinusoidal"], "workers": 1}
    with pytest.raises(ConfigError, match="no channel of opus can run: channel opus: "):
        make_copies(source, tmp_path / "out", channels=["opus"], **asked)
    result = make_copies(source, tmp_path / "out", channels=["opus", "mp3"], **asked)
    assert set(result.manifest.table["channel"]) == {"mp3"}


def test_a_folder_of_copies_is_no_source_of_itself(source: Manifest, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(Path(source.table["path"][0]).read_bytes())
    manifest = Manifest(pd.DataFrame({"path": [str(tmp_path / "a.wav")]}), source="clips")
    with pytest.raises(InputError, match="every clip of clips lies in it; give another folder"):
        make_copies(manifest, tmp_path, attacks=["sinusoidal"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_bad_clips_and_bad_attacks_are_skipped(
    source: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    good = sf.read(source.table["path"][0], dtype="float32")[0]
    nan = good.copy()
    nan[100] = np.nan
    sf.write(folder / "good.wav", good, RATE)
    sf.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    sf.write(folder / "silent.wav", np.zeros(RATE), RATE)
    sf.write(folder / "tiny.wav", good[:2000], RATE)
    (folder / "text.wav").write_text("hello")
    names = ["good", "nan", "silent", "tiny", "text", "gone"]
    paths = [str(folder / f"{name}.wav") for name in names]
    results: dict[str, Callable] = {
        "breaks": lambda s, o, r: 1 / 0,
        "nans": lambda s, o, r: s.samples * np.nan,
        "mute": lambda s, o, r: s.samples * 0,
        "short": lambda s, o, r: s.samples[:-1],
    }
    for name, work in results.items():
        attack = Attack(name, name, "classical", lambda rng: {}, work)
        monkeypatch.setitem(ATTACKS, name, attack)
    asked = {"attacks": ["sinusoidal", *results], "per_clip": 9, "workers": 1}
    manifest = Manifest(pd.DataFrame({"path": paths}))
    result = make_copies(manifest, tmp_path / "out", **asked)
    assert list(result.manifest.table["attack"]) == ["", "sinusoidal"]
    with (tmp_path / "out" / "skipped.csv").open(newline="") as file:
        told = {
            (Path(row["path"]).stem, row["attack"]): row["reason"] for row in csv.DictReader(file)
        }
    assert len(told) == len(result.skipped) == 9
    assert told["good", "breaks"] == "ZeroDivisionError: division by zero"
    assert "NaN" in told["good", "nans"] and "silent" in told["good", "mute"]
    assert "19199 samples" in told["good", "short"]
    assert "NaN" in told["nan", ""] and "too short" in told["tiny", ""]
    assert "silent" in told["silent", ""] and "no such file" in told["gone", ""]
    # What was skipped is tried again, and what is mended is made.
    sf.write(folder / "tiny.wav", good[::-1], RATE)
    for name in results:
        monkeypatch.setitem(
            ATTACKS, name, Attack(name, name, "classical", dict, lambda s, o, r: s.samples)
        )
    monkeypatch.setattr(Attack, "draw", property(lambda self: lambda rng: {}), raising=False)
    again = make_copies(manifest, tmp_path / "out", **asked)
    assert set(again.manifest.table["pair_id"]) == {"good", "tiny"}
    assert len(again.skipped) == 4
    for path in paths:
        Path(path).unlink(missing_ok=True)
    with pytest.raises(InputError, match="none of 6 clips could be copied"):
        make_copies(manifest, tmp_path / "none", **asked)
    assert not (tmp_path / "none" / "manifest.csv").exists()


def test_a_full_disk_ends_in_one_line_and_nothing_half_written(
    source: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"attacks": CHEAP, "per_clip": 2, "workers": 1}
    make_copies(source, tmp_path / "whole", **asked)
    room = [7]  # files that fit
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        room[0] -= 1
        if room[0] < 0:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="No space left on device; 2 of 4 clips are done"):
            make_copies(source, out, **asked)
    whole = _hashes(tmp_path / "whole")
    found = _hashes(out)
    assert len(found) == 7 and found.items() < whole.items()
    assert make_copies(source, out, **asked).made == 2
    assert _hashes(out) == whole


def test_a_voice_that_cannot_be_read_is_replaced(
    source: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    def convert(clip, settings, rng):
        heard.append(len(clip.other))
        assert "other" not in settings
        return clip.samples

    attack = Attack("convert", "x", "classical", lambda r: {}, convert, needs=frozenset({"other"}))
    monkeypatch.setitem(ATTACKS, "convert", attack)
    table = source.table.iloc[:4].copy()
    table.loc[1, "path"] = str(tmp_path / "gone.wav")
    result = make_copies(Manifest(table), tmp_path / "out", attacks=["convert"], workers=1)
    assert [path for path, *_ in result.skipped] == [str(tmp_path / "gone.wav")]
    copies = result.manifest.table[result.manifest.table["attack"] == "convert"]
    assert {json.loads(text)["other"] for text in copies["settings"]} <= {"c0", "c2", "c3"}
    assert len(heard) == 3


def test_a_spoken_text_is_no_longer_than_its_source(
    source: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(clip, settings, rng):
        return np.tile(clip.samples, 3) * (2.0 if clip.transcript == "HELLO" else 0.0)

    attack = Attack(
        "say", "x", "program", lambda r: {}, say, aligned=False, needs=frozenset({"transcript"})
    )
    monkeypatch.setitem(ATTACKS, "say", attack)
    table = source.table.iloc[1:2].assign(transcript="HELLO")
    result = make_copies(Manifest(table), tmp_path / "out", attacks=["say"], workers=1)
    assert result.manifest.table["aligned"].tolist() == ["yes", "no"]
    assert result.manifest.table["seconds"].nunique() == 1


def test_long_clips_are_cut(source: Manifest, tmp_path: Path) -> None:
    result = make_copies(
        source, tmp_path / "out", attacks=["sinusoidal"], seconds=0.8, audio_format="wav", workers=1
    )
    assert set(result.manifest.table["seconds"]) == {0.8}
    assert {Path(path).suffix for path in result.manifest.table["path"]} == {".wav"}
    samples, note = render_module.read_clip(source.table["path"][0], None)
    assert len(samples) == 19_200 and note == ""


def test_processes_do_the_work_and_errors_come_through() -> None:
    error = "exec('from loradar.errors import InputError; raise InputError(\"full\")')"
    found = {}
    with pytest.raises(InputError, match="full"):
        for job, result in spread(eval, ["1 + 1", "2 + 2", *["0"] * 9, error], 2, crashed=str):
            found[job] = result
    assert found["1 + 1"] == 2


def test_what_nobody_waits_for_is_stopped() -> None:
    endless = "__import__('time').sleep(10_000)"
    results = spread(eval, ["1 + 1", endless, endless], 2, crashed=str)
    assert next(results) == ("1 + 1", 2)
    results.close()  # returns


def test_a_stopped_run_leaves_no_temporary_files(source: Manifest, tmp_path: Path) -> None:
    def stop(done: int, total: int, what: str) -> None:
        (tmp_path / "out" / "bonafide" / ".c1-tmp123.flac").touch()  # a worker's
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_copies(source, tmp_path / "out", attacks=["sinusoidal"], workers=1, progress=stop)
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.slow
def test_a_job_that_kills_its_process_is_reported_alone() -> None:
    bad = "__import__('os')._exit(1)"
    jobs = ["1", bad, "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    found = dict(spread(eval, jobs, 2, crashed=lambda job: "crashed"))
    assert found == {job: "crashed" if job == bad else int(job) for job in jobs}
    with pytest.raises(LoradarError, match="worker processes die at once"):
        list(spread(eval, [bad, bad + " "], 2, crashed=lambda job: "crashed"))
