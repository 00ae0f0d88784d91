import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loradar.audio.reading import load_audio
from loradar.cli.sources import read_source
from loradar.corpora import read_corpus, read_manifest
from loradar.corpora.hub import CONVERTED, hub_clips
from loradar.corpora.shards import write_samples
from loradar.errors import ConfigError, InputError
from loradar.evaluation.submission import scores_text


class Stream(list):
    """What the library's streamed dataset looks like from outside."""

    features: ClassVar = {"label": SimpleNamespace(names=["spoof", "bonafide"])}

    def cast_column(self, name, kind):
        assert name == "audio" and kind == "raw"
        return self


@pytest.fixture
def hub(monkeypatch):
    asked = []
    rows = Stream()

    def load_dataset(name, *, split, streaming):
        asked.append((name, split, streaming))
        if name == "a/none":
            raise ValueError("no such\ndataset")
        return rows

    library = SimpleNamespace(load_dataset=load_dataset, Audio=lambda decode: "raw")
    monkeypatch.setitem(sys.modules, "datasets", library)
    return rows, asked


def test_clips_of_a_dataset(hub, tmp_path):
    rows, asked = hub
    for index, label in enumerate([0, 1, "Fake"]):
        audio = {"bytes": bytes([index]), "path": f"deep/{index}.flac"}
        rows.append({"audio": audio, "label": label, "speaker": "s", "codec": "x", "list": [1]})
    made = write_samples(hub_clips("a/corpus:test"), tmp_path)
    assert asked == [("a/corpus", "test", True)]
    table = made.manifest.table
    assert table["label"].tolist() == ["spoof", "bonafide", "spoof"]
    assert table["split"].tolist() == ["eval"] * 3
    assert set(table["corpus"]) == {"corpus"} and set(table["codec"]) == {"x"}
    assert "list" not in table


def test_complaints(hub, monkeypatch):
    rows, _ = hub
    with pytest.raises(InputError, match="hub:a/none: cannot be had: no such dataset"):
        next(hub_clips("a/none"))
    rows.append({"audio": {"bytes": b"x", "path": None}, "label": "maybe"})
    with pytest.raises(InputError, match="row 0: the label 'maybe'"):
        next(hub_clips("a/b"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match="pip install"):
        next(hub_clips("a/b"))


def write_dataset(path, clips, labels, names=("fake", "real"), **columns):
    """Write Parquet as the hub's library does: labels are places in a list of names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = {"audio": {"_type": "Audio"}, "label": {"names": names, "_type": "ClassLabel"}}
    note = json.dumps({"info": {"features": features}}) if names else "{}"
    audio = [{"bytes": Path(clip).read_bytes(), "path": "clip.wav"} for clip in clips]
    table = pa.table({"audio": audio, "label": labels, **columns})
    pq.write_table(table.replace_schema_metadata({"huggingface": note}), path)


@pytest.fixture
def cached(monkeypatch, tmp_path, tiny_corpus):
    """A data set whose own files have a split train, and test in the hub's version alone."""
    clips = read_manifest(tiny_corpus).table["path"].tolist()[:4]
    write_dataset(tmp_path / "own" / "data" / "train-00000-of-00001.parquet", clips[:3], [0, 1, 1])
    write_dataset(tmp_path / "made" / "default" / "test" / "0000.parquet", clips[3:], [0])
    write_dataset(tmp_path / "made" / "default" / "latest" / "0000.parquet", clips[2:3], [0])

    def snapshot_download(name, *, repo_type, revision, allow_patterns):
        assert repo_type == "dataset" and all("*" in pattern for pattern in allow_patterns)
        if name == "a/none":
            raise OSError("no such\nrepository")
        return str(tmp_path / ("made" if revision == CONVERTED else "own"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return clips


def test_a_dataset_is_named_directly(cached):
    manifest = read_source(Path("hub:a/corpus:train+test"))
    table = manifest.table
    assert table["label"].tolist() == ["spoof", "bonafide", "bonafide", "spoof"]
    assert table["split"].tolist() == ["train"] * 3 + ["eval"]
    assert set(table["corpus"]) == {"corpus"}
    # All four are called clip.wav; each is its own clip all the same.
    assert manifest.check_files() == []
    for path, clip in zip(table["path"], cached, strict=True):
        assert load_audio(path).tolist() == load_audio(clip).tolist()
    assert len(read_corpus("hub", "a/corpus")) == 3


def test_what_cannot_be_had_is_one_line(cached):
    with pytest.raises(InputError, match="hub:a/none: cannot be had: no such repository"):
        read_corpus("hub", "a/none")
    with pytest.raises(InputError, match="no Parquet files of the split 'dev'"):
        read_corpus("hub", "a/corpus:dev")
    with pytest.raises(InputError, match="leave out --corpus"):
        read_source(Path("hub:a/corpus"), "shards")


def test_numbers_without_names_are_no_labels(tiny_corpus, tmp_path):
    clips = read_manifest(tiny_corpus).table["path"].tolist()[:1]
    write_dataset(tmp_path / "a" / "x.parquet", clips, [0], names=None)
    with pytest.raises(InputError, match=r"x.parquet/clip.wav: the label 0 is none of"):
        read_source(tmp_path / "a" / "x.parquet")
    # Sources are told apart by what they hold: a folder of shards needs no --corpus.
    write_dataset(tmp_path / "b" / "x.parquet", clips, [1])
    assert read_source(tmp_path / "b").labels.tolist() == [1]
    assert read_corpus("shards", tmp_path / "b").labels.tolist() == [1]


def test_what_the_arenas_data_sets_note(tiny_corpus, tmp_path, capsys, monkeypatch):
    clips = read_manifest(tiny_corpus).table["path"].tolist()[:3]
    noted = [
        {"utterance_id": "E_1", "attack_id": "A07", "codec": "alaw", "phase": "eval"},
        {"utterance_id": "E_2", "attack_id": "-", "speaker_id": "LA_1", "phase": "hidden"},
    ]
    notes = [*map(json.dumps, noted), "free text"]
    folder = tmp_path / "data"
    names = ("bonafide", "spoof")
    write_dataset(folder / "test-0.parquet", clips, [1, 0, 1], names, notes=notes)
    pq.write_table(pa.table({"utterance_id": ["E_1"], "label": [1]}), folder / "labels.parquet")
    table = read_source(folder).table
    assert table["attack"].tolist() == ["A07", "", "unknown"]
    assert table["codec"].tolist() == ["alaw", "", ""]
    assert table["speaker"].tolist() == ["", "LA_1", ""]
    trials = table.assign(score=[1.0, 2.0, 3.0])
    assert scores_text(trials).splitlines()[:2] == ["E_1 1.000000", "E_2 2.000000"]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: str(tmp_path))
    assert read_source(Path("hub:a/corpus:test")).labels.tolist() == [0, 1, 0]
    assert "holds the phases eval, hidden" in capsys.readouterr().err
