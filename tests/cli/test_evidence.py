import json

import numpy as np
import pandas as pd
import pytest
import soundfile

from loradar.cli.evidence import _credit
from loradar.corpora.voice import draw_speaker, speak

RATE = 16_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    rng = np.random.default_rng(0)
    rows = []
    for place in range(3):
        soundfile.write(folder / f"{place}.wav", speak(draw_speaker(rng), 2.5, rng), RATE)
        rows.append((f"{place}.wav", "bonafide", f"s{place}", "mine"))
    table = pd.DataFrame(rows, columns=["path", "label", "speaker", "corpus"])
    table.to_csv(folder / "manifest.csv", index=False)
    return folder


def test_evidence_of_two_attacks(loradar, corpus, tmp_path):
    out, docs = tmp_path / "out", tmp_path / "docs"
    asked = ["vocoder", "evidence", corpus, "-o", out, "--attacks", "lpc_pulse, sinusoidal"]
    asked += ["--without", "speaker=s1", "--docs", docs, "--json"]
    ended = loradar(*asked, "--credit", "Mine, CC0")
    assert ended.code == 0
    assert "wrote" in ended.err
    report = json.loads(ended.out)
    assert report["run"]["speakers"] == ["s0", "s2"]
    assert report["run"]["source"] == "mine"
    assert list(report["attacks"]) == ["resampling", "lpc_pulse", "sinusoidal"]
    for values in report["attacks"].values():
        assert values["measures"]["log_spectral_db"]["clips"] == 2
        assert 0 <= values["trivial_eer"]["eer"] <= 1
    # JSON on standard output is what the file holds.
    assert json.loads((out / "evidence.json").read_text()) == report
    assert (out / "index.html").is_file()
    text = (docs / "evidence.md").read_text()
    assert "--without speaker=s1" in text
    assert str(corpus) not in text and str(tmp_path) not in text
    assert "Recordings: Mine, CC0;" in text and "--credit 'Mine, CC0'" in text
    for name in ("source.mp3", "lpc_pulse.mp3", "lpc_pulse.png"):
        assert (docs / "evidence" / name).is_file()


def test_docs_may_show_a_synthetic_voice_instead(loradar, corpus, tmp_path):
    docs = tmp_path / "docs"
    asked = ["vocoder", "evidence", corpus, "-o", tmp_path / "out", "--where", "speaker=s0,s1"]
    asked += ["--attacks", "lpc_pulse", "--docs", docs, "--synthetic"]
    assert loradar(*asked).code == 0
    text = (docs / "evidence.md").read_text()
    assert "nobody's recording" in text and "--synthetic" in text
    assert 'src="../evidence/lpc_pulse.mp3"' in text
    heard, _ = soundfile.read(docs / "evidence" / "source.mp3")
    for place in range(3):
        mine, _ = soundfile.read(corpus / f"{place}.wav")
        assert abs(np.corrcoef(heard[: len(mine)], mine[: len(heard)])[0, 1]) < 0.5
    assert (docs / "evidence" / "lpc_pulse.png").stat().st_size > 1_000


def test_credit_is_known_of_corpora_that_may_be_shown():
    def credit(*names):
        return _credit(pd.DataFrame({"corpus": names}))

    assert credit("librispeech", "librispeech") == (
        "LibriSpeech, https://www.openslr.org/12, CC BY 4.0 "
        "(https://creativecommons.org/licenses/by/4.0/)"
    )
    assert credit("librispeech", "mlaad") == credit("librispeech", "") == credit("mine") == ""


def test_a_damaged_clip_is_named_and_passed_over(loradar, corpus, tmp_path):
    table = pd.read_csv(corpus / "manifest.csv")
    table["path"] = [str(corpus / path) for path in table["path"]]
    torn = tmp_path / "torn.wav"
    torn.write_bytes(b"RIFF and nothing")
    table.loc[len(table)] = [str(torn), "bonafide", "s9", "mine"]
    table.to_csv(tmp_path / "all.csv", index=False)
    asked = ["vocoder", "evidence", tmp_path / "all.csv", "--attacks", "lpc_pulse"]
    ended = loradar(*asked, "-o", tmp_path / "out", "--where", "speaker=s0,s2,s9")
    assert ended.code == 1
    assert "torn.wav" in ended.err
    assert "lpc_pulse" in ended.out and "hands back" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--attacks", "lpc_puls"], "no attack or family 'lpc_puls'"),
        (["--attacks", ","], "name at least one attack"),
        (["--without", "speeker=s0"], "no column 'speeker'"),
        (["--without", "speaker=s0,s1,s2"], "every clip has speaker"),
        (["--without", "s0"], "--without s0: write COLUMN=VALUE"),
        (["--where", "speaker=s7"], "never holds"),
        (["--corpus", "no_such"], "no corpus reader"),
    ],
)
def test_mistakes_are_one_line(loradar, corpus, tmp_path, arguments, said):
    ended = loradar("vocoder", "evidence", corpus, "-o", tmp_path / "out", *arguments)
    assert ended.code == 2
    (line,) = [line for line in ended.err.splitlines() if line.startswith("loradar: ")]
    assert said in line
    assert not (tmp_path / "out" / "index.html").exists()


def test_another_folder_is_not_overwritten(loradar, corpus):
    ended = loradar("vocoder", "evidence", corpus, "-o", corpus, "--attacks", "lpc_pulse")
    assert ended.code == 2
    assert "holds other files" in ended.err
    assert (corpus / "manifest.csv").is_file()
