import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from loradar.audio.augmentation import CODECS
from loradar.corpora.manifest import read_manifest
from loradar.corpora.voice import draw_speaker, speak


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    for index in range(3):
        rng = np.random.default_rng(index)
        sf.write(folder / f"{index}.wav", 0.3 * speak(draw_speaker(rng), 1.0, rng), 16_000)
    return folder


def test_copies_of_a_folder(loradar, calls, tmp_path):
    asked = ["corpus", "copies", calls, "-o", tmp_path / "out", "--attacks", "sinusoidal,lpc_pulse"]
    asked += ["--per-clip", "5", "--channels", "telephone", "--workers", "1", "--json"]
    ended = loradar(*asked)
    assert ended.code == 0
    report = json.loads(ended.out)
    assert report["clips"] == 3 and report["copies"] == 6 and report["skipped"] == 0
    assert report["by_attack"] == {"lpc_pulse": 3, "sinusoidal": 3}
    assert "3 clips have no label" in ended.err and "drawn by clip" in ended.err
    assert "wrote" in ended.err and "clips/s" in ended.err
    table = read_manifest(report["manifest"]).table
    assert len(table) == 9 and set(table["channel"]) == {"telephone"}
    again = loradar(*asked)
    assert again.code == 0 and "all there already" in again.err
    # What was made can be read as any corpus, and copied copies are refused.
    out = tmp_path / "out"
    nothing = loradar("corpus", "copies", out, "-o", tmp_path / "x", "--where", "label=spoof")
    assert nothing.code == 2 and "no bona fide clip" in nothing.err


def test_rows_are_chosen(loradar, calls, tmp_path):
    manifest = tmp_path / "m.csv"
    lines = [f"{calls / f'{i}.wav'},bonafide,s{i},train" for i in range(3)]
    manifest.write_text("\n".join(["path,label,speaker,split", *lines]) + "\n")
    asked = ["corpus", "copies", manifest, "--attacks", "sinusoidal", "--workers", "1"]
    ended = loradar(*asked, "-o", tmp_path / "a", "--without", "speaker=s0,s2")
    assert ended.code == 0
    assert set(read_manifest(tmp_path / "a" / "manifest.csv").table["speaker"]) == {"s1"}
    ended = loradar(*asked, "-o", tmp_path / "b", "--without", "speaker=s9")
    assert ended.code == 2 and "never holds 's9'" in ended.err
    ended = loradar(*asked, "-o", tmp_path / "b", "--without", "split=train")
    assert ended.code == 2 and "every clip has split" in ended.err
    ended = loradar(*asked, "-o", tmp_path / "b", "--without", "speaker")
    assert ended.code == 2 and "--without speaker: write COLUMN=VALUE" in ended.err


def test_exit_codes(loradar, calls, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.wav").write_bytes((calls / "0.wav").read_bytes())
    (folder / "bad.wav").write_text("not audio")
    asked = ["--attacks", "sinusoidal", "--workers", "1"]
    ended = loradar("corpus", "copies", folder, "-o", tmp_path / "out", *asked)
    assert ended.code == 1
    assert ended.err.count("bad.wav: skipped: cannot be read as audio") == 1
    (folder / "good.wav").unlink()
    ended = loradar("corpus", "copies", folder, "-o", tmp_path / "none", *asked)
    assert ended.code == 2 and "none of 1 clips could be copied" in ended.err
    ended = loradar("corpus", "copies", tmp_path / "gone", "-o", tmp_path / "none", *asked)
    assert ended.code == 2 and "no such file or folder" in ended.err
    ended = loradar("corpus", "copies", calls, "-o", tmp_path / "none", "--attacks", "magic")
    assert ended.code == 2 and "no attack or family 'magic'" in ended.err


def test_the_list_of_attacks(loradar):
    ended = loradar("corpus", "attacks")
    assert ended.code == 0
    assert "sinusoidal; classical" in ended.out
    assert "channels: noise," in ended.out
    for name, codec in CODECS.items():
        if reason := codec.missing():
            assert f"channel {name}: {reason}" in ended.out
    assert str(Path(__file__).parents[2]) not in ended.out
