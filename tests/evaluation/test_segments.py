import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loradar.errors import InputError
from loradar.evaluation.det import WeightedEer, eer_tie_safe
from loradar.evaluation.segments import localisation, read_spans

# Hundredths of a second, so that a grid of 10 ms can check every rate.
SPAN = st.tuples(st.integers(0, 40), st.integers(1, 20))


def _table(spans: list[tuple], *scores: float) -> pd.DataFrame:
    table = pd.DataFrame(
        [(path, start / 100, (start + length) / 100) for path, start, length in spans],
        columns=["path", "start", "end"],
    )
    return table.assign(score=list(scores)) if scores else table


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), SPAN, st.integers(-3, 3)), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from("ab"), SPAN), max_size=4),
)
def test_rates_are_those_of_a_grid_of_instants(segments, spoofed) -> None:
    scored = _table([(p, *s) for p, s, _ in segments], *[float(v) for *_, v in segments])
    spoofed = [item for item in spoofed if item[0] in set(scored["path"])]
    found = localisation(scored, _table([(p, *s) for p, s in spoofed]), [0.07])
    instants, cells = [], {}
    for path in sorted(set(scored["path"])):
        for tick in range(70):
            over = [v for p, (s, n), v in segments if p == path and s <= tick < s + n]
            if not over:
                continue
            fake = any(p == path and s <= tick < s + n for p, (s, n) in spoofed)
            instants.append((np.mean(over), fake))
            score, known = cells.get((path, tick // 7), (np.inf, False))
            cells[path, tick // 7] = (min(score, np.mean(over)), known or fake)
    for rate, rows in (
        (found["range_eer"], instants),
        (found["segment_eer"]["0.07"]["eer"], cells.values()),
    ):
        score, fake = (np.array(column) for column in zip(*rows, strict=True))
        if fake.all() or not fake.any():
            assert rate is None
        else:
            assert rate == pytest.approx(eer_tie_safe(score[~fake], score[fake]))
    total = found["seconds"]["bonafide"] + found["seconds"]["spoof"]
    assert total == pytest.approx(len(instants) / 100)


def test_time_counts_not_the_number_of_segments() -> None:
    scored = _table([("a", 0, 90), ("a", 90, 10)], 1.0, -1.0)
    found = localisation(scored, _table([("a", 80, 20)]), [0.1])
    expected = WeightedEer([1.0, 1.0, -1.0], [True, False, False])([80, 10, 10])
    assert found["range_eer"] == pytest.approx(expected)
    assert found["segment_eer"]["0.1"] == {"eer": pytest.approx(1 / 3), "bonafide": 8, "spoof": 2}
    assert found["clips"] == 1


def test_spans_are_read_from_a_table_a_manifest_and_verdicts(tmp_path) -> None:
    csv, manifest, lines = (tmp_path / name for name in ("a.csv", "m.csv", "v.jsonl"))
    csv.write_text("path,start,end,score,more\nx.wav,0,0.5,1.5,y\n")
    assert read_spans(csv).to_dict("records") == [
        {"path": "x.wav", "start": 0.0, "end": 0.5, "score": 1.5}
    ]
    manifest.write_text(
        "path,label,spoof_segments\nx.wav,spoof,0.1-0.3 0.5-0.625\ny.wav,bonafide,\n"
    )
    assert read_spans(manifest)["end"].tolist() == [0.3, 0.625]
    verdicts = [
        {"path": "x.wav", "llr": 2.0, "seconds": 1.5, "segments": []},
        {"path": "y.wav", "llr": None, "seconds": 0.0, "segments": []},
        {
            "path": "z.wav",
            "llr": 0.0,
            "seconds": 6.0,
            "segments": [{"start": 0, "end": 4, "llr": 1.0}, {"start": 2, "end": 6, "llr": -1.0}],
        },
    ]
    lines.write_text("\n".join(json.dumps(verdict) for verdict in verdicts))
    table = read_spans(lines)
    assert table["score"].tolist() == [2.0, 1.0, -1.0]
    assert table["end"].tolist() == [1.5, 4.0, 6.0]
    # The manifest's absolute path and the scored relative one are the same clip by name.
    found = localisation(table, pd.DataFrame({"path": ["/c/z.wav"], "start": [4.0], "end": [6.0]}))
    assert found["range_eer"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,start\nx,0\n", "no column 'end'"),
        ("path,start,end\nx,1,1\n", "row 1: not a span"),
        ("path,start,end\nx,0,abc\n", "abc"),
        ("path,spoof_segments\nx,17\n", "row 1, column spoof_segments: '17' is not START-END"),
    ],
)
def test_wrong_spans_are_refused(tmp_path, text, message) -> None:
    path = tmp_path / "spans.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_spans(path)
    with pytest.raises(InputError, match="no such file"):
        read_spans(tmp_path / "missing.csv")


def test_clips_without_scores_are_named() -> None:
    with pytest.raises(InputError, match=r"1 clips with spoofed spans .*first: b"):
        localisation(_table([("a", 0, 5)], 1.0), _table([("b", 0, 5)]))
    with pytest.raises(InputError, match="no scores"):
        localisation(_table([("a", 0, 5)]), _table([]))
