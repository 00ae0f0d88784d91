import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.errors import InputError
from loradar.evaluation.routing import expert_shares, information, mutual_information


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 6), st.integers(1, 5))
def test_bounds_and_invariance(seed, clips, experts, kinds):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, kinds, clips)
    shares = expert_shares(rng.normal(size=(clips, experts)))
    assert shares.sum(1) == pytest.approx(np.ones(clips))
    bits = mutual_information(classes, shares)
    counts = np.bincount(classes) / clips
    limit = -sum(p * np.log2(p) for p in counts if p)
    assert -1e-12 <= bits <= min(limit, np.log2(experts)) + 1e-9
    order = rng.permutation(clips)
    names = np.array(["a", "b", "c", "d", "e"])[classes]
    other = mutual_information(names[order], shares[order][:, rng.permutation(experts)])
    assert other == pytest.approx(bits, abs=1e-9)


def test_by_hand():
    # Class a goes to expert 0 always, class b half the time.
    shares = [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]]
    joint = np.array([[0.5, 0], [0.25, 0.25]])
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    expected = sum(j * np.log2(j / p) for j, p in zip(joint.flat, product.flat, strict=True) if j)
    assert mutual_information(["a", "a", "b", "b"], shares) == pytest.approx(expected)


def test_information_beyond_chance_and_none():
    rng = np.random.default_rng(0)
    classes = np.repeat(["a", "b", "c"], 20)
    noise = rng.dirichlet(np.ones(4), 60)
    told = information(classes, 0.5 * noise + 0.5 * np.eye(4)[np.repeat([0, 1, 2], 20)])
    assert told.bits > told.chance_high > told.chance > 0
    assert told.p == pytest.approx(1 / 201)
    assert told.limit == pytest.approx(np.log2(3))
    nothing = information(classes, noise)
    assert nothing.bits < nothing.chance_high * 1.5
    assert nothing.p > 0.01
    assert information(classes, noise) == nothing
    assert set(nothing.to_dict()) == {"bits", "chance", "chance_high", "p", "limit"}


def test_one_class_tells_nothing():
    with pytest.raises(InputError, match="two classes"):
        information(["a", "a"], [[1, 0], [0, 1]])
