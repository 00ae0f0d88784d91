import copy

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState, TrainingArguments

from loradar.errors import CheckpointError, ConfigError
from loradar.training.averaging import MEANS, WeightAverage
from loradar.training.recipe import parse_recipe
from loradar.training.run import train


class _Killed(Exception):
    """What the tests raise in the middle of a run."""


def _recipe(base, **training):
    values = copy.deepcopy(base)
    values["training"].update({"best_metric": "last", **training})
    return parse_recipe(values)


def _walk(tmp_path, tensors, share, steps, path):
    """Average over a made-up run that puts ``path(step)`` into the tensors."""
    average = WeightAverage(lambda: tensors, share)
    state, control = TrainerState(max_steps=steps), TrainerControl()
    arguments = TrainingArguments(output_dir=str(tmp_path), report_to=[])
    average.on_train_begin(arguments, state, control)
    for step in range(1, steps + 1):
        state.global_step = step
        tensors["weight"].fill_(path(step))
        tensors["counted"].fill_(step)
        average.on_step_end(arguments, state, control)
    average.on_train_end(arguments, state, control)


@pytest.mark.parametrize(("share", "first"), [(0.5, 6), (0.2, 9), (1.0, 1), (0.04, 11)])
def test_the_end_is_the_mean_of_the_last_share(tmp_path, share, first):
    tensors = {"weight": torch.zeros(3), "counted": torch.zeros((), dtype=torch.int64)}
    _walk(tmp_path, tensors, share, 10, lambda step: float(step**2))
    over = [step**2 for step in range(first, 11)] or [100]
    assert tensors["weight"].tolist() == pytest.approx([sum(over) / len(over)] * 3, rel=1e-6)
    assert tensors["counted"] == 10  # what is counted is not averaged


def test_a_resumed_run_averages_the_same(tiny_recipe, tmp_path):
    recipe = _recipe(tiny_recipe, average=0.8)
    train(recipe, tmp_path / "unbroken")

    def kill(done: int, total: int, what: str) -> None:
        if what == "training" and done == 6:
            raise _Killed

    with pytest.raises(_Killed):
        train(recipe, tmp_path / "broken", progress=kill)
    train(recipe, tmp_path / "broken", resume=True)
    one, two = (load_file(tmp_path / run / "model.safetensors") for run in ("unbroken", "broken"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)

    train(_recipe(tiny_recipe), tmp_path / "last")
    last = load_file(tmp_path / "last" / "model.safetensors")
    changed = [key for key in one if not torch.equal(one[key], last[key])]
    assert changed
    # The training itself is the same: the last checkpoint is, before the mean is taken.
    ends = [
        load_file(tmp_path / run / "checkpoints" / "checkpoint-12" / "model.safetensors")
        for run in ("unbroken", "last")
    ]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_a_checkpoint_without_its_means_is_refused(tiny_recipe, tmp_path):
    recipe = _recipe(tiny_recipe, average=0.8)
    train(recipe, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "checkpoints" / "checkpoint-12" / MEANS).unlink()
    with pytest.raises(CheckpointError, match="averages cannot go on"):
        train(recipe, tmp_path / "run", resume=True)


def test_it_needs_the_end_of_training(tiny_recipe):
    with pytest.raises(ConfigError, match="set best_metric to last"):
        _recipe(tiny_recipe, average=0.5, best_metric="eer")
