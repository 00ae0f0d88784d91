from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loradar.detector.scorer import ClipScores
from loradar.evaluation.calibration import Calibration
from loradar.evaluation.verdicts import Thresholds
from loradar.inference.quality import reasons_against
from loradar.inference.verdict import decide

CALIBRATION = Calibration(slope=2.0, intercept=-1.0, p_spoof=0.5, bonafide=10, spoof=10)


def _clip(*scores: float) -> ClipScores:
    return ClipScores(tuple(2.0 * i for i in range(len(scores))), scores, 4.0 + len(scores), 4.0)


@given(st.floats(-30, 30), st.floats(0.01, 0.99))
def test_higher_scores_are_more_bona_fide(score, prior):
    one = decide("a", _clip(score), calibration=CALIBRATION, prior=prior)
    two = decide("a", _clip(score + 1), calibration=CALIBRATION, prior=prior)
    assert two.p_spoof <= one.p_spoof
    assert one.llr == pytest.approx(2 * score - 1)
    odds = np.log(prior / (1 - prior)) - one.llr
    assert one.p_spoof == pytest.approx(1 / (1 + np.exp(-odds)))


@pytest.mark.parametrize(
    ("llr", "verdict"), [(3.0, "BONAFIDE"), (-3.0, "SPOOF"), (0.5, "UNCERTAIN"), (0, "UNCERTAIN")]
)
def test_the_verdict_needs_evidence_of_two_to_one(llr, verdict):
    found = decide("a", _clip((llr + 1) / 2), calibration=CALIBRATION)
    assert found.verdict == verdict
    assert ("weak_evidence" in found.reasons) == (verdict == "UNCERTAIN")


def test_a_reason_against_rules_out_a_verdict_but_not_the_numbers():
    found = decide("a", _clip(5.0), calibration=CALIBRATION, reasons=["silence"])
    assert found.verdict == "NOT_APPLICABLE"
    assert found.reasons == ("silence",)
    assert found.llr == pytest.approx(9.0)


def test_without_calibration_the_answer_says_so():
    found = decide("a", _clip(5.0), calibration=None)
    assert found.llr == 5.0
    assert "uncalibrated" in found.reasons


def test_a_timeline_for_clips_longer_than_a_window():
    assert decide("a", _clip(1.0), calibration=CALIBRATION).segments == ()
    found = decide("a", _clip(5.0, -5.0), calibration=CALIBRATION)
    assert [(s.start, s.end) for s in found.segments] == [(0.0, 4.0), (2.0, 6.0)]
    assert found.segments[0].p_spoof < 0.01 < 0.99 < found.segments[1].p_spoof
    assert found.score == 0.0
    assert set(found.to_dict()) == {
        "path",
        "verdict",
        "p_spoof",
        "llr",
        "score",
        "reasons",
        "segments",
        "experts",
        "model",
        "seconds",
    }


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_an_error_not_a_verdict(score):
    found = decide("a", _clip(score, 1.0), calibration=CALIBRATION)
    assert found.verdict == "ERROR"
    assert found.p_spoof is None
    assert found.score is None


def test_quality_reasons():
    rng = np.random.default_rng(0)
    speech = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    assert reasons_against(speech) == []
    assert reasons_against(speech[:4_000]) == ["too_short"]
    assert reasons_against(np.zeros(16_000, np.float32)) == ["silence"]
    assert reasons_against(np.full(16_000, 0.3, np.float32)) == ["silence"]  # DC alone
    assert reasons_against(1e-4 * speech) == ["silence"]
    assert set(reasons_against(np.zeros(0, np.float32))) == {"too_short", "silence"}
    burst = np.zeros(160_000, np.float32)
    burst[80_000:88_000] = speech[:8_000]
    assert reasons_against(burst) == []


def test_fitted_thresholds_rule_and_move_with_the_prior():
    calibration = replace(CALIBRATION, thresholds=Thresholds(2.0, -1.0, 0.9))

    def name(llr, prior=0.5):
        return decide("a", _clip((llr + 1) / 2), calibration=calibration, prior=prior).verdict

    assert [name(x) for x in (2.5, 1.5, -0.5, -1.5)] == [
        "BONAFIDE",
        "UNCERTAIN",
        "UNCERTAIN",
        "SPOOF",
    ]
    # Spoof is 9 times as likely beforehand: the evidence of 2.5 is worth 2.5 - 2.2.
    assert name(2.5, prior=0.9) == "UNCERTAIN"
    assert name(-0.5, prior=0.9) == "SPOOF"
    assert name(1.5, prior=0.1) == "BONAFIDE"
