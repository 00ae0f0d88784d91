import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from loradar.evaluation.exact import poisson_interval, share_interval
from loradar.evaluation.timelines import (
    alarm_report,
    called,
    false_alarms,
    hourly,
    measure_block,
    placed,
    quantiles,
    share,
    splice_report,
)

PARTS = ["path", "start", "end", "score", "verdict"]
RECORDINGS = ["name", "kind", "splice", "length", "background", "seconds", "verdict"]


@given(st.integers(0, 200), st.floats(0.1, 50))
def test_the_poisson_interval_holds_its_level(events, hours):
    low, high = poisson_interval(events, hours)
    assert 0 <= low <= events / hours < high
    assert poisson.cdf(events, high * hours) == pytest.approx(0.025)
    if events:
        assert poisson.sf(events - 1, low * hours) == pytest.approx(0.025)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_of_a_share_holds_its_level(count, more):
    total = count + more + 1
    low, high = share_interval(count, total)
    assert 0 <= low <= count / total <= high <= 1
    assert binom.cdf(count, total, high) == pytest.approx(0.025, abs=1e-6)
    assert low == 0 or binom.sf(count - 1, total, low) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize(("events", "hours"), [(-1, 1.0), (0, 0.0), (2, float("nan"))])
def test_no_rate_of_nothing(events, hours):
    with pytest.raises(ValueError, match="events"):
        poisson_interval(events, hours)
    with pytest.raises(ValueError, match="is no share"):
        share_interval(events + 3, 1)


@pytest.fixture
def tables():
    """Two spoofed recordings of 60 s, one found and one not; two human ones, one flagged."""
    recordings = pd.DataFrame(
        [
            ("a", "spoof", "hard", "4", "one voice", 64.0, "SPOOF"),
            ("b", "spoof", "hard", "4", "one voice", 64.0, "UNCERTAIN"),
            ("h", "other", "hard", "4", "one voice", 64.0, "SPOOF"),
            ("k", "same", "hard", "4", "one voice", 64.0, "BONAFIDE"),
            ("c", "spoof", "turn", "4", "one voice", 64.0, "SPOOF"),
            ("m", "none", "long", "4", "one voice", 600.0, "NOT_APPLICABLE"),
            ("n", "spoof", "long", "4", "one voice", 600.0, "SPOOF"),
        ],
        columns=RECORDINGS,
    ).assign(llr=0.0, alone=1, alone_spoof=[1, 0, 0, 0, 1, 0, 1])
    segments = pd.DataFrame(
        [
            ("a", 0.0, 29.0, 4.0, "BONAFIDE"),
            ("a", 29.0, 31.0, -5.0, "SPOOF"),
            ("a", 31.0, 34.5, -3.0, "SPOOF"),
            ("a", 34.5, 64.0, 4.0, "BONAFIDE"),
            ("b", 0.0, 64.0, 2.0, "BONAFIDE"),
            ("h", 0.0, 60.0, 3.0, "BONAFIDE"),
            ("h", 60.0, 64.0, -4.0, "SPOOF"),
            ("k", 0.0, 64.0, 3.0, "BONAFIDE"),
            ("c#1", 0.0, 64.0, 3.0, "BONAFIDE"),
            ("c#2", 0.0, 30.0, 3.0, "BONAFIDE"),
            ("c#2", 30.0, 34.0, -3.0, "SPOOF"),
            ("m", 0.0, 600.0, -9.0, "SPOOF"),
            ("n", 0.0, 600.0, -1.0, "UNCERTAIN"),
        ],
        columns=PARTS,
    )
    truth = pd.DataFrame(
        [
            ("a", 30.0, 34.0, True),
            ("b", 30.0, 34.0, True),
            ("h", 30.0, 34.0, False),
            ("k", 30.0, 34.0, False),
            ("c#2", 30.0, 34.0, True),
            ("n", 300.0, 304.0, True),
        ],
        columns=["path", "start", "end", "spoof"],
    )
    return {"recordings": recordings, "segments": segments, "windows": segments, "truth": truth}


def test_found_placed_and_false(tables):
    report = splice_report(tables)
    hard = report["by_splice"]["hard"]
    assert (hard["detected"]["count"], hard["detected"]["of"]) == (1, 2)
    assert hard["uncertain"]["share"] == hard["alone"]["share"] == 0.5
    assert (hard["stretches"]["count"], hard["stretches"]["of"]) == (1, 2)
    assert hard["error_s"] == pytest.approx({"count": 2, "median": 0.75, "p90": 0.95})
    # 5.5 s are called spoofed, 4 of them are.
    assert hard["false_seconds"] == pytest.approx(1 - 4 / 5.5)
    assert hard["human"]["other"]["flagged"]["share"] == 1
    assert hard["human"]["same"]["flagged"]["share"] == 0
    # Below 2 lie half of the spoofed seconds and 5.5 of 248 others; up to 2 all, and 60 more.
    assert hard["timeline_eer"]["time"] == pytest.approx(0.178, abs=0.002)
    turn = report["by_splice"]["turn"]
    assert turn["stretches"]["share"] == 1 and turn["error_s"]["median"] == 0
    assert set(report["by_length"]) == {"4"}
    assert report["by_length"]["4"]["recordings"] == 2
    long = report["long"]
    assert long["detected"]["share"] == 1 and long["stretches"]["share"] == 0
    assert long["error_s"] == {"count": 0, "median": None, "p90": None}
    nothing = long["human"]["none"]
    assert nothing["unanswered"]["share"] == 1 and nothing["flagged"]["share"] is None
    assert nothing["stretches"]["count"] == 0 and nothing["recordings"]["an_hour"] is None


def test_a_set_without_long_recordings_has_none(tables):
    tables["recordings"] = tables["recordings"][:4]
    assert splice_report(tables)["long"] is None


def test_alarms_are_told_an_hour_by_corpus_and_voice(tables):
    recordings = tables["recordings"].assign(
        kind="human", corpus=["x", "x", "x", "x", "x", "", ""], voice=list("aabbccc")
    )
    report = alarm_report({**tables, "recordings": recordings})
    assert report["all"]["recordings"]["count"] == 4
    assert report["all"]["recordings"]["hours"] == pytest.approx((5 * 64 + 600) / 3600)
    assert report["all"]["stretches"]["count"] == 3
    assert set(report["by_corpus"]) == {"x"}
    assert report["voices"] == share(3, 3)


def test_calls_join_where_they_touch_and_only_there():
    rows = [
        ("a", 2.0, 3.0, -1.0, "SPOOF"),
        ("a", 0.0, 2.0, -1.0, "SPOOF"),
        ("a", 3.5, 4.0, -1.0, "SPOOF"),
        ("b", 4.0, 5.0, -1.0, "SPOOF"),
        ("b", 5.0, 6.0, 1.0, "UNCERTAIN"),
    ]
    calls = called(pd.DataFrame(rows, columns=PARTS))
    assert calls.to_numpy().tolist() == [["a", 0, 3], ["a", 3.5, 4], ["b", 4, 5]]
    assert placed(("a", 2.5, 3.6), calls) == pytest.approx((2.5, 0.4))
    assert placed(("a", 3.0, 3.5), calls) is None
    assert called(pd.DataFrame([], columns=PARTS)).empty


def test_nothing_called_and_nothing_heard(tables):
    tables["segments"] = tables["segments"].assign(verdict="BONAFIDE")
    block = measure_block(tables)
    assert block["false_seconds"] is None and block["stretches"]["count"] == 0
    assert false_alarms({k: v[:0] for k, v in tables.items()})["flagged"]["share"] is None
    assert hourly(0, 0.0)["ci"] is None
    assert quantiles(np.zeros(3))["median"] == 0
