"""The driver of a grid, with small programs in the place of trainings."""

import json
import os
import sys
import time

import pandas as pd
import pytest

from loradar.errors import ConfigError, InputError
from loradar.evaluation.compare.runs import CELL, FAILED, RUNS, SUITE
from loradar.training.grid.drive import cell_command, run_grid, status_of
from loradar.training.grid.lock import BusyError, locked
from loradar.training.grid.plan import read_grid

REPORT = {
    name: {"id": None, "ood": {}, "ood_average": {"eer_tie_safe": 0.3, "within_corpus_auc": None}}
    for name in ("matched", "all", "pair_disjoint", "matched_without_lj")
}


def _program(text: str):
    """Give a command that runs Python text with ``folder``, ``cell`` and ``report``."""
    start = (
        "import json, os, signal, sys, time, pathlib\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "cell = json.loads((folder / 'cell.json').read_text())\n"
        f"report = {json.dumps(REPORT).replace('null', 'None')}\n"
        "def done(): (folder / 'suite.json').write_text(json.dumps(report))\n"
    )
    return lambda folder: [sys.executable, "-S", "-c", start + text, str(folder)]


FINE = _program("done()")


@pytest.fixture
def cells(grid_values, write_grid):
    return read_grid(write_grid(grid_values))[2:6]


def test_runs_are_made_once_and_listed(cells, tmp_path):
    root = tmp_path / "runs"
    assert {run.status for run in status_of(cells, root)} == {"to do"}
    seen = []
    runs = run_grid(cells[:2], root, command=FINE, progress=lambda *at: seen.append(at))
    assert [run.status for run in runs] == ["done", "done"]
    assert seen == [(1, 2, "runs"), (2, 2, "runs")]
    # What is done is not touched; a program that fails would tell.
    runs = run_grid(cells, root, command=_program("sys.exit(7)"))
    assert [run.status for run in runs] == ["done", "done", "failed", "failed"]
    table = pd.read_csv(root / RUNS)
    assert table["variant"].tolist() == ["full", "moe", "full", "moe"]
    assert table["ood_average"].tolist()[:2] == [0.3, 0.3]
    assert table["reason"].tolist()[2:] == ["ended with exit code 7"] * 2
    assert table["folder"][1] == "moe/A/0"
    # Failed ones are tried again.
    runs = run_grid(cells, root, command=FINE)
    assert {run.status for run in runs} == {"done"}
    assert not (root / "full/B/0" / FAILED).exists()


def test_one_failure_does_not_stop_the_others(cells, tmp_path):
    command = _program(
        "name = cell['variant'] + cell['fold']\n"
        "if name == 'fullA': (folder / 'failed.json').write_text('{\"reason\": \"because\"}')\n"
        "if name == 'fullA': sys.exit(2)\n"
        "if name == 'moeA': os.kill(os.getpid(), signal.SIGKILL)\n"
        "if name == 'fullB': sys.exit(0)\n"
        "done()\n"
    )
    runs = run_grid(cells, tmp_path / "runs", jobs=3, command=command)
    assert [run.status for run in runs] == ["failed", "failed", "failed", "done"]
    reasons = [run.reason for run in runs]
    assert reasons[:3] == [
        "because",
        "killed by SIGKILL (out of memory?)",
        "ended without suite.json",
    ]


def test_jobs_run_at_once_and_share_the_cores(cells, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    meet = tmp_path / "meet"
    meet.mkdir()
    # Each of two waits for the other: alone, neither would end.
    command = _program(
        f"meet = pathlib.Path({str(meet)!r})\n"
        "(meet / cell['variant']).write_text(os.environ['OMP_NUM_THREADS'])\n"
        "while len(list(meet.iterdir())) < 2: time.sleep(0.01)\n"
        "done()\n"
    )
    runs = run_grid(cells[:2], tmp_path / "runs", jobs=2, command=command)
    assert [run.status for run in runs] == ["done", "done"]
    threads = {path.read_text() for path in meet.iterdir()}
    assert threads == {str(max(1, (os.cpu_count() or 1) // 2))}


def test_runs_of_a_fold_share_draws_until_the_last_is_done(cells, tmp_path):
    memory = tmp_path / "memory"
    command = _program(
        "draws = pathlib.Path(sys.argv[2])\n"
        "draws.mkdir(parents=True, exist_ok=True)\n"
        "(draws / (cell['variant'] + cell['fold'])).touch()\n"
        "there = [path.name for path in sorted(draws.parent.glob('*/*'))]\n"
        "(folder / 'there.json').write_text(json.dumps(there))\n"
        "done()\n"
    )
    runs = run_grid(cells, tmp_path / "runs", command=command, share_draws=memory)
    assert [run.status for run in runs] == ["done"] * 4
    there = [json.loads((run.folder / "there.json").read_text()) for run in runs]
    assert there == [["fullA"], ["fullA", "moeA"], ["fullB"], ["fullB", "moeB"]]
    assert list(memory.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="draws cannot be kept here"):
        run_grid(cells, tmp_path / "others", command=command, share_draws=tmp_path / "file")


def test_an_interrupted_grid_ends_its_processes(cells, tmp_path):
    root = tmp_path / "runs"
    command = _program(
        "if cell['fold'] == 'A' and cell['variant'] == 'full': done(); sys.exit()\n"
        "(folder / 'recipe.yaml').write_text('')\n"
        "(folder / 'pid').write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    started = root / "moe/A/0/pid"

    def stop(*_: object) -> None:
        while not (started.exists() and started.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_grid(cells[:2], root, jobs=2, command=command, progress=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert pd.read_csv(root / RUNS)["status"].tolist() == ["done", "half-finished"]


def test_a_run_of_another_recipe_is_not_taken_for_this_one(
    cells, grid_values, write_grid, tmp_path
):
    root = tmp_path / "runs"
    run_grid(cells[:1], root, command=FINE)
    grid_values["variants"]["full"].append("training.learning_rate=1e-5")
    changed = read_grid(write_grid(grid_values))
    with pytest.raises(ConfigError, match=r"full/A/0 was made with another recipe"):
        run_grid(changed, root, command=FINE)
    # One that never began is simply replaced.
    (root / "full/A/0" / SUITE).unlink()
    runs = run_grid(changed[2:3], root, command=FINE)
    assert runs[0].status == "done"
    kept = json.loads((root / "full/A/0" / CELL).read_text())
    assert kept["recipe"]["training"]["learning_rate"] == 1e-5


def test_two_grids_do_not_work_in_one_folder(cells, tmp_path):
    root = tmp_path / "runs"
    root.mkdir()
    with locked(root), pytest.raises(BusyError, match="another loradar grid"):
        run_grid(cells, root, command=FINE)
    # A run that outlived its grid is left to itself, and is no failure.
    (run,) = run_grid(cells[:1], root, command=_program("sys.exit(3)"))
    assert run.status == "to do"


def test_the_command_of_a_run_is_one_that_python_finds(tmp_path):
    command = cell_command(tmp_path)
    assert command[0] == sys.executable
    assert command[-1] == str(tmp_path)
