import json

import numpy as np
import pytest
import torch

from loradar.corpora.manifest import read_manifest
from loradar.detector.checkpoint import load_detector
from loradar.errors import InputError
from loradar.scoring.experts import routing_report


@pytest.fixture
def detector(tiny_model):
    return load_detector(tiny_model)


def test_load_and_information_by_attack(detector, tiny_corpus):
    manifest = read_manifest(tiny_corpus).where({"split": "eval"})
    number = detector.mixture.add_expert()
    calls = []
    found = routing_report(detector, manifest, deals=20, progress=lambda *a: calls.append(a))
    assert found.clips == {"bonafide": 3, "buzz": 3, "hum": 3}
    assert calls[-1] == (9, 9, "routing")
    assert len(found.layers) == 2
    for layer in found.layers.values():
        for name in found.clips:
            assert layer.load[name].sum() == pytest.approx(1)
            assert layer.shares[name].sum() == pytest.approx(1)
            assert layer.shares[name][number] == 0
            assert 0 <= layer.entropy[name] <= 1
        assert number in layer.dead
        assert layer.information.limit == pytest.approx(np.log2(3))
    assert json.loads(json.dumps(found.to_dict()))["clips"] == found.clips
    assert detector.mixture.statistics().positions == {}

    # A router made to tell the two kinds of noise apart is found out.
    for gates in detector.mixture.growth.values():
        torch.nn.init.normal_(gates.rows[0], std=5.0)
    opened = routing_report(detector, manifest, by="speaker", deals=20)
    assert all(number not in layer.dead for layer in opened.layers.values())
    assert set(opened.clips) == set(manifest.table["speaker"])


def test_one_class_has_no_information(detector, tiny_corpus):
    manifest = read_manifest(tiny_corpus).where({"split": "eval"})
    found = routing_report(detector, manifest, by="corpus")
    assert all(layer.information is None for layer in found.layers.values())


def test_clips_that_cannot_be_read(detector, tiny_corpus, tmp_path):
    manifest = read_manifest(tiny_corpus).where({"split": "eval"})
    manifest.table.loc[0, "path"] = str(tmp_path / "none.wav")
    found = routing_report(detector, manifest)
    assert sum(found.clips.values()) == 8
    assert "none.wav" in found.errors[0]
    manifest.table["path"] = [str(tmp_path / f"{i}.wav") for i in range(9)]
    with pytest.raises(InputError, match="no clip can be read"):
        routing_report(detector, manifest)


def test_what_is_not_there(detector, tiny_corpus):
    manifest = read_manifest(tiny_corpus)
    with pytest.raises(InputError, match="no column 'vocoder'"):
        routing_report(detector, manifest, by="vocoder")
    detector.mixture.remove(1, 2, 3)
    with pytest.raises(InputError, match="no routers"):
        routing_report(detector, manifest)
