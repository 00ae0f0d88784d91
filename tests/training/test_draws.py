import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import InputError
from loradar.training.draws import BONAFIDE, SPOOF, DrawPlan


def _table(counts: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Build clips from corpus -> (bona fide, spoof)."""
    rows = []
    for corpus, (bonafide, spoof) in counts.items():
        rows += [{"label": "bonafide", "corpus": corpus}] * bonafide
        rows += [{"label": "spoof", "corpus": corpus}] * spoof
    return pd.DataFrame(rows)


def _draws(plan: DrawPlan, count: int) -> np.ndarray:
    return np.array([plan.draw(i)[0] for i in range(count)])


def test_unbalanced_draws_show_every_clip_once_an_epoch():
    plan = DrawPlan(_table({"a": (5, 9)}), balance="none", seed=3)
    first, second = _draws(plan, 28).reshape(2, 14)
    assert sorted(first) == sorted(second) == list(range(14))
    assert list(first) != list(second)


@given(st.integers(0, 5_000), st.integers(0, 100))
def test_a_draw_depends_on_seed_and_position_alone(position, seed):
    table = _table({"a": (4, 6), "b": (3, 0)})
    for balance in ("none", "class", "corpus"):
        one = DrawPlan(table, balance=balance, seed=seed)
        two = DrawPlan(table, balance=balance, seed=seed)
        _ = [two.draw(i) for i in range(7)]
        row, rng = one.draw(position)
        again, rng_again = two.draw(position)
        assert row == again
        assert rng.integers(1 << 30) == rng_again.integers(1 << 30)


@pytest.mark.parametrize("balance", ["class", "corpus"])
def test_any_two_neighbours_hold_both_classes(balance):
    table = _table({"a": (4, 60), "b": (30, 0)})
    plan = DrawPlan(table, balance=balance)
    labels = plan.labels[_draws(plan, 200)]
    assert (labels[0::2] != labels[1::2]).all()


def test_corpus_balance_makes_the_corpus_uninformative_where_both_classes_are():
    table = _table({"a": (10, 90), "b": (80, 20), "alone": (50, 0)})
    plan = DrawPlan(table, balance="corpus", seed=1)
    rows = _draws(plan, 20_000)
    corpus, label = table["corpus"].to_numpy()[rows], plan.labels[rows]
    ratio = {
        value: (corpus[label == value] == "a").sum() / (corpus[label == value] == "b").sum()
        for value in (SPOOF, BONAFIDE)
    }
    assert ratio[SPOOF] == pytest.approx(1.0, abs=0.08)
    assert ratio[BONAFIDE] == pytest.approx(1.0, abs=0.08)
    share_alone = (corpus[label == BONAFIDE] == "alone").mean()
    assert share_alone == pytest.approx(50 / 140, abs=0.02)


def test_corpora_of_one_class_can_be_left_out():
    table = _table({"a": (10, 10), "alone": (50, 0)})
    plan = DrawPlan(table, balance="corpus", single_class="drop")
    assert set(table["corpus"].to_numpy()[_draws(plan, 500)]) == {"a"}


def test_clips_without_a_label_do_not_train_as_spoof():
    table = _table({"a": (3, 3)})
    table.loc[4, "label"] = ""
    with pytest.raises(InputError, match="1 training clips have no label"):
        DrawPlan(table, balance="class")


def test_what_cannot_be_balanced_is_refused():
    with pytest.raises(InputError, match="no spoof clip"):
        DrawPlan(_table({"a": (3, 0)}), balance="class")
    with pytest.raises(InputError, match="no training corpus holds both"):
        DrawPlan(_table({"a": (3, 0), "b": (0, 3)}), balance="corpus", single_class="drop")
