from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from loradar.audio.quality import Chunk, Quality, measure_quality
from loradar.audio.timbre import together as joined
from loradar.detector.scorer import ClipScores
from loradar.evaluation.calibration import Calibration
from loradar.evaluation.verdicts import Thresholds
from loradar.inference.quality import Gate
from loradar.inference.verdict import decide, together

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
    found = decide(
        "a", _clip(5.0), calibration=CALIBRATION, gate=Gate(("silence",), "NOT_APPLICABLE")
    )
    assert found.verdict == "NOT_APPLICABLE"
    assert found.reasons == ("silence",)
    assert found.llr == pytest.approx(9.0)


def test_doubts_leave_uncertain_alone_and_cautions_any_verdict():
    doubt = decide("a", _clip(5.0), calibration=CALIBRATION, gate=Gate(("too_noisy",), "UNCERTAIN"))
    assert (doubt.verdict, doubt.reasons) == ("UNCERTAIN", ("too_noisy",))
    caution = decide("a", _clip(5.0), calibration=CALIBRATION, gate=Gate(("narrow_band",)))
    assert (caution.verdict, caution.reasons) == ("BONAFIDE", ("narrow_band",))


def test_without_calibration_the_answer_says_so():
    found = decide("a", _clip(5.0), calibration=None)
    assert found.llr == 5.0
    assert "uncalibrated" in found.reasons


def _long(scores, window=4.0):
    starts = tuple(window / 2 * i for i in range(len(scores)))
    return ClipScores(starts, tuple(scores), starts[-1] + window, window)


def test_a_timeline_from_change_to_change():
    assert decide("a", _clip(1.0), calibration=CALIBRATION).segments == ()
    found = decide("a", _long([4.0] * 40 + [-4.0] * 3 + [4.0] * 40), calibration=CALIBRATION)
    assert found.verdict == "SPOOF"
    assert [s.verdict for s in found.segments] == ["BONAFIDE", "SPOOF", "BONAFIDE"]
    edges = [(s.start, s.end) for s in found.segments]
    assert edges == [(0.0, 81.0), (81.0, 87.0), (87.0, 168.0)]
    assert found.segments[1].llr == pytest.approx(-9)
    assert len(found.windows) == 83
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


def test_windows_without_speech_do_not_count_and_leave_a_gap():
    flags = np.zeros(round(44 / 0.016), bool)
    flags[: round(20 / 0.016)] = True
    quality = Quality((Chunk(44 * 16_000, -20.0, flags, 0.0, None, 0.0, 0.0, joined([])),))
    found = decide("a", _long([3.0] * 10 + [-9.0] * 11), calibration=CALIBRATION, quality=quality)
    assert found.verdict == "BONAFIDE"
    assert found.score == 3.0
    assert found.segments[-1].end <= 22.0
    none = replace(quality.chunks[0], speech=np.zeros_like(flags))
    found = decide("a", _long([3.0] * 21), calibration=CALIBRATION, quality=Quality((none,)))
    assert found.score == 3.0


def _recording(foreign_from, tilt):
    """200 s of noise in bursts; 4 s of it of another colour."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal(16_000 * 200)
    beat = np.sin(2 * np.pi * 1.3 * np.arange(len(white)) / 16_000) > -0.3
    samples = lfilter([1], [1, -0.9], white)
    at = slice(16_000 * foreign_from, 16_000 * (foreign_from + 4))
    samples[at] = lfilter([1], [1, -tilt], white[at])
    return (0.05 * samples * (beat + 0.01)).astype(np.float32)


@pytest.mark.parametrize(("tilt", "found"), [(0.5, True), (0.9, False)])
def test_a_suspect_window_counts_where_it_sounds_as_if_from_elsewhere(tilt, found):
    heard = measure_quality(_recording(120, tilt))
    everywhere = np.full(len(heard.chunks[0].speech), True)
    chunks = tuple(replace(c, speech=np.resize(everywhere, len(c.speech))) for c in heard.chunks)
    scores = 1.6 + np.random.default_rng(1).standard_t(4, 99).clip(-3, 3) / 2
    scores[60] = -2.0  # 120 to 124 s
    clip = _long(scores.tolist())
    quality = replace(heard, chunks=chunks)
    verdict = decide("a", clip, calibration=CALIBRATION, quality=quality)
    assert (verdict.verdict == "SPOOF") == found
    assert decide("a", clip, calibration=CALIBRATION).verdict != "SPOOF"
    if found:
        (told,) = [s for s in verdict.segments if s.verdict == "SPOOF"]
        assert (told.start, told.end) == (pytest.approx(120, abs=2), pytest.approx(124, abs=2))


def test_a_call_is_spoofed_if_one_side_is():
    sides = [decide("c", _clip(x), calibration=CALIBRATION) for x in (5.0, -5.0)]
    found = together("c", sides)
    assert found.verdict == "SPOOF"
    assert found.llr == pytest.approx(-11 + np.log(2), abs=1e-3)
    assert [c["verdict"] for c in found.to_dict()["channels"]] == ["BONAFIDE", "SPOOF"]
    silent = decide("c", _clip(-5.0), calibration=None, gate=Gate(("silence",), "NOT_APPLICABLE"))
    found = together("c", [silent, sides[0]])
    assert found.verdict == "BONAFIDE"
    assert found.llr == pytest.approx(9.0)
    assert found.reasons[0] == "1:silence"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_an_error_not_a_verdict(score):
    found = decide("a", _clip(score, 1.0), calibration=CALIBRATION)
    assert found.verdict == "ERROR"
    assert found.p_spoof is None
    assert found.score is None


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
