import json

import pytest


@pytest.fixture
def scores(tmp_path):
    """Twelve trials of two codecs."""
    path = tmp_path / "scores.csv"
    lines = ["path,label,attack,codec,score"]
    for index in range(12):
        real = index % 3 == 0
        codec = "opus" if index % 2 else "none"
        value = 2.0 + 0.1 * index if real else -1.0 - 0.1 * index
        lines.append(
            f"{index}.wav,{'bonafide' if real else 'spoof'},{'' if real else 'A1'},{codec},{value}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_classes_within_a_condition_and_tandem_figures(loradar, scores, tmp_path):
    asv = tmp_path / "asv.csv"
    asv.write_text("key,score\ntarget,2\ntarget,1\nnontarget,-1\nnontarget,0\nspoof,1.5\n")
    asked = ["evaluate", scores, "--within", "codec", "--asv", asv, "--resamples", "0"]
    ended = loradar(*asked, "--json")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert {name: block["bonafide"] for name, block in report["within_codec"].items()} == {
        "none": 2,
        "opus": 2,
    }
    assert report["pooled"]["min_cllr"] == 0
    assert report["tandem"]["min_t_dcf_2019"] == 0
    text = loradar(*asked).out
    assert "Within each codec" in text
    assert "t eer: 0.0" in text
    missing = loradar("evaluate", scores, "--asv", tmp_path / "none.csv")
    assert missing.code == 2
    assert "no such file of ASV scores" in missing.err


def test_scores_that_are_higher_for_spoof_are_turned_round(loradar, tmp_path):
    published, turned = tmp_path / "published.txt", tmp_path / "turned.csv"
    published.write_text("a A07 spoof 2\nb A08 spoof 1.5\nc - bonafide 0.5\nd - bonafide -1\n")
    asked = ["--resamples", "0", "--json"]
    ended = loradar("evaluate", published, *asked)
    assert json.loads(ended.out)["pooled"]["eer_convex_hull"] == 0.5
    assert "are they the wrong way (--negate)?" in ended.err
    ended = loradar("evaluate", published, "--negate", "--save-scores", turned, *asked)
    pooled = json.loads(ended.out)["pooled"]
    assert pooled["eer"] == pooled["eer_convex_hull"] == 0
    assert "wrong way" not in ended.err
    assert loradar("evaluate", turned, *asked).out == ended.out
    (tmp_path / "llr.csv").write_text("path,label,score,llr\na,spoof,1,1\nb,bonafide,2,2\n")
    ended = loradar("evaluate", tmp_path / "llr.csv", "--negate")
    assert ended.code == 2
    assert "column llr" in ended.err
    ended = loradar("evaluate", tmp_path, "--on", turned, "--negate")
    assert ended.code == 2
    assert "is for one score file" in ended.err


def test_spoofed_parts_of_clips(loradar, tmp_path):
    segments, spans = tmp_path / "segments.csv", tmp_path / "spans.csv"
    segments.write_text("path,start,end,score\na.wav,0,1,2\na.wav,1,2,-2\nb.wav,0,2,1\n")
    spans.write_text("path,start,end\na.wav,1,2\n")
    ended = loradar("evaluate", segments, "--spans", spans, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["range_eer"] == 0
    assert found["seconds"] == {"bonafide": pytest.approx(3), "spoof": pytest.approx(1)}
    assert "segments of 0.16 s" in loradar("evaluate", segments, "--spans", spans).out
    wrong = loradar("evaluate", segments, "--spans", spans, "--by", "attack")
    assert wrong.code == 2
    assert "--spans takes one file" in wrong.err
