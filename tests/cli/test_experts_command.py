import json

import pytest
import torch
from tests.conftest import TINY_ENCODER

from loradar.audio.reading import load_audio
from loradar.detector import DetectorConfig, build_detector, load_detector, save_detector
from loradar.detector.pretrained import load_model as load_encoder


def answer(folder, clip):
    with torch.no_grad():
        return load_detector(folder)(torch.from_numpy(load_audio(clip))[None])


@pytest.fixture
def clip(tiny_corpus):
    return tiny_corpus.parent / "00.wav"


def test_experts_are_listed(loradar, tiny_model):
    ended = loradar("experts", tiny_model, "--json")
    assert ended.code == 0
    listed = json.loads(ended.out)
    assert [expert["number"] for expert in listed["experts"]] == [0, 1, 2, 3]
    first = listed["experts"][0]
    assert (first["rank"], first["grown"], first["frozen"]) == (2, False, False)
    sizes = [layer["parameters"] for layer in first["layers"].values()]
    assert sizes == [4 * 2 * (16 + 16) + 16] * 2
    assert first["parameters"] == sum(sizes)
    people = loradar("experts", tiny_model)
    assert people.code == 0
    assert "2 of 4 at work in each frame" in people.out
    assert "layers.1.attention" in people.out
    # The long form, and options before the model.
    assert loradar("experts", "show", tiny_model, "--json").out == ended.out
    assert loradar("experts", "--json", tiny_model).out == ended.out


def test_freeze_and_remove(loradar, tiny_model, clip, tmp_path):
    assert loradar("experts", "freeze", tiny_model, 0, 3, "-o", tmp_path / "frozen").code == 0
    rows = json.loads(loradar("experts", tmp_path / "frozen", "--json").out)["experts"]
    assert [row["frozen"] for row in rows] == [True, False, False, True]
    assert torch.equal(answer(tmp_path / "frozen", clip), answer(tiny_model, clip))
    assert loradar("experts", "remove", tiny_model, 1, "-o", tmp_path / "less").code == 0
    assert len(json.loads(loradar("experts", tmp_path / "less", "--json").out)["experts"]) == 3
    assert not torch.equal(answer(tmp_path / "less", clip), answer(tiny_model, clip))
    assert "Removed: 1." in (tmp_path / "less" / "README.md").read_text()
    assert (tmp_path / "less" / "calibration.json").is_file()
    assert loradar("detect", "--model", tmp_path / "less", clip).code == 0


@pytest.fixture
def with_base(tmp_path):
    """A model on an encoder in a folder of its own."""
    from loradar.detector.pretrained import make_model, save_model

    torch.manual_seed(0)
    save_model(make_model(TINY_ENCODER), tmp_path / "base")
    config = {
        "encoder": {"type": "huggingface", "id": str(tmp_path / "base")},
        "adaptation": {"mode": "moe_lora", "moe_lora": {"experts": 2, "rank": 2, "alpha": 5.0}},
        "backend": {"name": "linear"},
        "window": 6_000,
    }
    detector = build_detector(DetectorConfig.from_dict(config), seed=0).eval()
    for adapter in detector.mixture.adapters.values():
        torch.nn.init.normal_(adapter.B)
    save_detector(detector, tmp_path / "model")
    return tmp_path


def test_export_import_and_peft(loradar, with_base, clip):
    model, out = with_base / "model", with_base / "expert"
    assert loradar("experts", "export", model, 1, "-o", out).code == 0
    more = with_base / "more"
    assert loradar("experts", "import", model, out, out, "-o", more).code == 0
    assert torch.equal(answer(more, clip), answer(model, clip))
    rows = json.loads(loradar("experts", more, "--json").out)["experts"]
    assert [row["grown"] for row in rows] == [False, False, True, True]
    for name, layer in rows[1]["layers"].items():
        assert rows[3]["layers"][name]["strength"] == pytest.approx(layer["strength"])
    assert "2 (expert), 3 (expert)" in (more / "README.md").read_text()

    peft = pytest.importorskip("peft")
    samples = torch.from_numpy(load_audio(clip))[None]
    merged = load_encoder(str(with_base / "base")).eval()
    mixture = load_detector(model).mixture
    for name, (A, B) in mixture.tensors_of(1).items():
        merged.get_submodule(name).weight.data += 2.5 * (B @ A)
    base = load_encoder(str(with_base / "base")).eval()
    wrapped = peft.PeftModel.from_pretrained(base, out).eval()
    with torch.no_grad():
        ours = merged(samples).last_hidden_state
        theirs = wrapped(samples).last_hidden_state
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)


def test_what_experts_do(loradar, tiny_model, tiny_corpus, tmp_path):
    asked = ["experts", tiny_model, "--on", tiny_corpus, "--where", "split=eval", "--deals", 20]
    ended = loradar(*asked, "--json", "--plots", tmp_path / "maps")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert found["clips"] == {"bonafide": 3, "buzz": 3, "hum": 3}
    assert len(found["layers"]) == len(list((tmp_path / "maps").glob("*.png"))) == 2
    layer = next(iter(found["layers"].values()))
    assert {"bits", "chance", "chance_high", "p", "limit"} == layer["information"].keys()
    people = loradar(*asked, "--report", tmp_path / "experts.html")
    assert people.code == 0
    assert "information" in people.out
    page = (tmp_path / "experts.html").read_text()
    assert page.count("<svg") == 2
    assert "buzz" in page


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"experts_by_layer": [2, 4]}, "2 of 2 to 4 by layer at work"),
        ({"experts": 4, "routing": "self"}, "experts answer by their own direction"),
        ({"experts": 4, "kind": "singular_values"}, "singular values of the frozen weights"),
    ],
)
def test_experts_of_other_kinds(loradar, tiny_recipe, tiny_corpus, tmp_path, options, shown):
    from loradar.training.recipe import parse_recipe
    from loradar.training.run import train

    adaptation = {"mode": "moe_lora", "moe_lora": {"rank": 2, **options}}
    steps = {**tiny_recipe["training"], "steps": 2, "evaluate_every": 2}
    model = tmp_path / "model"
    train(parse_recipe({**tiny_recipe, "adaptation": adaptation, "training": steps}), model)
    people = loradar("experts", model)
    assert people.code == 0
    assert shown in " ".join(people.out.split())
    assert len(json.loads(loradar("experts", model, "--json").out)["experts"]) == 4
    asked = ["experts", model, "--on", tiny_corpus, "--where", "split=eval", "--deals", 20]
    seen = loradar(*asked)
    assert seen.code == 0
    assert "nan" not in seen.out
    report = loradar(*asked, "--json", "--report", tmp_path / "experts.html")
    assert report.code == 0
    sizes = {
        len(next(iter(x["shares"].values()))) for x in json.loads(report.out)["layers"].values()
    }
    assert sizes == (
        {2, 4} if "experts_by_layer" in options else {3 if "routing" in options else 4}
    )
    grown = loradar("grow", model, "--data", tiny_corpus, "-o", tmp_path / "grown", "--steps", 2)
    if "kind" in options:
        assert grown.code == 0, grown.err
    else:
        assert grown.code == 2
        assert "cannot grow" in grown.err.strip().splitlines()[-1]
        assert not (tmp_path / "grown").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["MODEL", "--where", "a=b"], "go with --on"),
        (["none"], "no such model folder"),
        (["MODEL", "--on", "MANIFEST", "--report", "a.txt"], "must end in .html"),
        (["MODEL", "--on", "MANIFEST", "--by", "vocoder"], "no column 'vocoder'"),
        (["freeze", "MODEL", "4", "-o", "OUT"], "no expert 4"),
        (["remove", "MODEL", "0", "1", "2", "3", "-o", "OUT"], "must stay"),
        (["import", "MODEL", "none", "-o", "OUT"], "no folder of a PEFT adapter"),
        (["export", "MODEL", "7", "-o", "OUT"], "no expert 7"),
        (["freeze", "MODEL", "0", "-o", "MODEL"], "holds other files"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    loradar, tiny_model, tiny_corpus, tmp_path, extra, message
):
    names = {"MANIFEST": tiny_corpus, "MODEL": tiny_model, "OUT": tmp_path / "out"}
    ended = loradar("experts", *(names.get(item, item) for item in extra))
    assert ended.code == 2
    last = ended.err.strip().splitlines()[-1]
    assert last.startswith("loradar: ")
    assert message in last
    assert not (tmp_path / "out").exists()


def test_a_mistyped_command_is_no_model(loradar, tiny_model, tmp_path):
    ended = loradar("experts", "freez", tiny_model, "0", "-o", tmp_path / "out")
    assert ended.code == 2
    assert "No such command 'freez'. Did you mean 'freeze'?" in ended.err
    assert not (tmp_path / "out").exists()


def test_help_and_a_model_without_experts(loradar, tmp_path):
    ended = loradar("experts", "--help")
    assert ended.code == 0
    assert all(name in ended.out for name in ("show", "freeze", "remove", "import", "export"))
    config = {
        "encoder": {"type": "spectrogram_cnn"},
        "adaptation": {"mode": "full"},
        "backend": {"name": "none"},
    }
    save_detector(build_detector(DetectorConfig.from_dict(config)), tmp_path / "cnn")
    ended = loradar("experts", tmp_path / "cnn")
    assert ended.code == 2
    assert "has no experts (mode full)" in ended.err
