import json

import pandas as pd
import pytest

KEYS = "S1 LA_E_1 none - bonafide bonafide notrim eval\nS2 LA_E_2 alaw x A07 spoof notrim hidden\n"


@pytest.fixture
def la(tmp_path):
    keys = tmp_path / "la" / "keys" / "LA" / "CM"
    keys.mkdir(parents=True)
    (keys / "trial_metadata.txt").write_text(KEYS)
    return tmp_path / "la"


def test_list_and_info(loradar):
    told = loradar("corpus", "list")
    assert told.code == 0 and "asvspoof2021_df" in told.out
    listed = json.loads(loradar("corpus", "list", "--json").out)
    assert {"name", "licence", "url", "layout"} <= listed[0].keys()
    about = loradar("corpus", "info", "asvspoof2021_la:hidden").out
    assert "progress, eval, hidden, all (unless named: eval)" in about
    assert "the corpus was not at hand" in about
    assert json.loads(loradar("corpus", "info", "mlaad", "--json").out)["name"] == "mlaad"
    missing = loradar("corpus", "info", "asvspoof")
    assert missing.code == 2 and "no corpus is called 'asvspoof'" in missing.err


def test_prepare_names_the_subset(loradar, la, tmp_path):
    out = tmp_path / "m.csv"
    done = loradar("corpus", "prepare", "asvspoof2021_la", la, "-o", out, "--json")
    assert done.code == 0
    assert "the subset eval (there are progress, eval, hidden, all" in done.err
    assert "1 clips are not there (listed all the same" in done.err
    assert json.loads(done.out)["counts"] == {"eval/bonafide": 1}
    table = pd.read_csv(out)
    assert table["subset"].tolist() == ["eval"]
    assert table["path"].tolist() == ["la/ASVspoof2021_LA_eval/flac/LA_E_1.flac"]
    again = loradar("corpus", "prepare", "asvspoof2021_la", la, "-o", out, "--subset", "hidden")
    assert again.code == 0 and pd.read_csv(out)["subset"].tolist() == ["hidden"]


def test_prepare_only_what_exists(loradar, la, tmp_path):
    audio = la / "ASVspoof2021_LA_eval" / "flac"
    audio.mkdir(parents=True)
    (audio / "LA_E_2.flac").touch()
    out = tmp_path / "m.csv"
    done = loradar("corpus", "prepare", "asvspoof2021_la:all", la, "-o", out, "--existing")
    assert done.code == 0 and "(left out)" in done.err
    assert pd.read_csv(out)["attack"].tolist() == ["A07"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["asvspoof2021_la:x", "{la}", "-o", "{out}.csv"], "no subset 'x'"),
        (["dfadd:eval", "{la}", "-o", "{out}.csv"], "dfadd has no subsets"),
        (["dfadd", "{la}", "-o", "{out}.csv"], "DATASET_SYSTEM"),
        (["dfadd", "{la}/none", "-o", "{out}.csv"], "no such folder"),
        (["dfadd", "{la}", "-o", "{out}.txt"], "must end in .csv or .parquet"),
        (["asvspoof2021_la:eval", "{la}", "-o", "{out}.csv", "--existing"], "none of 1 clips"),
        (["asvspoof2021_la:eval", "{la}", "-o", "{out}.csv", "--subset", "all"], "already"),
    ],
)
def test_prepare_complaints(loradar, la, tmp_path, arguments, part):
    filled = [text.format(la=la, out=tmp_path / "out") for text in arguments]
    done = loradar("corpus", "prepare", *filled)
    assert done.code == 2 and part in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out*"))


def test_check(loradar, tiny_corpus, tmp_path):
    done = loradar("corpus", "check", tiny_corpus, "-o", tmp_path / "p.csv")
    assert done.code == 0
    assert "36 clips, 36 readable" in done.out and "trivial feature" in done.out
    assert (tmp_path / "p.csv").read_text() == "path,problem,detail\n"
    report = json.loads(loradar("corpus", "check", tiny_corpus, "--json", "--rate", 8000).out)
    assert report["problems"] == {"rate": 36}


def test_check_of_what_is_not_there(loradar, tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,label\na.wav,spoof\n")
    done = loradar("corpus", "check", manifest, "-o", tmp_path / "p.csv")
    assert done.code == 2 and "missing 1" in done.out
    assert "missing" in (tmp_path / "p.csv").read_text()


def test_shard(loradar, tiny_corpus, tmp_path):
    done = loradar("corpus", "shard", tiny_corpus, "-o", tmp_path / "s", "--where", "split=dev")
    assert done.code == 0 and "9 clips in 1 shards" in done.err
    assert len(pd.read_csv(tmp_path / "s" / "manifest.csv")) == 9
    again = loradar("corpus", "shard", tiny_corpus, "-o", tmp_path / "s")
    assert again.code == 2 and "holds shards already" in again.err
