import gzip
from pathlib import Path

import pytest

from loradar.errors import InputError
from loradar.evaluation.tandem_file import read_asv_scores, tandem_report


def test_asv_scores_are_read_from_csv_and_from_the_packages_text(tmp_path: Path) -> None:
    csv, text = tmp_path / "asv.csv", tmp_path / "ASVTorch.txt.gz"
    csv.write_text("key,score\ntarget,2\nnontarget,-1\nspoof,0.5\ntarget,1.5\n")
    text.write_bytes(
        gzip.compress(b"LA_1 target 2\nLA_2 nontarget -1\nA07 spoof .5\nx target 1.5\n")
    )
    for path in (csv, text):
        found = read_asv_scores(path)
        assert found["target"].tolist() == [2.0, 1.5]
        assert found["spoof"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "key,score\ntarget,1\nspoof,2\n", "no nontarget trial"),
        ("a.csv", "key\ntarget\n", "no column 'score'"),
        ("a.csv", "key,score\ntarget,x\n", "cannot read"),
        ("a.txt", "real 1\n", "no column holds target"),
        ("none.csv", None, "no such file"),
    ],
)
def test_wrong_asv_files_are_refused(tmp_path, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_asv_scores(tmp_path / name)


def test_a_countermeasure_helps_an_asv_system_that_spoofs_fool() -> None:
    # Accepts targets and spoofs alike, but not one target in four.
    asv = {"target": [3.0, 2.0, 2.5, -2.0], "nontarget": [-1.0] * 4, "spoof": [2.0] * 4}
    good = tandem_report([1.0, 2.0], [-1.0, -2.0], asv)
    useless = tandem_report([0.0, 0.0], [0.0, 0.0], asv)
    assert good["asv_eer"] == useless["asv_eer"]
    assert good["min_t_dcf_2019"] == 0
    assert good["min_t_dcf"] < useless["min_t_dcf"]
    assert good["t_eer"] < useless["t_eer"]
