import json

import torch

from loradar.detector.aasist import RawAasist


def test_public_weights_become_a_model_that_judges(loradar, tiny_corpus, tmp_path):
    torch.manual_seed(0)
    weights, model = tmp_path / "AASIST-L.pth", tmp_path / "public"
    torch.save(RawAasist("AASIST-L").state_dict(), weights)
    ended = loradar("import", weights, "-o", model, "--front-end", "bandpass")
    assert ended.code == 0, ended.err
    config = json.loads((model / "config.json").read_text())["detector"]
    assert config["front_end"]["filter"] == "bandpass"
    card = (model / "README.md").read_text()
    assert "85,306 parameters" in card and "MIT" in card
    ended = loradar("detect", "--model", model, tiny_corpus.parent / "00.wav", "--json")
    assert ended.code == 0, ended.err
    assert isinstance(json.loads(ended.out)["score"], float)

    again = loradar("import", weights, "-o", model)
    assert again.code == 2
    assert "already holds a model" in again.err
    wrong = loradar("import", weights, "-o", tmp_path / "x", "--front-end", "loud")
    assert wrong.code == 2
    assert "give none or bandpass" in wrong.err
    assert loradar("import", tmp_path / "none.pth", "-o", tmp_path / "x").code == 2
    assert not (tmp_path / "x").exists()
