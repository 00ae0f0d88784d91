import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import InputError
from loradar.training.draws import BONAFIDE, SPOOF, DrawPlan, MixedPlan, plan_draws
from loradar.training.recipe import DataConfig


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


def _mixed(seed: int = 0) -> MixedPlan:
    tables = [_table({"a": (4, 6)}), _table({"b": (20, 200)}), _table({"c": (3, 3)})]
    config = DataConfig(
        path="a.csv",
        balance="corpus",
        also=[{"path": "b.csv", "share": 0.3}, {"path": "c.csv", "share": 0.1}],
    )
    plan = plan_draws(tables, config, seed)
    assert isinstance(plan, MixedPlan)
    return plan


def test_further_data_takes_its_share_whatever_its_size():
    plan = _mixed()
    assert plan.clips == 10 + 220 + 6
    rows = _draws(plan, 6_000)
    shares = [((rows >= low) & (rows < high)).mean() for low, high in ((0, 10), (10, 230))]
    assert shares == pytest.approx([0.6, 0.3], abs=0.03)
    assert set(rows) >= {*range(10), *range(230, 236)}  # no set is lost, no row beyond the last
    assert rows.max() == 235
    labels = plan.labels[rows]
    assert (labels[0::2] != labels[1::2]).all()
    # Each row has the label it has in its own table.
    assert plan.labels[:10].tolist() == [1] * 4 + [0] * 6
    assert plan.labels[230:].tolist() == [1] * 3 + [0] * 3


@given(st.integers(0, 5_000), st.integers(0, 100))
def test_a_mixed_draw_depends_on_seed_and_position_alone(position, seed):
    one, two = _mixed(seed), _mixed(seed)
    _ = [two.draw(i) for i in range(5)]
    (row, rng), (again, rng_again) = one.draw(position), two.draw(position)
    assert row == again
    assert rng.integers(1 << 30) == rng_again.integers(1 << 30)


def test_one_set_alone_is_drawn_as_ever():
    table = _table({"a": (4, 6)})
    plan = plan_draws([table], DataConfig(path="a.csv", balance="class"), 7)
    assert isinstance(plan, DrawPlan)
    assert (_draws(plan, 50) == _draws(DrawPlan(table, balance="class", seed=7), 50)).all()


def _pairs(clips: int = 6, copies: int = 3) -> pd.DataFrame:
    rows = [{"path": f"{c}.wav", "label": "bonafide", "pair_id": f"c{c}"} for c in range(clips)]
    for copy in range(copies):
        rows += [
            {"path": f"{c}_{copy}.wav", "label": "spoof", "pair_id": f"c{c}"} for c in range(clips)
        ]
    return pd.DataFrame(rows).assign(corpus="real")


@given(st.integers(0, 5_000), st.integers(0, 100))
def test_a_copy_comes_with_its_source_and_the_same_randomness(turn, seed):
    table = _pairs()
    alone = DrawPlan(table, balance="pair", seed=seed)
    for plan in (alone, MixedPlan([alone, alone], [0.7, 0.3], seed=seed)):
        (spoof, its_rng), (real, real_rng) = plan.draw(2 * turn), plan.draw(2 * turn + 1)
        assert plan.labels[[spoof, real]].tolist() == [SPOOF, BONAFIDE]
        rows = table.iloc[[spoof % len(table), real % len(table)]]
        assert rows["pair_id"].nunique() == 1
        assert its_rng.integers(1 << 30) == real_rng.integers(1 << 30)


@given(st.integers(0, 1_000), st.integers(0, 100))
def test_pairs_stay_together_beside_a_set_that_holds_none(turn, seed):
    config = DataConfig(
        path="a.csv",
        balance="corpus",
        also=({"path": "b.csv", "share": 0.5, "balance": "pair"},),
    )
    labelled, copies = _table({"a": (4, 6)}), _pairs()
    plan = plan_draws([labelled, copies], config, seed)
    spoof, real = (plan.draw(2 * turn + place)[0] for place in (0, 1))
    assert plan.labels[[spoof, real]].tolist() == [SPOOF, BONAFIDE]
    assert (spoof < len(labelled)) == (real < len(labelled))
    if spoof >= len(labelled):
        pairs = copies["pair_id"].to_numpy()
        assert pairs[spoof - len(labelled)] == pairs[real - len(labelled)]


def test_pairs_reach_every_copy_and_every_source():
    rows = _draws(DrawPlan(_pairs(), balance="pair"), 1_000)
    assert set(rows) == set(range(24))


def test_a_copy_without_its_source_is_named():
    table = _pairs().drop(index=2)
    with pytest.raises(InputError, match=r"2_0.wav \(pair_id c2\) has no bona fide clip"):
        DrawPlan(table, balance="pair")
    with pytest.raises(InputError, match="no column pair_id"):
        DrawPlan(table.drop(columns="pair_id"), balance="pair")


@pytest.mark.parametrize("balance", ["class", "corpus"])
def test_even_draws_each_attack_equally_often(balance):
    table = _table({"a": (5, 12), "b": (5, 30)})
    spoof = (table["label"] == "spoof").to_numpy()
    table["attack"] = ""
    table.loc[spoof, "attack"] = ["x"] * 2 + ["y"] * 10 + ["x"] * 20 + ["y"] * 10
    plan = DrawPlan(table, balance=balance, even="attack", seed=4)
    rows = _draws(plan, 20_000)
    fake = rows[plan.labels[rows] == SPOOF]
    assert len(fake) == 10_000
    corpora = [["a"], ["b"]] if balance == "corpus" else [["a", "b"]]
    for names in corpora:
        mine = table["attack"].to_numpy()[fake[np.isin(table["corpus"].to_numpy()[fake], names)]]
        assert np.mean(mine == "x") == pytest.approx(0.5, abs=0.02)
    # Bona fide clips are drawn as without.
    plain = DrawPlan(table, balance=balance, seed=4)
    real = np.flatnonzero(plan.labels[rows] == BONAFIDE)
    assert np.array_equal(_draws(plain, 20_000)[real], rows[real])


def test_even_wants_its_column_in_the_first_source_alone():
    table = _table({"a": (5, 12)})
    config = {"path": "x", "even": "group", "also": [{"path": "y", "share": 0.5}]}
    data = DataConfig.model_validate(config)
    with pytest.raises(InputError, match="even is group: the clips"):
        plan_draws([table, table], data, 0)
    plan = plan_draws([table.assign(group="g"), table], data, 0)
    assert {plan.draw(n)[0] // len(table) for n in range(50)} == {0, 1}
    with pytest.raises(ValueError, match="even needs draws"):
        DataConfig.model_validate({"path": "x", "even": "group", "balance": "none"})
    assert "even" not in DataConfig(path="x").model_dump()
