import io
import tarfile

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
