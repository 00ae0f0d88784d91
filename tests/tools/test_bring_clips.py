"""Clips are brought out of clones by the ids of their contents."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def bring(tool):
    return tool("bring_clips")


def _git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *command], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def table(tmp_path):
    clone = tmp_path / "clones" / "someone+page"
    clone.mkdir(parents=True)
    _git(clone, "init", "-q")
    (clone / "a.wav").write_bytes(b"sound")
    blob = _git(clone, "hash-object", "-w", "a.wav")
    row = {"path": "page/a.wav", "label": "spoof", "attack": "x", "kind": "tts", "speaker": "s"}
    row |= {"corpus": "page", "language": "en", "pair_id": "p", "matched": "yes"}
    return pd.DataFrame([{**row, "repository": "someone/page", "blob": blob}])


def _run(bring, table, tmp_path):
    table.to_csv(tmp_path / "clips.csv", index=False)
    where = [str(tmp_path / "clips.csv"), "--clones", str(tmp_path / "clones")]
    return bring.main([*where, "-o", str(tmp_path / "out")])


def test_clips_and_manifest(bring, table, tmp_path):
    for _ in range(2):
        assert _run(bring, table, tmp_path) == 0
        assert (tmp_path / "out" / "page" / "a.wav").read_bytes() == b"sound"
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert manifest.loc[0, ["path", "label", "split"]].tolist() == ["page/a.wav", "spoof", "eval"]


def test_a_table_of_its_own_columns_and_splits(bring, table, tmp_path):
    speech = table.drop(columns=["kind", "language", "pair_id", "matched"])
    assert _run(bring, speech.assign(label="bonafide", split="train", licence="MIT"), tmp_path) == 0
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv")
    told = ["page/a.wav", "bonafide", "train", "MIT"]
    assert manifest.loc[0, ["path", "label", "split", "licence"]].tolist() == told
    assert "kind" not in manifest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"repository": "someone/else"}, "no clone of someone/else: git clone --bare"),
        ({"blob": "0" * 40}, "someone/page: holds no 0000"),
        ({"path": "../a.wav"}, "leads out of the folder"),
    ],
)
def test_mistakes_are_one_line(bring, table, tmp_path, capsys, change, told):
    assert _run(bring, table.assign(**change), tmp_path) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert not (tmp_path / "a.wav").exists()
