from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.audio.augmentation import AugmentationConfig
from loradar.corpora.manifest import Manifest, read_manifest
from loradar.errors import InputError
from loradar.training.dataset import ClipStore
from loradar.training.pretrain.data import PairedClips, leave_out, read_sets, thinned
from loradar.training.pretrain.pairs import NONE, PairPlan, attack_classes
from loradar.training.pretrain.recipe import PretrainData


def table(copies, *, pairs=True, corpus="c"):
    """One real clip a source; ``copies`` maps a source to its attacks."""
    rows = []
    for source, attacks in copies.items():
        for attack in ("", *attacks):
            rows.append(
                {
                    "path": f"{corpus}/{source}{attack}",
                    "label": "spoof" if attack else "bonafide",
                    "attack": attack,
                    "corpus": corpus,
                    **({"pair_id": source} if pairs else {}),
                }
            )
    return pd.DataFrame(rows)


def drawn(plan, count):
    return [plan.draw(position).row for position in range(count)]


def test_each_copy_stands_behind_its_source_and_attacks_come_evenly():
    rows = table({"a": ["x", "y"], "b": ["x"], "c": ["x"], "d": ["x", "z"]})
    plan = PairPlan([rows], [1.0], seed=3)
    assert plan.attacks == ("x", "y", "z")
    found = drawn(plan, 1_200)
    for real, spoof in zip(found[::2], found[1::2], strict=True):
        assert plan.classes[real] == NONE
        assert rows["pair_id"][real] == rows["pair_id"][spoof]
    counts = Counter(rows["attack"][row] for row in found[1::2])
    # x has four clips, y and z one each; a third of the draws all the same.
    assert all(150 < counts[name] < 250 for name in "xyz")


@given(position=st.integers(0, 10**9), seed=st.integers(0, 100))
def test_draws_are_a_function_of_seed_and_position(position, seed):
    rows = table({"a": ["x", "y"], "b": ["x", "y"]})
    one, two = (PairPlan([rows], [1.0], seed=seed).draw(position) for _ in range(2))
    assert one.row == two.row
    assert one.crop.random() == two.crop.random()
    assert one.augment.random() == two.augment.random()


@pytest.mark.parametrize("same", [False, True])
def test_a_pair_is_cropped_alike_and_augmented_apart_unless_asked(same):
    plan = PairPlan([table({"a": ["x"]})], [1.0], seed=0, same_augmentation=same)
    real, copy, later = (plan.draw(position) for position in (4, 5, 6))
    places = [draw.crop.random() for draw in (real, copy, later)]
    assert places[0] == places[1] != places[2]
    effects = [draw.augment.random() for draw in (real, copy, later)]
    assert (effects[0] == effects[1]) == same
    assert effects[2] not in effects[:2]
    assert not set(places) & set(effects)


def test_tables_are_drawn_from_by_their_shares_and_keep_their_pairs_apart():
    # Both tables know a source "a": a copy belongs to that of its own table.
    first, second = table({"a": ["x"]}), table({"a": ["y"]}, corpus="d")
    plan = PairPlan([first, second], [0.75, 0.25], seed=0)
    found = drawn(plan, 800)
    assert {(found[n] < 2) == (found[n + 1] < 2) for n in range(0, 800, 2)} == {True}
    assert 0.7 < np.mean(np.array(found) < 2) < 0.8


def test_a_spoof_without_source_stands_beside_a_real_clip_of_its_corpus():
    one = table({"a": ["x"], "b": []}, pairs=False)
    two = table({"c": ["x"]}, pairs=False, corpus="d")
    plan = PairPlan([pd.concat([one, two], ignore_index=True)], [1.0], seed=0)
    found = drawn(plan, 200)
    pairs = set(zip(found[::2], found[1::2], strict=True))
    assert pairs == {(0, 1), (2, 1), (3, 4)}


def test_real_speech_alone_gives_real_draws():
    plan = PairPlan([table({"a": [], "b": []})], [1.0], seed=0)
    assert plan.attacks == ()
    assert set(drawn(plan, 40)) == {0, 1}


def test_what_cannot_be_drawn_from():
    rows = table({"a": ["x"]})
    with pytest.raises(InputError, match="no bona fide clip"):
        PairPlan([rows, rows[rows["label"] == "spoof"].reset_index()], [0.5, 0.5], seed=0)
    rows.loc[0, "label"] = ""
    with pytest.raises(InputError, match="no label"):
        PairPlan([rows], [1.0], seed=0)


def test_attacks_that_are_not_known_have_a_class_of_their_own():
    rows = table({"a": ["x", "y", "z"]})
    assert attack_classes(rows, ("x", "z")).tolist() == [NONE, 1, 3, 2]


def test_families_are_left_out_of_every_manifest_that_holds_them():
    with_family = table({"a": ["x", "y"]}).assign(family=["", "good", "bad"])
    without = table({"b": ["x", "y"]}, corpus="d")
    parts = [Manifest(with_family), Manifest(without)]
    kept = leave_out(parts, {"family": ["bad"], "attack": "x"})
    assert [part.table["attack"].tolist() for part in kept] == [[""], ["", "y"]]
    with pytest.raises(InputError, match=r"no training clip has family = worse.*bad, good"):
        leave_out(parts, {"family": ["bad", "worse"]})


def test_leaving_out_by_two_columns_may_meet_the_same_rows():
    part = Manifest(table({"a": ["x", "y"]}).assign(family=["", "f", "g"]))
    kept = leave_out([part], {"family": ["f"], "attack": ["x"]})
    assert kept[0].table["attack"].tolist() == ["", "y"]


def test_the_dev_set_is_thinned_evenly():
    rows = table({str(n): ["x", "y"] if n < 10 else ["x"] for n in range(60)})
    few = thinned(rows, 30, 0)
    counts = Counter(few["attack"])
    assert counts == {"": 10, "x": 10, "y": 10}
    assert few["path"].tolist() == [p for p in rows["path"] if p in set(few["path"])]
    assert thinned(rows, 30, 0).equals(few)
    assert not thinned(rows, 30, 1).equals(few)
    assert len(thinned(rows, 10_000, 0)) == len(rows)
    # No spoofs: real clips fill the room.
    assert len(thinned(table({str(n): [] for n in range(60)}), 30, 0)) == 30


def test_sets_keep_to_their_splits_and_copies_keep_time(paired_corpus):
    config = PretrainData(path=str(paired_corpus), without={"family": ["high_family"]})
    sets = read_sets(config, 0)
    assert len(sets.training) == 24
    assert set(sets.training.table["attack"]) == {"", "low"}
    assert set(sets.dev.table["attack"]) == {"", "low", "high"}
    plan = PairPlan(sets.parts, sets.shares, seed=0)
    store = ClipStore(sets.paths, preload=True)
    clips = PairedClips(store, plan, AugmentationConfig(), window=3_000, length=8)
    assert len(clips) == 8
    time = None
    for position in (0, 2):
        real, copy = (clips[position + member] for member in range(2))
        assert (int(real["labels"]), int(copy["labels"])) == (0, 1)
        # Equal noise: what is left of the difference is the tone.
        tone = (copy["waveforms"] - real["waveforms"]).numpy()
        spectrum = np.abs(np.fft.rfft(tone))
        assert spectrum.argmax() == round(1_000 * 3_000 / 16_000)
        assert abs(tone).max() < 0.06
        time = time or real["waveforms"].shape
        assert time == copy["waveforms"].shape == (3_000,)


def test_a_copy_knows_its_source_and_nothing_else_does():
    alone = table({"b": ["x"]}, pairs=False)
    rows = pd.concat([table({"a": ["x"]}), alone], ignore_index=True).fillna("")
    plan = PairPlan([rows], [1.0], seed=0)
    sources = {(draw.row, draw.source) for draw in map(plan.draw, range(200))}
    assert sources == {(0, -1), (1, 0), (2, -1), (3, -1)}


def test_grafted_copies_keep_a_part_and_real_clips_stay(paired_corpus):
    sets = read_sets(PretrainData(path=str(paired_corpus)), 0)
    plan = PairPlan(sets.parts, sets.shares, seed=0)
    store = ClipStore(sets.paths, preload=True)
    whole, some, all_of_them = (
        PairedClips(store, plan, AugmentationConfig(), window=3_000, length=60, graft=share)
        for share in (0.0, 0.5, 1.0)
    )

    def changed(clips, position):
        return not np.allclose(clips[position]["waveforms"], whole[position]["waveforms"])

    assert not any(changed(all_of_them, position) for position in range(0, 60, 2))
    assert all(changed(all_of_them, position) for position in range(1, 60, 2))
    assert 5 < sum(changed(some, position) for position in range(1, 60, 2)) < 25
    assert int(all_of_them[1]["labels"]) == int(whole[1]["labels"]) > 0
    given = {"window": 3_000, "length": 60, "graft": 1.0, "graft_depth": (0.01, 0.02)}
    faint = PairedClips(store, plan, AugmentationConfig(), **given)
    for position in range(1, 60, 2):
        assert changed(faint, position)
        assert not np.allclose(
            faint[position]["waveforms"], all_of_them[position]["waveforms"], atol=1e-3
        )


def test_a_clip_may_not_be_in_both_sets(paired_corpus):
    more = [{"path": str(paired_corpus), "share": 0.5, "train": {"split": "dev"}}]
    with pytest.raises(InputError, match="both the training and the dev set"):
        read_sets(PretrainData(path=str(paired_corpus), also=more), 0)


def test_shares_follow_the_recipe(paired_corpus, tmp_path):
    other = tmp_path / "other.csv"
    rows = read_manifest(paired_corpus).table
    rows[rows["split"] == "train"].iloc[:3].to_csv(other, index=False)
    sets = read_sets(
        PretrainData(
            path=str(paired_corpus),
            train={"split": "train", "pair_id": [str(n) for n in range(1, 12)]},
            also=[{"path": str(other), "share": 0.3}],
        ),
        0,
    )
    assert sets.shares == [0.7, 0.3]
    assert [len(part) for part in sets.parts] == [33, 3]
