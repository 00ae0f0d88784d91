import json

import pandas as pd
import soundfile as sf


def test_a_model_and_a_score_file_in_one_report(loradar, tiny_model, tiny_corpus, tmp_path):
    scores, out = tmp_path / "other.csv", tmp_path / "report.html"
    table = pd.read_csv(tiny_corpus, keep_default_na=False)
    table = table[table["split"] == "eval"]
    score = range(len(table))
    table.assign(score=score)[["path", "label", "attack", "score"]].to_csv(scores, index=False)
    asked = [tiny_model, scores, "--on", tiny_corpus, "--resamples", "5", "--clips", "1"]
    ended = loradar("report", *asked, "-o", out, "--title", "A <test>")
    assert ended.code == 0, ended.err
    page = out.read_text(encoding="utf-8")
    assert "<title>A &lt;test&gt;</title>" in page
    for part in ("Summary", "By attack", "Experts of tiny", "Worst clips of other.csv"):
        assert f"<h2>{part}</h2>" in page
    assert page.count("<audio controls") == 4
    assert "tiny: recipe" in page
    for outside in ("<script", "http", 'src="/', "@import"):
        assert outside not in page.split("<h2>Configuration")[0]
    assert str(tmp_path) not in page.split("<details>")[0]


def test_a_run_of_a_grid_brings_its_own_scores(loradar, tmp_path):
    run = tmp_path / "moe_lora" / "A" / "0"
    run.mkdir(parents=True)
    rows = ["path,label,group,score"]
    rows += [f"r{i}.flac,bonafide,human,{i}" for i in range(4)]
    rows += [f"s{i}.flac,spoof,{'gan' if i % 2 else 'diffusion'},{i - 3}" for i in range(4)]
    rows += ["t.flac,spoof,gan,"]
    (run / "scores.csv").write_text("\n".join(rows) + "\n")
    (run / "metrics.json").write_text(json.dumps({"steps": 7}))
    out = tmp_path / "r.html"
    ended = loradar("report", run, "-o", out, "--resamples", "0")
    assert ended.code == 0, ended.err
    page = out.read_text(encoding="utf-8")
    assert "<h2>By group</h2>" in page
    assert "&quot;steps&quot;: 7" in page
    assert "<audio" not in page
    assert "the clips were not found" in ended.err


def test_a_run_of_a_grid_knows_where_its_clips_lie(loradar, tmp_path, spoken):
    run = tmp_path / "runs" / "lfcc" / "A" / "0"
    run.mkdir(parents=True)
    (tmp_path / "clips").mkdir()
    for name in "ab":
        sf.write(tmp_path / "clips" / f"{name}.wav", spoken(0.5), 16_000)
    (run / "scores.csv").write_text("path,label,score\na.wav,bonafide,1\nb.wav,spoof,0\n")
    (run / "cell.json").write_text(json.dumps({"on": "clips/table.csv"}))
    table = tmp_path / "clips" / "table.csv"
    table.write_text("path,label\na.wav,bonafide\nb.wav,spoof\n")
    for more in ((), ("--on", table)):
        ended = loradar("report", run, "-o", tmp_path / "r.html", "--resamples", "0", *more)
        assert ended.code == 0, ended.err
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert page.count("<audio") == 2
        assert "lfcc/A/0" in page


def test_mistakes_are_one_line_and_leave_nothing(loradar, tiny_model, tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("path,label,score\na.wav,spoof,1\n")
    cases = [
        ([tiny_model], "say which clips"),
        ([tmp_path / "none.csv"], "no such score file"),
        ([one], "no scored bonafide trial"),
        ([one, one], "same name"),
        ([one, "--ood", "A", "--by", "a", "--by", "b"], "give one --by"),
    ]
    out = tmp_path / "out.html"
    for arguments, message in cases:
        ended = loradar("report", *arguments, "-o", out)
        assert ended.code == 2
        assert message in ended.err
        assert len(ended.err.strip().splitlines()) == 1
        assert not out.exists()
    assert "must end in .html" in loradar("report", one, "-o", tmp_path / "out.pdf").err
