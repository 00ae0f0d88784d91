import multiprocessing
import os

import pytest
import torch

from loradar.errors import ConfigError
from loradar.training import readers
from loradar.training.readers import reading_processes
from loradar.training.recipe import TrainingConfig, parse_recipe
from loradar.training.stream import arguments


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(readers, "usable_cores", lambda: 2)
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: "fork")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def test_one_process_reads_on_two_cores(two_cores):
    assert reading_processes("auto") == 1


@pytest.mark.parametrize(
    ("cores", "accelerator", "ranks", "expected"),
    [(1, False, 1, 0), (16, False, 1, 1), (16, True, 1, 4), (3, True, 1, 2), (8, True, 8, 0)],
)
def test_auto_leaves_the_model_a_core(two_cores, monkeypatch, cores, accelerator, ranks, expected):
    monkeypatch.setattr(readers, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert reading_processes("auto") == expected


def test_no_process_where_it_would_start_anew(two_cores, monkeypatch):
    for method in ("spawn", "forkserver"):
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none, m=method: m)
        assert reading_processes("auto") == 0
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: None)
    for first, expected in (("fork", 1), ("spawn", 0)):
        methods = [first, "forkserver"]
        monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda m=methods: m)
        assert reading_processes("auto") == expected
    assert reading_processes(2) == 2


def test_usable_cores_are_those_of_this_process():
    assert 1 <= readers.usable_cores() <= (os.cpu_count() or 1)


def test_recipes_ask_for_auto_unless_they_name_a_number(tiny_recipe, two_cores, tmp_path):
    del (values := {**tiny_recipe, "data": dict(tiny_recipe["data"])})["data"]["workers"]
    recipe = parse_recipe(values)
    assert recipe.data.workers == "auto"
    assert "workers: auto" in recipe.to_yaml()
    made = arguments(
        TrainingConfig(steps=1),
        folder=tmp_path,
        steps=1,
        evaluates=False,
        seed=0,
        workers=recipe.data.workers,
        eval_batch_size=1,
    )
    assert made.dataloader_num_workers == 1
    with pytest.raises(ConfigError, match="workers"):
        parse_recipe({**values, "data": {**values["data"], "workers": "many"}})
