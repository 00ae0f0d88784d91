"""From two runs to one detector."""

import numpy as np
import pytest

from loradar.detector import load_detector


@pytest.fixture(scope="module")
def add_branch(tool):
    return tool("add_branch")


def test_it_scores_as_the_sum_and_needs_calibration_anew(
    add_branch, tiny_model, tiny_cnn, tmp_path
):
    out = tmp_path / "new" / "joined"
    given = [str(tiny_model), str(tiny_cnn), "--scale", "0.6", "-o", str(out)]
    assert add_branch.main(given) == 0
    batch = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    joined, alone, cnn = (
        load_detector(f).score_windows(batch)[0] for f in (out, *map(str, given[:2]))
    )
    np.testing.assert_allclose(joined, alone + 0.6 * cnn, atol=1e-5)
    assert (tiny_model / "calibration.json").exists()
    assert not (out / "calibration.json").exists()
    assert "of the detector alone" in (out / "README.md").read_text()
    assert (out / "recipe.yaml").read_bytes() == (tiny_model / "recipe.yaml").read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["joined"]


def test_several_each_with_a_scale(add_branch, tiny_model, tiny_cnn, tmp_path, capsys):
    given = [str(tiny_model), *[str(tiny_cnn)] * 2]
    out = tmp_path / "joined"
    assert add_branch.main([*given, "--scale", "0.6", "-o", str(out)]) == 2
    assert "2 CNNs, but 1 of --scale" in capsys.readouterr().err
    assert add_branch.main([*given, "--scale", "0.6", "1.0", "-o", str(out)]) == 0
    assert [branch.scale for branch in load_detector(out).config.branches] == [0.6, 1.0]


def test_bad_input_is_one_line_and_leaves_nothing(
    add_branch, tiny_model, tiny_cnn, tmp_path, capsys
):
    cases = (
        ([str(tiny_model), str(tiny_cnn), "--scale", "0"], "above 0"),
        ([str(tiny_model), str(tiny_model)], "must be a spectrogram CNN"),
        ([str(tiny_model), str(tmp_path)], "not a detector checkpoint"),
    )
    for given, reason in cases:
        assert add_branch.main([*given, "-o", str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err
        assert reason in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert add_branch.main([str(tiny_model), str(tiny_cnn), "-o", str(tiny_cnn)]) == 2
    assert "is there already" in capsys.readouterr().err
