import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.corpora import Manifest, read_manifest
from loradar.evaluation.corpus.check import check_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """40 clips of noise: spoofs are quieter by 6 dB and of another format; faults at the end."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = []
    for index in range(40):
        spoof = index % 2 == 1
        samples = (0.05 if spoof else 0.1) * rng.standard_normal(9_600)
        name = f"{index:02d}.{'flac' if spoof else 'wav'}"
        sf.write(folder / name, samples, 16_000, subtype="PCM_16")
        label = "spoof" if spoof else "bonafide"
        split = "train" if index < 20 else "eval"
        rows.append((name, label, f"s{index // 2 % 15}", split))
    sf.write(folder / "short.wav", 0.1 * rng.standard_normal(800), 8_000)
    rows.append(("short.wav", "bonafide", "x", "train"))
    (folder / "bad.wav").write_bytes(b"RIFFnothing")
    rows.append(("bad.wav", "spoof", "x", "train"))
    rows.append(("gone.wav", "spoof", "x", "train"))
    samples, _ = sf.read(folder / "00.wav", dtype="int16")
    for name, label, split in (
        ("same.flac", "bonafide", "train"),
        ("leak.flac", "bonafide", "eval"),
        ("liar.flac", "spoof", "train"),
    ):
        sf.write(folder / name, samples, 16_000, subtype="PCM_16")
        rows.append((name, label, "x", split))
    table = pd.DataFrame(rows, columns=["path", "label", "speaker", "split"])
    return Manifest(table, folder=folder)


def test_faults(corpus):
    report = check_corpus(corpus)
    found = {problem.path.rpartition("/")[2]: problem.problem for problem in report.problems}
    assert found.pop("short.wav") in ("too_short", "rate")
    assert found == {
        "bad.wav": "corrupt",
        "gone.wav": "missing",
        "same.flac": "duplicate",
        "leak.flac": "leak_audio",
        "liar.flac": "duplicate_other_label",
    }
    assert report.counts["too_short"] == report.counts["rate"] == 1
    assert (report.clips, report.readable) == (46, 44)
    assert report.balance["eval/spoof"] == 10
    assert report.rates == {"16000 Hz/bonafide": 22, "16000 Hz/spoof": 21, "8000 Hz/bonafide": 1}
    # Of 15 voices in turn, pairs 0 to 4 come round again after pair 10, where eval begins.
    assert report.speaker_leaks["s0"] == ["eval", "train"]
    assert "s12" not in report.speaker_leaks


def test_silence(tmp_path):
    for name, samples in (("zeros", np.zeros(9_600)), ("quiet", np.full(9_600, 2**-15))):
        sf.write(tmp_path / f"{name}.wav", samples, 16_000, subtype="PCM_16")
    table = pd.DataFrame({"path": ["zeros.wav", "quiet.wav"]})
    report = check_corpus(Manifest(table, folder=tmp_path))
    (problem,) = report.problems
    assert (problem.problem, problem.path) == ("silent", str(tmp_path / "zeros.wav"))


def test_shortcuts_are_found_and_named(corpus):
    found = {each.feature: each for each in check_corpus(corpus).shortcuts}
    assert found["level (dB)"].auc > 0.9 and found["level (dB)"].suspicious
    assert found["format"].auc > 0.85 and found["format"].suspicious
    assert found["format"].spoof.startswith("FLAC")
    assert found["corpus"].auc == 0.5 and not found["corpus"].suspicious
    assert not found["long-term spectrum"].suspicious
    assert not found["leading silence (s)"].suspicious


def test_spectra_that_give_the_class_away(tmp_path):
    rng = np.random.default_rng(1)
    rows = []
    for index in range(30):
        samples = 0.1 * rng.standard_normal(8_000)
        if index % 2:
            samples = np.convolve(samples, [0.6, 0.4], "same")
        sf.write(tmp_path / f"{index}.wav", samples, 16_000)
        rows.append((f"{index}.wav", "spoof" if index % 2 else "bonafide"))
    manifest = Manifest(pd.DataFrame(rows, columns=["path", "label"]), folder=tmp_path)
    found = {each.feature: each for each in check_corpus(manifest).shortcuts}
    assert found["long-term spectrum"].auc > 0.95


def test_too_few_clips_for_shortcuts(tiny_corpus):
    few = read_manifest(tiny_corpus).where({"split": "dev"})
    report = check_corpus(few)
    assert report.shortcuts == [] and report.problems == []


@pytest.mark.slow
def test_workers_change_nothing(corpus):
    few = corpus.where({"split": "eval"})
    assert check_corpus(few, workers=2).to_dict() == check_corpus(few).to_dict()
