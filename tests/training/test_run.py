import copy
import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from loradar.errors import ConfigError, InputError, LoradarError
from loradar.inference.model import load_model
from loradar.training.dataset import TrainingClips
from loradar.training.folder import newest_checkpoint
from loradar.training.recipe import parse_recipe
from loradar.training.run import train
from loradar.training.stream import waiting_share
from loradar.training.trainer import dev_metrics


class _Killed(Exception):
    """What the tests raise in the middle of a run."""


def _recipe(base: dict, **training):
    values = copy.deepcopy(base)
    values["training"].update(training)
    # Dropout, router noise and augmentation all draw random numbers that a resumed run must repeat.
    values["adaptation"]["moe_lora"].update({"dropout": 0.1, "noise": 0.5})
    return parse_recipe(values)


def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(tiny_recipe, tmp_path):
    recipe = _recipe(tiny_recipe)
    train(recipe, tmp_path / "unbroken")

    def kill(done: int, total: int, what: str) -> None:
        if what == "training" and done == 6:
            raise _Killed

    with pytest.raises(_Killed):
        train(recipe, tmp_path / "broken", progress=kill)
    assert newest_checkpoint(tmp_path / "broken" / "checkpoints").name == "checkpoint-4"
    assert not (tmp_path / "broken" / "model.safetensors").exists()
    train(recipe, tmp_path / "broken", resume=True)

    last = "checkpoints/checkpoint-12/model.safetensors"
    for name in ("model.safetensors", last):
        one, two = (load_file(tmp_path / run / name) for run in ("unbroken", "broken"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[key], two[key]) for key in one), name
    figures = [
        json.loads((tmp_path / run / "metrics.json").read_text()) for run in ("unbroken", "broken")
    ]
    assert figures[0]["best_step"] == figures[1]["best_step"]
    assert figures[0]["dev_eer"] == figures[1]["dev_eer"]
    assert [run["resumed_from"] for run in figures] == [0, 4]

    # A run that was killed between its last step and its last file ends the same way.
    (tmp_path / "broken" / "metrics.json").unlink()
    (tmp_path / "broken" / "model.safetensors").unlink()
    again = train(recipe, tmp_path / "broken", resume=True).metrics
    assert (again["resumed_from"], again["step_seconds"]) == (12, None)
    assert again["best_step"] == figures[0]["best_step"]
    one, two = (load_file(tmp_path / run / "model.safetensors") for run in ("unbroken", "broken"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_further_data_trains_too_and_may_not_hold_dev_clips(tiny_recipe, tiny_corpus, tmp_path):
    table = pd.read_csv(tiny_corpus)
    train_rows = table[table["split"] == "train"].groupby("label").head(3)
    more = train_rows.assign(path=[str(tiny_corpus.parent / path) for path in train_rows["path"]])
    more.to_csv(tmp_path / "more.csv", index=False)
    values = copy.deepcopy(tiny_recipe)
    values["data"]["also"] = [{"path": str(tmp_path / "more.csv"), "share": 0.5}]
    plain = train(parse_recipe(tiny_recipe), tmp_path / "plain")
    mixed = train(parse_recipe(values), tmp_path / "mixed")
    one, two = (load_file(run.folder / "model.safetensors") for run in (plain, mixed))
    assert any(not torch.equal(one[key], two[key]) for key in one)

    dev = table[table["split"] == "dev"].assign(split="train")
    dev["path"] = [str(tiny_corpus.parent / path) for path in dev["path"]]
    dev.to_csv(tmp_path / "leak.csv", index=False)
    values["data"]["also"][0]["path"] = str(tmp_path / "leak.csv")
    with pytest.raises(InputError, match="both the training and the dev set"):
        train(parse_recipe(values), tmp_path / "leak")


def test_the_seed_decides_and_nothing_else(tiny_recipe, tmp_path):
    weights = []
    for run, seed in enumerate((1, 1, 2)):
        recipe = parse_recipe({**tiny_recipe, "seed": seed})
        train(recipe, tmp_path / str(run))
        weights.append(load_file(tmp_path / str(run) / "model.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert any(not torch.equal(weights[0][key], weights[2][key]) for key in weights[0])


def test_shared_draws_change_nothing_but_who_makes_them(tiny_recipe, tmp_path, monkeypatch):
    values = copy.deepcopy(tiny_recipe)
    values["augmentation"] = {"steps": [{"name": "noise", "probability": 1.0}]}
    runs = [train(parse_recipe(values), tmp_path / "alone").folder]
    draws = tmp_path / "draws"
    runs.append(train(parse_recipe(values), tmp_path / "first", draws=draws).folder)
    assert len(list(draws.iterdir())) == 2
    # The model may differ; here it does not, so that the weights can be compared.
    monkeypatch.setattr(TrainingClips, "_draw", lambda self, at: pytest.fail(f"{at} made again"))
    values["training"]["log_every"] = 7
    runs.append(train(parse_recipe(values), tmp_path / "second", draws=draws).folder)
    weights = [load_file(folder / "model.safetensors") for folder in runs]
    for other in weights[1:]:
        assert all(torch.equal(weights[0][key], other[key]) for key in other)
    monkeypatch.undo()
    train(parse_recipe({**values, "seed": 5}), tmp_path / "another", draws=draws)
    assert len(list(draws.iterdir())) == 4


def test_a_run_leaves_what_the_design_says(tiny_model):
    names = {path.name for path in tiny_model.iterdir()}
    assert names >= {
        "config.json",
        "model.safetensors",
        "calibration.json",
        "README.md",
        "recipe.yaml",
        "metrics.json",
        "tensorboard",
    }
    metrics = json.loads((tiny_model / "metrics.json").read_text())
    assert 0 < metrics["trained_parameters"] < metrics["parameters"]
    assert 0 < metrics["step_seconds"] < metrics["seconds"]
    assert 0 < metrics["waiting_share"] < 1
    assert metrics["peak_memory_mib"] > 50
    model = load_model(tiny_model)
    assert model.calibration is not None
    assert model.detector.mixture is not None


def test_tensorboard_holds_the_curves(tiny_model):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tiny_model / "tensorboard"))
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"loss", "loss_balance", "eval_eer", "eval_cross_entropy"} <= set(scalars)
    assert [point.step for point in events.Scalars("eval_eer")] == [4, 8, 12]


def test_it_learns_the_tiny_corpus(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    values["adaptation"] = {"mode": "full"}
    values["training"].update({"steps": 40, "evaluate_every": 20, "best_metric": "cross_entropy"})
    result = train(parse_recipe(values), tmp_path / "full")
    assert result.metrics["dev_eer"] <= 0.1


@pytest.mark.parametrize("mode", ["frozen", "lora", "moe_lora"])
def test_the_base_stays_as_it_was(tiny_recipe, tmp_path, mode):
    values = {**tiny_recipe, "adaptation": {"mode": mode}}
    recipe = parse_recipe(values)
    train(recipe, tmp_path / mode)
    from loradar.detector import build_detector

    before = build_detector(recipe.detector, seed=recipe.seed).base_tensors()
    after = load_model(tmp_path / mode).detector.base_tensors()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_folder_with_a_run_is_not_overwritten(tiny_recipe, tiny_model):
    with pytest.raises(InputError, match="already holds a run"):
        train(parse_recipe(tiny_recipe), tiny_model)


def test_resuming_needs_a_run_and_the_same_recipe(tiny_recipe, tiny_model, tmp_path):
    recipe = parse_recipe(tiny_recipe)
    with pytest.raises(InputError, match="no run to resume"):
        train(recipe, tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match="another recipe"):
        train(parse_recipe({**tiny_recipe, "seed": 9}), tiny_model, resume=True)


def test_a_clip_may_not_be_in_both_sets(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    values["data"]["dev"] = {"split": ["dev", "train"]}
    with pytest.raises(InputError, match="18 clips are in both"):
        train(parse_recipe(values), tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_missing_clips_are_said_before_training(tiny_recipe, tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,label,split\nnone.wav,bonafide,train\nno.wav,spoof,dev\n")
    values = {**tiny_recipe, "data": {"path": str(manifest)}}
    with pytest.raises(InputError, match=r"none\.wav: no such file"):
        train(parse_recipe(values), tmp_path / "run")


def test_a_loss_that_is_not_finite_ends_the_run(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    values["adaptation"] = {"mode": "full"}
    values["training"].update({"learning_rate": 1e30, "max_gradient_norm": 1e30, "warmup": 0.0})
    with pytest.raises(LoradarError, match=r"training\.learning_rate"):
        train(parse_recipe(values), tmp_path / "run")


def test_epochs_and_class_weights(tiny_recipe, tmp_path, caplog, monkeypatch):
    values = copy.deepcopy(tiny_recipe)
    del values["training"]["steps"]
    values["training"].update({"epochs": 2, "class_weights": "balanced"})
    values["data"]["balance"] = "none"
    seen = []
    plain = torch.nn.functional.cross_entropy

    def spy(logits, labels, weight=None, **kwargs):
        seen.append(weight)
        return plain(logits, labels, weight=weight, **kwargs)

    monkeypatch.setattr("loradar.training.trainer.F.cross_entropy", spy)
    with caplog.at_level(logging.INFO, logger="loradar.training"):
        result = train(parse_recipe(values), tmp_path / "run")
    assert result.metrics["steps"] == 9  # 18 clips, twice, four a step
    assert "18 training clips (6 bona fide, 12 spoof)" in caplog.text
    assert seen
    assert all(weight.tolist() == [0.75, 1.5] for weight in seen)  # spoof, bona fide


def test_the_last_step_is_evaluated_whatever_the_interval(tiny_recipe, tmp_path, caplog):
    values = copy.deepcopy(tiny_recipe)
    values["training"].update({"steps": 5, "evaluate_every": 3})
    with caplog.at_level(logging.INFO, logger="loradar.training"):
        result = train(parse_recipe(values), tmp_path / "run")
    assert "step 3/5  dev EER" in caplog.text
    assert "step 5/5  dev EER" in caplog.text
    assert result.metrics["best_step"] in (3, 5)


def test_the_last_checkpoint_is_kept_when_asked(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    values["training"]["best_metric"] = "last"
    result = train(parse_recipe(values), tmp_path / "run")
    assert result.metrics["best_step"] == 12
    kept, last = (
        load_file(tmp_path / "run" / name)
        for name in ("model.safetensors", "checkpoints/checkpoint-12/model.safetensors")
    )
    assert last.keys() <= kept.keys()
    assert all(torch.equal(kept[key], last[key]) for key in last)


def test_a_baseline_that_is_frozen_has_nothing_to_train(tiny_recipe, tmp_path):
    values = {
        **tiny_recipe,
        "encoder": {"type": "spectrogram_cnn"},
        "adaptation": {"mode": "frozen"},
        "backend": {"name": "none"},
    }
    with pytest.raises(ConfigError, match="nothing to train"):
        train(parse_recipe(values), tmp_path / "run")


def test_a_window_too_short_for_the_detector_is_said_at_once(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    values["encoder"] = {"type": "spectrogram_cnn"}
    values["adaptation"], values["backend"] = {"mode": "full"}, {"name": "none"}
    values["data"]["window"] = 500
    with pytest.raises(ConfigError, match="window: 500 samples"):
        train(parse_recipe(values), tmp_path / "run")


@pytest.mark.slow
def test_resuming_with_workers_accumulation_and_epochs(tiny_recipe, tmp_path):
    values = copy.deepcopy(tiny_recipe)
    del values["training"]["steps"]
    values["training"].update({"epochs": 5, "accumulate": 2, "evaluate_every": 4})
    values["data"].update({"balance": "none", "workers": 2})
    recipe = parse_recipe(values)
    train(recipe, tmp_path / "unbroken")

    def kill(done: int, total: int, what: str) -> None:
        if what == "training" and done == 6:
            raise _Killed

    with pytest.raises(_Killed):
        train(recipe, tmp_path / "broken", progress=kill)
    # How many processes read changes no draw, so a run may go on with another number.
    values["data"]["workers"] = 0
    train(parse_recipe(values), tmp_path / "broken", resume=True)
    one, two = (load_file(tmp_path / r / "model.safetensors") for r in ("unbroken", "broken"))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_dev_scores_that_are_not_finite_end_the_run():
    class Prediction:
        predictions = np.array([[0.0, np.nan], [0.0, 1.0]])
        label_ids = np.array([1, 0])

    with pytest.raises(LoradarError, match="diverged"):
        dev_metrics(Prediction())


def test_dev_metrics_average_the_classes():
    logits = np.array([[0.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    labels = np.array([1, 0, 0])

    class Prediction:
        predictions = logits
        label_ids = labels

    found = dev_metrics(Prediction())
    expected = (np.log1p(np.exp(-2)) + (np.log1p(np.exp(1)) + np.log1p(np.exp(-3))) / 2) / 2
    assert found["cross_entropy"] == pytest.approx(expected)
    assert found["eer"] == 0.0


def test_waiting_share_leaves_the_start_out():
    assert waiting_share([9.0, 0.1, 0.3], [5.0, 0.9, 0.7]) == pytest.approx(0.2)
    assert waiting_share([9.0], [5.0]) is None
    assert waiting_share([], []) is None
