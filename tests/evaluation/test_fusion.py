import json

import numpy as np
import pytest

from loradar.errors import CheckpointError, InputError
from loradar.evaluation.det import eer
from loradar.evaluation.fusion import Fusion, cross_fused, fit_fusion


def _systems(size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Two systems with independent errors (llr 2x each), and one that knows nothing."""
    rng = np.random.default_rng(0)
    real = np.arange(size) % 4 == 0
    noise = rng.normal(size=(size, 3))
    scores = noise + np.where(real, 1.0, -1.0)[:, None] * [1, 1, 0]
    return scores * [1, 10, 3] + [0, 50, 0], real


def test_weights_are_those_of_the_llr_and_fusion_beats_each_system() -> None:
    scores, real = _systems()
    fusion = fit_fusion(scores, real, ["a", "b", "noise"])
    np.testing.assert_allclose(fusion.weights, [2, 0.2, 0], atol=0.15)
    assert fusion.intercept + 50 * fusion.weights[1] == pytest.approx(0, abs=0.15)
    assert (fusion.bonafide, fusion.spoof) == (1000, 3000)
    first = np.arange(real.size) % 8 < 4
    llr = cross_fused(scores, real, ["a", "b", "noise"], first)
    best = min(eer(column[real], column[~real]) for column in scores.T)
    assert eer(llr[real], llr[~real]) < 0.7 * best
    half = fit_fusion(scores[first], real[first], ["a", "b", "noise"])
    np.testing.assert_array_equal(llr[~first], half.llr(scores[~first]))


def test_a_system_the_wrong_way_round_gets_nothing() -> None:
    scores, real = _systems(800)
    fusion = fit_fusion(np.stack((scores[:, 0], -scores[:, 1]), axis=1), real, ["a", "b"])
    assert fusion.weights[1] == 0


def test_round_trip_and_refusals() -> None:
    scores, real = _systems(100)
    fusion = fit_fusion(scores, real, ["a", "b", "c"])
    assert Fusion.from_dict(json.loads(json.dumps(fusion.to_dict()))) == fusion
    for change in ({"weights": [1.0]}, {"weights": [-1.0, 0, 0]}, {"x": 1}, {"intercept": "a"}):
        with pytest.raises(CheckpointError, match="fusion"):
            Fusion.from_dict(fusion.to_dict() | change)
    with pytest.raises(InputError, match="shape"):
        fit_fusion(scores, real, ["a"])
    scores[0, 1] = np.nan
    with pytest.raises(InputError, match="bona fide b scores are not finite"):
        fit_fusion(scores, real, ["a", "b", "c"])
