import io
import tarfile

import pandas as pd


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
