"""From clips to findings to a folder."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from loradar.corpora.manifest import Manifest
from loradar.errors import InputError
from loradar.evaluation.copies.about import Run
from loradar.evaluation.copies.clips import Clip, candidates, choose_clips
from loradar.evaluation.copies.folder import Examples, claim, write_docs, write_folder
from loradar.evaluation.copies.gather import REFERENCE, gather, offers
from loradar.evaluation.copies.markdown import markdown_table
from loradar.evaluation.copies.summary import Estimate, estimate, verdict
from loradar.evaluation.copies.table import evidence_frame, evidence_json
from loradar.evaluation.copies.trivial import Trivial, trivial_eer
from loradar.vocoders.attacks import Attack

RATE = 16_000


def speech(seed, seconds=1.5):
    """Noise in syllables; enough for whatever does not ask for a voice."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time + seed)
    return (0.1 * syllables * rng.standard_normal(len(time))).astype(np.float32)


def clips(count=6, speakers=3):
    return [Clip(f"c{i}", f"s{i % speakers}", speech(i), f"words {i}") for i in range(count)]


def attack(name, change, **more):
    def render(source, settings, rng):
        return change(source).astype(np.float32)

    def draw(rng):
        return {"depth": int(rng.integers(1, 9))}

    return Attack(name, "test", more.pop("kind", "classical"), draw, render, **more)


def buzz(source):
    tone = np.sign(np.sin(2 * np.pi * 150 * np.arange(len(source.samples)) / RATE))
    return 0.1 * tone


def test_estimate_covers_the_mean():
    found = estimate([1.0, None, 2.0, 3.0, 4.0])
    assert (found.mean, found.clips) == (2.5, 4)
    assert 1.0 <= found.interval[0] < 2.5 < found.interval[1] <= 4.0
    assert estimate([None, None]) is None
    assert estimate([7.0]) == Estimate(7.0, (7.0, 7.0), 1)


def test_verdicts():
    def near(value):
        return Estimate(value, (value - 0.1, value + 0.1), 9)

    floor, plain = near(0.1), Trivial(0.5, (0.4, 0.6))
    assert verdict("neural", near(6.0), near(4.9), plain, floor) == "ok"
    assert verdict("neural", near(6.0), near(5.1), plain, floor) == "buzzes"
    assert verdict("neural", near(6.0), near(5.0048), plain, floor) == "ok"  # shown as 5.00
    assert verdict("classical", near(6.0), near(9.0), plain, floor) == "ok"
    assert verdict("neural", near(1.1), near(1.0), plain, floor) == "hands back its input"
    assert verdict("neural", near(1.3), near(1.0), plain, floor) == "ok"
    told = Trivial(0.1, (0.0, 0.2))
    assert verdict("program", None, None, told, floor) == "gives itself away"
    both = verdict("neural", near(9.0), near(8.0), told, floor)
    assert both == "buzzes, gives itself away"


def test_trivial_eer_tells_a_tilt_and_nothing_else():
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((60, 8))
    speakers = [f"s{i % 6}" for i in range(60)]
    names = [f"c{i}" for i in range(60)]
    tilted = trivial_eer(sources, rng.standard_normal((60, 8)) + 3.0, speakers, names)
    assert tilted.eer < 0.02
    alike = trivial_eer(sources, rng.standard_normal((60, 8)), speakers, names)
    assert 0.3 < alike.eer < 0.7
    assert alike.interval[0] <= alike.eer <= alike.interval[1]
    assert trivial_eer(sources, sources, ["one"] * 60, names) is None


def test_trivial_eer_never_tests_a_speaker_it_trained_on():
    # Copies shift each speaker's own feature: telling that needs the speaker in training.
    sources = np.zeros((40, 4))
    copies = np.zeros((40, 4))
    speakers = [i % 4 for i in range(40)]
    copies[np.arange(40), speakers] = 1.0
    found = trivial_eer(sources, copies, [str(s) for s in speakers], [str(i) for i in range(40)])
    assert found.eer > 0.4


def test_candidates_prefer_a_dev_split_of_five_speakers():
    def manifest(speakers):
        rows = [(f"{i}.wav", "bonafide", f"s{i % speakers}", "dev") for i in range(10)]
        rows += [("t.wav", "bonafide", "t", "train"), ("x.wav", "spoof", "t", "dev")]
        return Manifest(pd.DataFrame(rows, columns=["path", "label", "speaker", "split"]))

    assert set(candidates(manifest(5))["split"]) == {"dev"}
    assert len(candidates(manifest(5))) == 10
    assert len(candidates(manifest(4))) == 11
    assert len(candidates(manifest(5), prefer_dev=False)) == 11
    spoofed = Manifest(pd.DataFrame({"path": ["a.wav"], "label": ["spoof"]}), source="all.csv")
    with pytest.raises(InputError, match="every clip is spoofed"):
        candidates(spoofed)


@pytest.fixture
def recordings(tmp_path):
    rows = []
    for i in range(8):
        path = tmp_path / f"clip{i}.wav"
        soundfile.write(path, speech(i), RATE)
        rows.append((str(path), f"s{i // 4}", f"line {i}"))
    soundfile.write(tmp_path / "still.wav", np.zeros(2 * RATE), RATE)
    (tmp_path / "torn.wav").write_bytes(b"RIFF no more")
    rows += [(str(tmp_path / "still.wav"), "s2", ""), (str(tmp_path / "torn.wav"), "s3", "")]
    return pd.DataFrame(rows, columns=["path", "speaker", "transcript"])


def test_speakers_take_turns_and_bad_clips_are_passed_over(recordings):
    chosen = choose_clips(recordings, 4)
    assert sorted(clip.speaker for clip in chosen.clips) == ["s0", "s0", "s1", "s1"]
    assert all(clip.transcript == f"line {clip.name[4:]}" for clip in chosen.clips)
    assert len(chosen.unreadable) == 1 and "torn.wav" in chosen.unreadable[0]
    assert len(chosen.without_speech) == 1 and "still.wav" in chosen.without_speech[0]
    again = choose_clips(recordings, 4)
    assert [clip.name for clip in again.clips] == [clip.name for clip in chosen.clips]
    assert len(choose_clips(recordings, 50).clips) == 8
    assert len(choose_clips(recordings, 1, seconds=1.25).clips[0].samples) == 1.25 * RATE


def test_no_clip_at_all_is_an_error(recordings):
    with pytest.raises(InputError, match="none of 2 clips can be used"):
        choose_clips(recordings.iloc[8:], 4)


def test_clips_without_a_speaker_stand_for_themselves(recordings):
    chosen = choose_clips(recordings.assign(speaker=""), 3)
    assert len({clip.speaker for clip in chosen.clips}) == 3


def test_offers():
    assert offers(clips()) == {"transcript", "other"}
    assert offers([Clip("a", "s", speech(0))]) == frozenset()


def test_gather_says_what_is_wrong_with_each_attack():
    def refuse(source):
        raise InputError("no voice found")

    others = set()

    def swap(source):
        others.add(source.other.tobytes())
        return source.other[: len(source.samples)]

    found = gather(
        clips(),
        [
            attack("same", lambda source: source.samples),
            attack("buzz", buzz, kind="neural"),
            attack("swap", swap, needs=frozenset({"other"})),
            attack("refuse", refuse),
            attack("free", lambda source: speech(99, 2.0), aligned=False, kind="program"),
            attack("short", lambda source: source.samples[:-7]),
        ],
    )
    by_name = {findings.attack.name: findings for findings in found}
    assert found[0].attack is REFERENCE and found[0].verdict == ""
    assert "hands back its input" in by_name["same"].verdict
    assert by_name["buzz"].measures["log_spectral_db"].mean > 10
    assert by_name["buzz"].measures["rtf"].clips == 6
    assert by_name["refuse"].measures["rtf"] is None
    assert by_name["refuse"].failures[0] == "refuse: c0: no voice found"
    assert len(by_name["short"].failures) == 6
    assert by_name["free"].measures["log_mel_db"] is None
    assert by_name["free"].measures["rtf"].mean >= 0
    assert by_name["free"].trivial is not None
    assert len(others) > 1


def test_copies_depend_on_the_seed_alone():
    def run(seed, order):
        chosen = [attack(name, buzz) for name in order]
        found = gather(clips(2, 2), chosen, seed=seed)
        return {f.attack.name: [copy.settings for copy in f.copies] for f in found}

    first = run(0, "ab")
    assert first == run(0, "ba")
    assert first != run(1, "ab")
    assert first["a"] != first["b"]


@pytest.fixture(scope="module")
def made():
    examples = Examples({})
    sources = clips()
    able = [attack("buzz", buzz), attack("a|b<i>", lambda source: source.samples)]
    found = gather(sources, able, keep=examples.keep)
    run = Run(sources, "test-clean", "loradar vocoder evidence x", 0, 2, "9.9", ["gan: no weights"])
    return run, found, examples.copies


def test_tables(made):
    _, found, _ = made
    frame = evidence_frame(found)
    assert list(frame["attack"]) == ["resampling", "buzz", "a|b<i>"]
    assert frame["verdict"][0] == "(the floor)"
    assert evidence_frame(found, intervals=False)["LSD dB"][2] == "0.00"
    lines = markdown_table(found).splitlines()
    assert len(lines) == 5
    assert lines[4].startswith("| a\\|b<i> | 0.00<br>(0.00–0.00) |")
    values = json.loads(json.dumps(evidence_json(found), allow_nan=False))
    assert values["buzz"]["measures"]["log_mel_db"]["clips"] == 6
    assert values["resampling"]["kind"] == "reference"
    assert values["buzz"]["copies"][0]["settings"].keys() == {"depth"}


def test_folder_holds_all_that_the_page_shows(made, tmp_path):
    run, found, copies = made
    copies = {key: copy for key, copy in copies.items() if "|" not in key[0]}
    out = tmp_path / "evidence"
    claim(out)
    write_folder(out, run, found, copies)
    page = (out / "index.html").read_text()
    assert "a|b&lt;i&gt;" in page and "<i>" not in page
    assert "gan: no weights" in page
    for path in ("audio/source-1.flac", "audio/buzz-2.flac", "spectrograms/buzz-1.png"):
        assert f'src="{path}"' in page
        assert (out / path).stat().st_size > 100
    samples, rate = soundfile.read(out / "audio/source-1.flac")
    assert rate == RATE
    assert np.allclose(samples, run.clips[0].samples, atol=1e-4)
    assert json.loads((out / "evidence.json").read_text())["run"]["speakers"] == ["s0", "s1", "s2"]
    rows = pd.read_csv(out / "copies.csv")
    assert len(rows) == 3 * 6
    assert rows["trivial_score"].notna().all()
    assert "fewer than 5 speakers" in (out / "evidence.md").read_text()

    # Earlier pictures go when the folder is written again.
    (out / "audio" / "old.flac").write_bytes(b"")
    claim(out)
    write_folder(out, run, found, {})
    assert not (out / "audio" / "old.flac").exists()


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        claim(tmp_path)


def test_docs_get_sounds_of_recordings_whose_licence_is_known(made, tmp_path):
    run, found, copies = made
    copies = {key: copy for key, copy in copies.items() if "|" not in key[0]}
    run = dataclasses.replace(run, credit="My Speech, CC BY 4.0")
    write_docs(tmp_path, run, found, copies)
    text = (tmp_path / "evidence.md").read_text()
    assert "Recordings: My Speech, CC BY 4.0; cut, and changed by the attacks named." in text
    for name, samples in (("source", run.clips[0].samples), ("buzz", copies["buzz", 0])):
        assert f'src="../evidence/{name}.mp3"' in text and f"(evidence/{name}.mp3)" in text
        path = tmp_path / "evidence" / f"{name}.mp3"
        assert path.stat().st_size < 10_000 * len(samples) / RATE
        heard, rate = soundfile.read(path)
        assert rate == RATE and abs(len(heard) - len(samples)) < 0.2 * RATE
    out = tmp_path / "out"
    claim(out)
    write_folder(out, run, found, {})
    assert "My Speech, CC BY 4.0" in (out / "index.html").read_text()
    assert json.loads((out / "evidence.json").read_text())["run"]["credit"] == run.credit


def test_docs_get_pictures_and_no_sound(made, tmp_path):
    run, found, copies = made
    copies = {key: copy for key, copy in copies.items() if "|" not in key[0]}
    write_docs(tmp_path, run, found, copies)
    names = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*"))
    assert names == ["evidence.md", "evidence/buzz.png", "evidence/resampling.png"]
    text = (tmp_path / "evidence.md").read_text()
    assert "\n# Evidence for each attack\n" in text
    assert "```\nloradar vocoder evidence x\n```" in text
    assert str(tmp_path) not in text
    assert "Nothing is known of the recordings' licence" in text and "<audio" not in text
    assert all((tmp_path / "evidence" / f"{n}.png").stat().st_size < 80_000 for n in ["buzz"])
