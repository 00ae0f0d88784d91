"""The figures on spliced speech of docs/detection.md are those of results/embedded."""

import json
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "embedded"
NAMES = {
    "hard": "hard cut",
    "crossfade": "crossfade",
    "pause": "with pauses",
    "turn": "call, one turn",
    "side": "call, one side",
}


def _share(share):
    low, high = share["ci"]
    return f"{100 * share['share']:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def _row(name, block):
    error, eer = block["error_s"], block["timeline_eer"]["0.64"]
    windows = block["window_eer"]["time"]
    return (
        f"| {name} | {block['recordings']} | {_share(block['alone'])} | "
        f"{_share(block['detected'])} | {_share(block['stretches'])} | {error['median']:.2f}, "
        f"{error['p90']:.2f} | {100 * eer:.1f} | {100 * windows:.1f} |"
    )


def rows(report):
    """Return the rows of the page's table."""
    found = [_row(NAMES[name], block) for name, block in report["by_splice"].items()]
    found.append(_row("4 s in ten minutes", report["long"]))
    put_in = {
        "ten minutes of people": report["long"]["human"]["none"],
        "ten minutes of people, another human sentence in": report["long"]["human"]["other"],
        "a call, nothing put in": report["human"]["none"],
        "a minute, of other people in": report["human"]["other"],
        "a minute, of the same speaker in": report["human"]["same"],
    }
    for name, block in put_in.items():
        found.append(
            f"| {name} | {block['flagged']['of']} | | {_share(block['flagged'])} | | | | |"
        )
    return found


@pytest.mark.parametrize("background", ["recordings", "clips"])
def test_spliced_speech_is_as_measured(background):
    report = json.loads((RESULTS / f"splices_{background}.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
    assert report["model"] == "loradar/embedded"
    for row in rows(report):
        assert row in page, row


def test_the_contrast_of_scores_beside_it_is_as_measured():
    page = " ".join((ROOT / "docs" / "detection.md").read_text(encoding="utf-8").split())
    now, before = (
        json.loads((RESULTS / f"splices_{name}.json").read_text(encoding="utf-8"))["long"]
        for name in ("recordings", "recordings_contrast")
    )
    found, alone = now["stretches"], now["alone"]["count"]
    assert f"is found in {found['count']} of {found['of']}** recordings (of {alone} in" in page
    assert now["human"]["none"]["flagged"]["count"] == 0
    people, others = (before["human"][kind]["flagged"]["count"] for kind in ("none", "other"))
    assert (
        f"{before['stretches']['count']} found, {people} of 20 people flagged, and {others} of 20 "
        "with another person's sentence"
    ) in page


def test_people_in_a_patchwork_are_mostly_uncertain():
    page = " ".join((ROOT / "docs" / "detection.md").read_text(encoding="utf-8").split())
    report = json.loads((RESULTS / "splices_clips.json").read_text(encoding="utf-8"))["human"]
    none, other, same = (
        f"{report[kind]['uncertain']['count']} of {report[kind]['uncertain']['of']}"
        for kind in ("none", "other", "same")
    )
    assert f"mostly `UNCERTAIN`: {none} calls, {other} and {same} minutes" in page


def test_the_thresholds_are_those_that_ship():
    page = " ".join((ROOT / "docs" / "detection.md").read_text(encoding="utf-8").split())
    folder = ROOT / "src" / "loradar" / "embedded" / "detector"
    found = json.loads((folder / "calibration.json").read_text(encoding="utf-8"))["thresholds"]
    human, spoof = found["bonafide"], found["spoof"]
    below, above = (1 / (1 + math.exp(llr)) for llr in (human, spoof))
    assert (
        f"{100 * found['right']:.0f} % of them, LLR at least {human:.2f} or at most {spoof:.2f}, "
        f"which at equal priors is p_spoof below {below:.2f} or above {above:.2f})"
    ) in page
