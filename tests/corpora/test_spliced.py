from collections import Counter

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.corpora.joined import joined_recordings, voices_by_pattern, voices_of
from loradar.corpora.spliced import Amount, Splicer
from loradar.errors import InputError

RATE = 16_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> pd.DataFrame:
    """Human clips are noise, spoofed ones a constant, so that a stretch shows itself."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(16):
        rng = np.random.default_rng(number)
        spoof = number >= 12
        seconds = 1.0 if number == 15 else 4.2
        samples = 0.1 * rng.standard_normal(round(seconds * RATE)) * (not spoof) + 0.2 * spoof
        path = folder / f"{number:02d}.wav"
        sf.write(path, samples, RATE)
        label, attack = ("spoof", f"a{number % 2}") if spoof else ("bonafide", "")
        rows.append((str(path), label, attack, "" if spoof else f"s{number % 2}", "eval", "c"))
    return pd.DataFrame(rows, columns=["path", "label", "attack", "speaker", "split", "corpus"])


@pytest.fixture(scope="module")
def made(clips):
    return list(Splicer(clips, Amount(1, 12.0, 1, 20.0), seed=1))


def test_there_is_every_splice_length_and_kind(clips, made):
    assert len(made) == len(Splicer(clips, Amount(1, 12.0, 1, 20.0)))
    counted = Counter((m.splice, m.length, m.kind) for m in made)
    for how in ("hard", "crossfade", "pause"):
        for length in ("1", "2", "4", "several"):
            assert [counted[how, length, kind] for kind in ("spoof", "other", "same")] == [1, 1, 1]
    assert counted["turn", "4", "spoof"] == counted["side", "side", "spoof"] == 2
    assert counted["long", "4", "none"] == 1
    assert len({m.name for m in made}) == len(made)


def test_the_truth_is_the_truth_to_the_sample(made):
    for recording in made:
        columns = recording.samples.reshape(len(recording.samples), -1)
        assert np.abs(columns).max() <= 1
        if recording.splice == "side":
            (span,) = recording.spans
            spoken = np.flatnonzero(np.abs(columns[:, span.channel - 1] - 0.05) < 1e-3)
            assert spoken[0] / RATE == pytest.approx(span.start, abs=0.01)
            assert spoken[-1] / RATE == pytest.approx(span.end, abs=0.01)
            assert len(spoken) == pytest.approx(len(recording.stretches) * 4 * RATE, rel=0.01)
            continue
        assert len(recording.spans) == len(recording.stretches)
        for span in recording.spans:
            assert span.spoof == (recording.kind == "spoof")
            column = columns[:, max(span.channel - 1, 0)]
            first, last = round(span.start * RATE), round(span.end * RATE)
            # Spoofed clips are constant: inside nothing moves, outside it does.
            margin = 480 if recording.splice in ("crossfade", "turn", "side") else 2
            inside = column[first + margin : last - margin]
            assert (np.ptp(inside) < 1e-3) == span.spoof
            if len(recording.spans) == 1:
                around = np.concatenate([column[: first - margin], column[last + margin :]])
                still = np.abs(np.diff(around)) < 1e-6
                assert still.mean() < 0.01


def test_lengths_are_those_asked_for(made):
    for recording in made:
        seconds = [len(stretch) / RATE for stretch in recording.stretches]
        wanted = {"1": [1], "2": [2], "4": [4], "several": [2, 2, 2]}.get(recording.length)
        if wanted and recording.stretches:
            assert seconds == pytest.approx(wanted)


def test_the_same_seed_gives_the_same_recordings_and_another_does_not(clips, made):
    again = list(Splicer(clips, Amount(1, 12.0, 1, 20.0), seed=1))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(made, again, strict=True))
    assert [a.spans for a in made] == [b.spans for b in again]
    other = next(iter(Splicer(clips, Amount(1, 12.0, 1, 20.0), seed=2)))
    assert not np.array_equal(other.samples[:9000], made[0].samples[:9000])


def test_given_recordings_make_the_background(clips):
    voices = {"x": clips["path"][:3].tolist()}
    found = list(Splicer(clips, Amount(1, 12.0, 1, 20.0), voices=voices))
    assert {m.background for m in found} == {"recordings"}
    assert all(len(m.samples) >= 12 * RATE for m in found if m.splice != "turn")


def test_what_cannot_be_spliced_is_told(clips):
    with pytest.raises(InputError, match="no spoofed clip among 12"):
        Splicer(clips[clips["label"] == "bonafide"])
    with pytest.raises(InputError, match="no human clip among 4"):
        Splicer(clips[clips["label"] == "spoof"])
    with pytest.raises(InputError, match="give --background"):
        Splicer(clips.assign(speaker=""))


def test_clips_are_joined_voice_by_voice(clips, tmp_path):
    human = clips[clips["label"] == "bonafide"].copy()
    broken = tmp_path / "broken.wav"
    broken.write_text("words")
    human.loc[0, "path"] = str(broken)
    seen = []
    for each in joined_recordings(human, 10.0, tmp_path):
        seconds = sf.info(each.path).duration
        seen.append((each.name, each.clips, len(each.unreadable), round(seconds, 1)))
    assert seen == [
        ("c/s0/000", 3, 0, 12.6),
        ("c/s0/001", 2, 1, 8.4),
        ("c/s1/000", 3, 0, 12.6),
        ("c/s1/001", 3, 0, 12.6),
    ]
    assert not list(tmp_path.glob("*.flac"))
    alone = [j.clips for j in joined_recordings(human.iloc[1:3], 0.0, tmp_path)]
    assert alone == [1, 1]
    with pytest.raises(InputError, match="none of 1 clips can be read"):
        list(joined_recordings(human.iloc[:1], 10.0, tmp_path))


def test_voices_are_speakers_folders_or_what_a_pattern_finds(clips):
    assert set(voices_of(clips[:4])) == {"c/s0", "c/s1"}
    folder = voices_of(clips[:1].assign(speaker="", corpus=""))
    assert folder.iloc[0].startswith("clips")
    assert voices_by_pattern(clips["path"][:3], r"/(\d)\d\.wav").tolist() == ["0"] * 3
    for pattern, reason in (("(", "no regular"), ("x", "brackets"), ("(zzz)", "in no path")):
        with pytest.raises(InputError, match=reason):
            voices_by_pattern(clips["path"], pattern)
