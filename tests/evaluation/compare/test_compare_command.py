import json
import shutil

from typer.testing import CliRunner

from loradar.cli.app import app

RUNNER = CliRunner()


def test_compare_prints_tables_and_writes_them(grid, tmp_path):
    asked = ["compare", str(grid), "--resamples", "20"]
    ended = RUNNER.invoke(app, [*asked, "-o", str(tmp_path / "out")])
    assert ended.exit_code == 0, ended.output
    for text in ("OOD average", "moe_lora against the others", "Fewer than 5 seeds"):
        assert text in ended.output
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {
        *(".md", ".tex", ".html", ".json", ".png")
    }
    shutil.rmtree(grid / "full" / "B")
    ended = RUNNER.invoke(app, [*asked, "--json", "--variant", "lora", "--folds", "A"])
    found = json.loads(ended.stdout)
    assert found["folds"] == ["A"]
    assert found["lora_over_full"]["ratio"] == 1
    assert found == json.loads(json.dumps(found))


def test_compare_mistakes_are_told(grid, tmp_path):
    ended = RUNNER.invoke(app, ["compare", str(tmp_path / "none")])
    assert "no such folder of runs" in str(ended.exception)
    ended = RUNNER.invoke(app, ["compare", str(grid), "--variant", "none"])
    assert "no complete variant 'none'" in str(ended.exception)
