import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.inference.model import Model


class Loudness:
    """Windows of a second: the quieter half is spoof."""

    window = 16_000

    def score_windows(self, batch):
        return 200 * (np.sqrt((batch**2).mean(axis=1)) - 0.045), {}


@pytest.fixture
def loudness(monkeypatch):
    """The model of every command: no torch, so that small passes cost little."""
    model = Model(Loudness(), None, "loudness")
    monkeypatch.setattr("loradar.inference.model.load_model", lambda *_, **__: model)


@pytest.fixture(scope="module")
def voices(tmp_path_factory, spoken):
    """A manifest of twelve human and four spoofed clips that pass for speech."""
    folder = tmp_path_factory.mktemp("voices")
    rows = []
    for number in range(10):
        spoof = number >= 6
        samples = spoken(1.5, number)
        sf.write(folder / f"{number}.wav", 0.5 * samples if spoof else samples, 16_000)
        label, speaker = ("spoof", "") if spoof else ("bonafide", "anna")
        rows.append((f"{number}.wav", label, "a" if spoof else "", speaker, "eval", "c"))
    columns = ["path", "label", "attack", "speaker", "split", "corpus"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


SMALL = ("--per-cell", 1, "--long", 1, "--seconds", 10, "--minutes", 0.5)


def test_splices_are_measured_and_the_results_written(
    loradar, loudness, voices, tmp_path, monkeypatch
):
    monkeypatch.setattr("loradar.corpora.spliced.LENGTHS", ("1", "several"))
    out = tmp_path / "out"
    done = loradar("splices", "loudness", "--on", voices, "-o", out, *SMALL, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report == json.loads((out / "results.json").read_text())
    assert set(report["by_splice"]) == {"hard", "crossfade", "pause", "turn", "side"}
    assert set(report["by_length"]) == {"1", "several"}
    assert report["amount"]["long_seconds"] == 30 and report["long"]["recordings"] == 1
    recordings = pd.read_csv(out / "recordings.csv")
    lines = (out / "verdicts.jsonl").read_text().splitlines()
    assert len(recordings) == len(lines) == 3 * 6 + 8 + 3
    assert not list(out.glob("*.flac"))
    page = (out / "splices.md").read_text()
    assert "| hard cut |" in page and "## One spoofed sentence of 4 s in 0.5 minutes" in page
    # What was written is what `evaluate --spans` reads.
    spans = pd.read_csv(out / "spans.csv")
    spans[~spans["path"].str.contains("#")].to_csv(tmp_path / "spans.csv", index=False)
    again = loradar("evaluate", out / "verdicts.jsonl", "--spans", tmp_path / "spans.csv", "--json")
    assert again.code == 0, again.err
    refused = loradar("splices", "loudness", "--on", voices, "-o", out)
    assert refused.code == 2 and "holds other files" in refused.err


def test_alarms_are_counted_on_a_folder_of_human_speech(loradar, tiny_model, voices, tmp_path):
    folder = tmp_path / "human"
    folder.mkdir()
    for number in range(3):
        shutil.copy(voices.parent / f"{number}.wav", folder)
    (folder / "bad.wav").write_text("words")
    out = tmp_path / "out"
    done = loradar("alarms", tiny_model, "--on", folder, "--minutes", 0.05, "-o", out)
    assert done.code == 0, done.err
    assert "1 clips could not be read" in done.err and "of 1 voices have an alarm" in done.out
    report = json.loads((out / "results.json").read_text())
    assert report["all"]["flagged"]["of"] == 2 and len(report["unreadable"]) == 1
    assert report["all"]["recordings"]["hours"] == pytest.approx(4.5 / 3600)
    assert "False alarms" in (out / "alarms.md").read_text()
    assert pd.read_csv(out / "recordings.csv")["name"].tolist() == [
        "human/human/000",
        "human/human/001",
    ]
    told = loradar("alarms", tiny_model, "--on", voices, "--voice", r"(\d)\.wav", "--json")
    assert told.code == 0 and json.loads(told.out)["voices"]["of"] == 6


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--where", "label=spoof"], "no human clip"),
        (["--voice", "["], "no regular expression"),
        (["--on", "nowhere"], "no such file"),
    ],
)
def test_what_cannot_be_counted_is_told(loradar, tiny_model, voices, more, reason):
    done = loradar("alarms", tiny_model, "--on", voices, *more)
    assert done.code == 2 and reason in done.err
