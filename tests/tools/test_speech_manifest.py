import sys

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from loradar.errors import InputError


@pytest.fixture(scope="module")
def program(tool):
    return tool("speech_manifest")


def corpus(folder, *speakers):
    for speaker in speakers:
        chapter = folder / "test-clean" / speaker / "7"
        chapter.mkdir(parents=True)
        sf.write(chapter / f"{speaker}-7-0000.flac", np.zeros(1600), 16_000)
    return folder


def test_reserved_speakers_stay_out_and_dev_is_by_speaker(program, tmp_path, monkeypatch, capsys):
    speech = corpus(tmp_path / "LibriSpeech", "61", "1221", "1089", "121", "908", "2300")
    out = tmp_path / "runs" / "speech.csv"
    monkeypatch.setattr(sys, "argv", ["speech_manifest", str(speech), "-o", str(out)])
    assert program.main() == 0
    assert "2 clips to train, 2 dev" in capsys.readouterr().out
    table = pd.read_csv(out, dtype=str)
    assert dict(zip(table["speaker"], table["split"], strict=True)) == {
        "1089": "train",
        "121": "dev",
        "2300": "train",
        "908": "dev",
    }


def test_another_part_of_the_corpus_is_told(program, tmp_path):
    with pytest.raises(InputError, match="no clip for split dev: give LibriSpeech test-clean"):
        program.speech(corpus(tmp_path / "LibriSpeech", "19"))
