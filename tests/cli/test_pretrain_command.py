import json

import yaml

TINY = {
    "name": "tiny",
    "encoder": {
        "config": {
            "model_type": "loradar-spectral",
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "stem_channels": [2, 2, 2],
        }
    },
    "objective": {"artifact": {}},
    "training": {"steps": 4, "batch_size": 2},
}


def test_pretrain_then_train_on_it(loradar, tiny_corpus, tiny_recipe, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**TINY, "data": {"path": str(tiny_corpus), "window": 6000}}))
    out = tmp_path / "encoder"
    ended = loradar("pretrain", recipe, "-o", out, "--set", "training.steps=2", "--json")
    assert ended.code == 0, ended.err
    printed = json.loads(ended.out)
    assert printed["folder"] == str(out)
    assert printed["steps"] == 2
    assert printed["attacks"] == ["buzz", "hum"]
    assert "step 2/2" in (out / "train.log").read_text()

    ended = loradar("pretrain", recipe, "-o", out)
    assert ended.code == 2
    assert "already holds a run" in ended.err

    values = {**tiny_recipe, "encoder": {"type": "huggingface", "id": str(out)}}
    values["training"] = {"steps": 2, "batch_size": 2}
    recipe.write_text(yaml.safe_dump(values))
    assert loradar("train", recipe, "-o", tmp_path / "detector").code == 0


def test_mistakes_are_one_line(loradar, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**TINY, "data": {"path": "none.csv"}}))
    for arguments, message in (
        (("none.yaml",), "none.yaml"),
        ((recipe, "--set", "objective.artifacts=1"), "unknown key"),
        ((recipe,), "none.csv"),
        ((recipe, "--resume"), "holds no run to resume"),
    ):
        ended = loradar("pretrain", *arguments, "-o", tmp_path / "out")
        assert ended.code == 2
        last = ended.err.strip().splitlines()[-1]
        assert last.startswith("loradar: ")
        assert message in last
