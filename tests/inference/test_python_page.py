import re
from pathlib import Path

import numpy as np
import soundfile as sf

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


def test_the_examples_of_the_page_run(tiny_model, tmp_path, monkeypatch, capsys):
    sf.write(tmp_path / "clip.wav", 0.1 * np.random.default_rng(0).standard_normal(32_000), 16_000)
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "moe_lora").symlink_to(tiny_model)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    out = capsys.readouterr().out
    assert "0.00-0.38 s: " in out
    assert "'label': 'spoof'" in out
