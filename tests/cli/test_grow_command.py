import json

import pytest

from loradar.detector.checkpoint import load_detector

FEW = ["--steps", 4, "--batch-size", 4, "--evaluate-every", 2, "--held", 0.3]


def test_grow_then_detect_and_evaluate(loradar, tiny_model, tiny_corpus, tmp_path):
    out = tmp_path / "grown"
    asked = ["--data", tiny_corpus, "--where", "attack=hum,", "--replay", tiny_corpus]
    asked += ["--replay-where", "attack=buzz,", "-o", out, *FEW]
    ended = loradar("grow", tiny_model, *asked, "--json")
    assert ended.code == 0, ended.err
    figures = json.loads(ended.out)
    assert (figures["folder"], figures["experts"]) == (str(out), [4])
    assert figures["clips"]["training"]["replayed attacks"] == 6
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith(f"wrote {out} in ") and last.endswith(" s")
    assert load_detector(out).mixture.config.grown == (2,)
    ended = loradar("detect", "--model", out, tiny_corpus.parent / "00.wav", "--json")
    assert ended.code == 0
    assert {len(gates) for gates in json.loads(ended.out)["experts"].values()} == {5}
    assert loradar("evaluate", out, "--on", tiny_corpus, "--json").code == 0
    # A second expert beside the first.
    second = loradar("grow", out, *asked[:-10], "-o", tmp_path / "second", *FEW, "--json")
    assert json.loads(second.out)["experts"] == [5]


def test_an_embedded_detector_can_be_grown(loradar, embedded, tiny_corpus, tmp_path):
    out = tmp_path / "grown"
    ended = loradar("grow", "loradar/embedded", "--data", tiny_corpus, "-o", out, *FEW)
    assert ended.code == 0, ended.err
    assert json.loads((out / "metrics.json").read_text())["grown_from"] == "loradar/embedded"
    again = loradar("grow", "loradar/embedded", "--data", tiny_corpus, "-o", embedded / "x")
    assert again.code == 2
    assert "part of the installed package" in again.err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "none.csv"], "no such file"),
        (["--data", "MANIFEST", "--where", "attack=A99"], "A99"),
        (["--data", "MANIFEST", "--where", "attack=buzz"], "too few bona fide clips"),
        (["--data", "MANIFEST", "--where", "label=bonafide"], "no spoofed clip"),
        (["--data", "MANIFEST", "--replay-where", "attack=buzz"], "give it too"),
        (["--data", "MANIFEST", "--gates-only"], "gates_only"),
        (["--data", "MANIFEST", "--held", "2"], "held"),
        (["--data", "MANIFEST", "--expert", "1"], "does not train by itself"),
        (["--data", "MANIFEST", "-o", "MODEL"], "holds other files"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    loradar, tiny_model, tiny_corpus, tmp_path, extra, message
):
    names = {"MANIFEST": tiny_corpus, "MODEL": tiny_model}
    arguments = [names.get(item, item) for item in extra]
    ended = loradar("grow", tiny_model, "-o", tmp_path / "out", *arguments)
    assert ended.code == 2
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("loradar: ")
    assert message in last
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_model_without_experts_cannot_grow(loradar, tiny_recipe, tiny_corpus, tmp_path):
    from loradar.detector import DetectorConfig, build_detector, save_detector

    config = {
        "encoder": tiny_recipe["encoder"],
        "adaptation": {"mode": "frozen"},
        "backend": {"name": "linear"},
        "window": 6_000,
    }
    save_detector(build_detector(DetectorConfig.from_dict(config)), tmp_path / "plain")
    ended = loradar("grow", tmp_path / "plain", "--data", tiny_corpus, "-o", tmp_path / "out")
    assert ended.code == 2
    assert "no experts (mode frozen)" in ended.err
