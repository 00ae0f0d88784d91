import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

from loradar.corpora.hub import hub_clips
from loradar.corpora.shards import write_samples
from loradar.errors import ConfigError, InputError


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
