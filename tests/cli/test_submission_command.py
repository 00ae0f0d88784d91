import yaml


def test_a_submission_is_written_and_says_what_is_still_empty(loradar, tmp_path):
    scores, meta, out = (tmp_path / name for name in ("s.csv", "meta.yaml", "arena"))
    scores.write_text("path,label,score\na.wav,bonafide,1\nb.wav,spoof,-1\n")
    meta.write_text("contact: me@example.org\nhf_username: me\n")
    asked = ["submission", scores, "-o", out, "--dataset", "Org/Set", "--revision", "abc"]
    asked += ["--model-repo", "me/detector", "--name", "My system 2"]
    ended = loradar(*asked, "--meta", meta)
    assert ended.code == 0, ended.err
    assert "still empty, and wanted by the benchmark: description, code" in ended.err
    assert "contact" not in ended.err.splitlines()[-1]
    content = yaml.safe_load((out / "submissions/my-system-2.yaml").read_text())
    assert content["scores"]["eer_percent"] == 0
    assert content["submitter"]["hf_username"] == "me"
    meta.write_text("colour: blue\n")
    wrong = loradar(*asked, "--meta", meta)
    assert wrong.code == 2
    assert "colour: give any of" in wrong.err
    scores.write_text("path,score\na.wav,1\n")
    assert "every trial needs a label" in loradar(*asked).err
