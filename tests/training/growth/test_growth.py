"""Growing an expert: the clips, the trainer, the folder."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from loradar.corpora.manifest import Manifest, read_manifest
from loradar.detector import DetectorConfig, build_detector
from loradar.detector.checkpoint import load_detector, save_detector
from loradar.detector.pretrained import make_model, save_model
from loradar.errors import ConfigError, InputError
from loradar.inference.model import load_model
from loradar.training.dataset import ClipStore
from loradar.training.growth.clips import BONAFIDE, NEW, OLD, divide, plan_growth
from loradar.training.growth.run import augmentation_of, grow, held_figures
from loradar.training.growth.settings import GrowthSettings

FEW = {"steps": 4, "batch_size": 4, "evaluate_every": 2, "held": 0.3, "window": 6_000}


@pytest.fixture(scope="module")
def clips(tiny_corpus):
    """The new attack with bona fide clips, and the replay set."""
    manifest = read_manifest(tiny_corpus)
    new = manifest.where({"attack": ["hum", ""]})
    return new, manifest.where({"attack": ["buzz", ""]})


def run(model, clips, out, **settings):
    new, replay = clips
    asked = GrowthSettings.of(**{**FEW, **settings})
    return grow(load_detector(model), model, out, new, replay, settings=asked, name="old")


@pytest.fixture(scope="module")
def grown(tiny_model, clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("grown") / "model"
    return run(tiny_model, clips, out, learning_rate=0.05)


def test_only_the_new_expert_differs_and_its_removal_gives_the_old_model(tiny_model, grown):
    old, new = (load_file(f / "model.safetensors") for f in (tiny_model, grown.folder))
    assert all(torch.equal(new[name], old[name]) for name in old)
    added = new.keys() - old.keys()
    assert added and all(".grown." in name or ".rows." in name for name in added)
    model = load_model(grown.folder)
    assert model.calibration is not None
    assert model.calibration == load_model(tiny_model).calibration
    samples = torch.randn(2, 6_000)
    with torch.no_grad():
        before = load_detector(tiny_model)(samples)
        assert not torch.equal(model.detector(samples), before)
        model.detector.mixture.remove(4)
        assert torch.equal(model.detector(samples), before)


def test_the_folder_tells_what_was_done(grown, tiny_model):
    metrics = json.loads((grown.folder / "metrics.json").read_text())
    assert metrics == grown.metrics
    assert (metrics["experts"], metrics["grown_from"], metrics["steps"]) == ([4], "old", 4)
    assert metrics["best_step"] in (2, 4)
    assert metrics["clips"]["training"] == {
        "new attack": 6,
        "bona fide": 6,
        "replayed attacks": 6,
    }
    for figures in (metrics["held_before"], metrics["held_after"]):
        assert {"eer of new attack", "eer of replayed attacks", "cross_entropy"} <= figures.keys()
    held_share = metrics["trained_parameters"] / metrics["parameters"]
    assert 0 < held_share < 0.2
    card = (grown.folder / "README.md").read_text()
    assert card.startswith((tiny_model / "README.md").read_text().rstrip())
    assert "Expert 4 was added for a new attack, from 6 of its clips and 6 of older" in card
    assert (grown.folder / "recipe.yaml").read_bytes() == (tiny_model / "recipe.yaml").read_bytes()
    assert not (grown.folder / "checkpoints").exists()


def test_growth_learns_the_new_attack(tiny_model, clips, grown, tmp_path):
    more = run(
        tiny_model, clips, tmp_path / "more", steps=30, evaluate_every=10, learning_rate=0.05
    )
    name = "cross_entropy of new attack"
    assert more.metrics["held_after"][name] < more.metrics["held_before"][name]
    # The gates open to the positive side on the new attack.
    detector = load_detector(tmp_path / "more")
    new, replay = clips
    _, held = divide(new, replay, held=0.3, seed=0)
    detector.mixture.reset_statistics()
    new_held = type(held)(held.table[held.kinds == NEW], held.kinds[held.kinds == NEW])
    store = ClipStore(new_held.table["path"], preload=False)
    with torch.no_grad():
        for row in range(len(store)):
            detector(torch.from_numpy(store[row])[None, :6_000])
    openings = detector.mixture.statistics().opening
    assert all(opening[0, 0] > 0 for opening in openings.values())


def test_training_again_goes_on_from_the_grown_one(grown, clips, tmp_path):
    again = run(grown.folder, clips, tmp_path / "again", experts=[4], learning_rate=0.02)
    old, new = (load_file(f / "model.safetensors") for f in (grown.folder, again.folder))
    assert old.keys() == new.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and all(".grown." in name or ".rows." in name for name in changed)
    gates = run(grown.folder, clips, tmp_path / "gates", experts=[4], gates_only=True)
    new = load_file(gates.folder / "model.safetensors")
    assert all(torch.equal(old[name], new[name]) for name in old if ".rows." not in name)
    assert gates.metrics["trained_parameters"] == 2 * 16
    with pytest.raises(ConfigError, match=r"expert 0 does not train by itself: .*\(4 to 4\)"):
        run(grown.folder, clips, tmp_path / "none", experts=[0])
    assert not (tmp_path / "none").exists() or not any((tmp_path / "none").iterdir())


def test_keeping_the_old_answers_costs_nothing_of_the_start(tiny_model, clips):
    from loradar.training.growth.trainer import GrowthTrainer
    from loradar.training.stream import arguments

    settings = GrowthSettings.of(**FEW)
    detector = load_detector(tiny_model)
    detector.requires_grad_(False)
    detector.mixture.add_expert()
    options = arguments(
        settings.training,
        folder=tiny_model / "unused",
        steps=1,
        evaluates=False,
        seed=0,
        workers=0,
        eval_batch_size=2,
    )
    trainer = GrowthTrainer(
        detector, settings.training, keep=1.0, held_kinds=np.zeros(1, int), args=options
    )
    trainer.model.train()
    batch = {
        "waveforms": torch.randn(4, 6_000),
        "labels": torch.tensor([0, 1, 0, 1]),
        "is_new": torch.tensor([True, False, False, False]),
    }

    def terms():
        trainer._terms.clear()
        loss = trainer.compute_loss(trainer.model, batch)
        return loss, {name: value[0].item() for name, value in trainer._terms.items()}

    loss, start = terms()
    assert start["divergence"] == pytest.approx(0, abs=1e-6)
    loss.backward()
    with torch.no_grad():
        for gates in detector.mixture.growth.values():
            gates.rows[0].normal_(std=3.0)
        for adapter in detector.mixture.adapters.values():
            adapter.grown_experts[0].B.normal_()
    moved = {name: p.clone() for name, p in detector.named_parameters()}
    loss, later = terms()
    assert later["divergence"] > 1e-5
    assert loss.item() == pytest.approx(later["cross_entropy"] + later["divergence"], rel=1e-5)
    assert all(torch.equal(p, moved[name]) for name, p in detector.named_parameters())
    batch["is_new"][:] = True
    assert "divergence" not in terms()[1]


def _table(new=10, real=10, **columns):
    labels = ["spoof"] * new + ["bonafide"] * real
    attacks = ["x"] * new + [""] * real
    paths = [f"/clips/{'n' if label == 'spoof' else 'r'}{i}" for i, label in enumerate(labels)]
    return pd.DataFrame({"path": paths, "label": labels, "attack": attacks, **columns})


@pytest.fixture
def no_files(monkeypatch):
    monkeypatch.setattr("loradar.training.growth.clips.Path.is_file", lambda self: True)


def test_pairs_stay_on_one_side_and_eval_takes_no_part(no_files):
    pairs = [f"p{i % 10}" for i in range(20)]
    table = _table(pair_id=pairs, split=["eval"] * 2 + ["train"] * 18)
    training, held = divide(Manifest(table), None, held=0.3, seed=1)
    assert len(training.table) + len(held.table) == 18
    assert not set(training.table["pair_id"]) & set(held.table["pair_id"])
    assert not {"p0", "p1"} & set(held.table.loc[held.kinds == NEW, "pair_id"])
    assert held.counts["new attack"] >= 2
    again = divide(Manifest(table), None, held=0.3, seed=1)[1]
    other = divide(Manifest(table), None, held=0.3, seed=2)[1]
    assert list(held.table["path"]) == list(again.table["path"])
    assert list(held.table["path"]) != list(other.table["path"])


def test_of_few_new_clips_none_is_held_for_another_kinds_sake(no_files):
    # Each new clip shares its sentence with a bona fide one, of which most share theirs with none.
    new = [("new", f"s{k}") for k in range(10)]
    real = [("", f"s{k}") for k in range(10)] + [("", f"r{k}") for k in range(40)]
    table = pd.DataFrame(
        {
            "path": [f"{k}.wav" for k in range(len(new + real))],
            "label": ["spoof" if attack else "bonafide" for attack, _ in new + real],
            "attack": [attack for attack, _ in new + real],
            "pair_id": [pair for _, pair in new + real],
            "split": "train",
        }
    )
    for seed in range(5):
        training, held = divide(Manifest(table), None, held=0.2, seed=seed)
        assert (held.kinds == NEW).sum() == 2 and (training.kinds == NEW).sum() == 8
        assert (held.kinds == BONAFIDE).sum() == 10
        assert not set(training.table["pair_id"]) & set(held.table["pair_id"])


def test_dev_clips_are_held_and_replay_drops_what_is_in_both(no_files):
    split = (["dev"] * 3 + ["train"] * 7) * 2
    replay = _table(new=14, real=10, split=["train"] * 24)
    training, held = divide(Manifest(_table(split=split)), Manifest(replay), held=0.1, seed=0)
    # n0 to n9 are the new attack, though they are in the replay set too; n10 to n13 are old. r10 to
    # r19 and r14 to r23 are bona fide.
    assert training.counts == {"new attack": 7, "bona fide": 14 - 3, "replayed attacks": 2}
    assert held.counts["new attack"] == 3
    assert set(held.table.loc[held.kinds == NEW, "split"]) == {"dev"}
    plan, table, is_new = plan_growth(training, replay_share=0.25, seed=3)
    rows = np.array([plan.draw(position)[0] for position in range(2_000)])
    spoof = rows[::2]
    assert (table["label"].to_numpy()[rows[1::2]] == "bonafide").all()
    assert (table["label"].to_numpy()[spoof] == "spoof").all()
    assert is_new[spoof].mean() == pytest.approx(0.75, abs=0.04)
    assert set(table["path"]) == set(training.table["path"])
    assert sorted(set(training.kinds)) == [NEW, BONAFIDE, OLD]


@pytest.mark.parametrize(
    ("new", "real", "message"),
    [
        (0, 9, "no spoofed clip"),
        (10, 0, "too few bona fide clips"),
        (3, 9, "3 clips of the new attack, 1 of them to learn from, are too few"),
    ],
)
def test_clips_that_do_not_do(no_files, new, real, message):
    with pytest.raises(InputError, match=message):
        divide(Manifest(_table(new, real)), None, held=0.2, seed=0)


def test_clips_without_a_label_or_a_file():
    table = _table()
    with pytest.raises(InputError, match="no such file"):
        divide(Manifest(table), None, held=0.2, seed=0)
    table.loc[0, ["label", "attack"]] = ""
    with pytest.raises(InputError, match="1 clips have no label"):
        divide(Manifest(table), None, held=0.2, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [{"held": 1.0}, {"gates_only": True}, {"experts": (1,), "rank": 2}, {"learning_rate": 0}],
)
def test_wrong_settings_are_one_line(wrong):
    with pytest.raises(ConfigError) as info:
        GrowthSettings.of(**wrong)
    assert "\n" not in str(info.value)


def test_augmentation_comes_from_the_models_recipe(tiny_model, tmp_path):
    (step,) = augmentation_of(tiny_model).steps
    assert step.name == "noise"
    assert augmentation_of(tmp_path).steps == ()
    (tmp_path / "recipe.yaml").write_text("augmentation: {steps: [{name: wrong}]}\n")
    with pytest.raises(ConfigError, match="--no-augment"):
        augmentation_of(tmp_path)


def test_figures_of_held_clips_by_hand(tiny_model, clips):
    _, held = divide(*clips, held=0.3, seed=0)
    store = ClipStore(held.table["path"], preload=False)
    figures = held_figures(load_detector(tiny_model), store, held)
    costs = [value for name, value in figures.items() if name.startswith("cross_entropy of")]
    assert len(costs) == 3
    assert figures["cross_entropy"] == pytest.approx(np.mean(costs))


def test_everything_trains_for_comparison(tiny_model, clips, tmp_path):
    result = run(tiny_model, clips, tmp_path / "all", everything=True, precision="bf16", keep=0)
    metrics = result.metrics
    assert metrics["experts"] == [] and metrics["trained_parameters"] == metrics["parameters"]
    old, new = load_detector(tiny_model).whole_state(), load_detector(result.folder).whole_state()
    assert new.keys() == old.keys()
    changed = {name.partition(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"encoder", "backend"}
    card = (result.folder / "README.md").read_text()
    assert "Every weight was trained for a new attack, from 6 of its clips and 6 of older" in card
    with pytest.raises(ConfigError, match="adds no expert"):
        GrowthSettings.of(everything=True, rank=2)


@pytest.fixture
def with_base(tiny_model, tmp_path):
    """A model on an encoder in a folder of its own."""
    config = load_detector(tiny_model).config.to_dict()
    torch.manual_seed(0)
    save_model(make_model(config["encoder"].pop("config")), tmp_path / "base")
    config["encoder"]["id"] = str(tmp_path / "base")
    save_detector(build_detector(DetectorConfig.from_dict(config), seed=0), tmp_path / "model")
    return tmp_path / "model"


def test_a_model_of_which_everything_was_trained_can_grow(with_base, clips, tmp_path):
    whole = run(with_base, clips, tmp_path / "all", everything=True, keep=0, learning_rate=0.01)
    more = run(whole.folder, clips, tmp_path / "more")
    for folder in (whole.folder, more.folder):
        assert json.loads((folder / "config.json").read_text())["self_contained"]
    old, new = (load_detector(each.folder).whole_state() for each in (whole, more))
    assert all(torch.equal(new[name], old[name]) for name in old)
    base = load_detector(with_base).whole_state()
    assert any(not torch.equal(old[name], base[name]) for name in base if ".A" not in name)
