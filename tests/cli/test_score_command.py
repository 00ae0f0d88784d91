import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd

from loradar.evaluation.scorefile import read_scores


def test_a_list_on_standard_input_a_shard_and_a_folder(
    loradar, tiny_model, tiny_corpus, tmp_path, monkeypatch
):
    clips = [tiny_corpus.parent / f"{n:02d}.wav" for n in range(3)]
    folder = tmp_path / "clips"
    folder.mkdir()
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for clip in clips:
            tar.add(clip, clip.name)
            (folder / clip.name).write_bytes(clip.read_bytes())
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{clip}\n" for clip in clips) + "\n"))
    scores = []
    for source in ("-", tmp_path / "shard.tar", folder):
        out = tmp_path / "scores.csv"
        ended = loradar("score", source, "--model", tiny_model, "-o", out)
        assert ended.code == 0, ended.err
        assert "3 clips" in ended.err
        scores.append(pd.read_csv(out)["score"].tolist())
    assert scores[0] == scores[1] == scores[2]


def test_names_that_are_not_utf8_and_links_that_lead_nowhere(
    loradar, tiny_model, tiny_corpus, tmp_path, monkeypatch
):
    folder = tmp_path / "archive"
    folder.mkdir()
    odd = os.fsencode(folder) + b"/b\xff.wav"
    (folder / "a.wav").write_bytes((tiny_corpus.parent / "00.wav").read_bytes())
    Path(os.fsdecode(odd)).write_bytes((tiny_corpus.parent / "01.wav").read_bytes())
    (folder / "c.wav").symlink_to(folder / "gone.wav")
    asked = ["--model", tiny_model, "-o", tmp_path / "scores.csv"]
    ended = loradar("score", folder, *asked)
    assert ended.code == 1
    table = pd.read_csv(tmp_path / "scores.csv", dtype=str)
    assert [Path(path).name for path in table["path"]] == ["a.wav", "b?.wav", "c.wav"]
    assert list(table["verdict"] == "ERROR") == [False, False, True]
    listed = io.TextIOWrapper(io.BytesIO(odd + b"\n"))
    monkeypatch.setattr("sys.stdin", listed)
    assert loradar("score", "-", *asked).code == 0
    again = pd.read_csv(tmp_path / "scores.csv", dtype=str)
    assert again["score"].tolist() == table["score"].tolist()[1:2]
    # Tables hold no such name: one line, and the others go on.
    copies = ["corpus", "copies", folder, "--attacks", "lpc_pulse", "--workers", "1"]
    ended = loradar(*copies, "-o", tmp_path / "copies")
    assert "b\ufffd.wav: left out: its name is not UTF-8; rename it" in ended.err


def test_an_empty_list_is_an_error(loradar, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    ended = loradar("score", "-", "--model", tiny_model, "-o", tmp_path / "s.csv")
    assert ended.code == 2
    assert "no files to score" in ended.err


def test_other_precisions_are_near_and_no_fourth_is_known(
    loradar, tiny_corpus, tiny_model, tmp_path
):
    found = {}
    for precision in ("float32", "bfloat16", "int8"):
        out = tmp_path / f"{precision}.csv"
        asked = ["--model", tiny_model, "--precision", precision, "-o", out]
        assert loradar("score", tiny_corpus, *asked).code == 0
        found[precision] = read_scores(out)["score"].to_numpy()
    for precision in ("bfloat16", "int8"):
        off = np.abs(found["float32"] - found[precision])
        assert 0 < off.max() < 0.1 * max(1.0, np.ptp(found["float32"]))
    ended = loradar("score", tiny_corpus, "--model", tiny_model, "--precision", "int4", "-o", out)
    assert ended.code == 2
    assert "precision int4: give float32, bfloat16, int8" in ended.err
