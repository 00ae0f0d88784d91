import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.training.draws import DrawPlan
from loradar.training.recipe import DataConfig
from loradar.training.sharding import ShardStream

SHARDS = [f"s{index // 10}" for index in range(60)]


def _stream(buffer=12, seed=0):
    return ShardStream(np.arange(60) + 5, SHARDS, buffer=buffer, seed=(seed,))


@given(st.integers(1, 100), st.integers(0, 3))
def test_each_pass_takes_every_clip_once(buffer, seed):
    stream = _stream(buffer, seed)
    for epoch in range(2):
        turns = [stream.row(epoch * 60 + index) for index in range(60)]
        assert sorted(turns) == list(range(5, 65))


def test_the_turn_alone_decides():
    stream, again = _stream(), _stream()
    forth = [stream.row(turn) for turn in range(150)]
    assert [again.row(turn) for turn in reversed(range(150))] == forth[::-1]
    assert forth[:60] != forth[60:120] and forth[:60] != list(range(5, 65))
    assert forth != [_stream(seed=1).row(turn) for turn in range(150)]


def test_it_stays_within_few_shards():
    stream = _stream(buffer=12)
    for start in range(0, 60, 12):
        shards = {SHARDS[stream.row(turn) - 5] for turn in range(start, min(60, start + 12))}
        assert len(shards) <= 4


def _table():
    labels = ["bonafide", "spoof", "spoof"] * 20
    paths = [f"/c/{name}.tar/{index}.wav" for index, name in enumerate(SHARDS)]
    return pd.DataFrame({"path": paths, "label": labels, "corpus": "c"})


def test_a_streamed_plan_balances_the_classes():
    plan = DrawPlan(_table(), balance="class", seed=3, buffer=8)
    rows = [plan.draw(position)[0] for position in range(80)]
    assert plan.labels[rows].mean() == 0.5
    assert sorted(rows[1::2][:20]) == list(range(0, 60, 3))
    other = DrawPlan(_table(), balance="class", seed=3, buffer=8)
    assert [other.draw(position)[0] for position in range(40, 80)] == rows[40:]


def test_a_streamed_plan_without_balance():
    plan = DrawPlan(_table(), balance="none", seed=3, buffer=8)
    assert sorted(plan.draw(position)[0] for position in range(60)) == list(range(60))


def test_recipes_refuse_what_cannot_be_streamed():
    with pytest.raises(ValueError, match="buffer reads in order"):
        DataConfig(path="x", balance="corpus", buffer=100)
