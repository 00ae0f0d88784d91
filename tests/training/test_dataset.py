from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from loradar.corpora.manifest import Manifest
from loradar.training.dataset import ClipStore
from loradar.training.folder import distinct_clips


def _clip(path: Path, value: float) -> str:
    soundfile.write(path, np.full(800, value, np.float32), 16_000, subtype="FLOAT")
    return str(path)


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    one, two = _clip(tmp_path / "one.wav", 0.1), _clip(tmp_path / "two.wav", 0.2)
    told: list[tuple[int, int, str]] = []
    store = ClipStore([one, two, one], preload=True, progress=lambda *what: told.append(what))
    assert len(store) == 3
    assert [store[row][0].round(3) for row in range(3)] == [
        np.float32(0.1),
        np.float32(0.2),
        np.float32(0.1),
    ]
    assert store[0] is store[2]
    assert told == [(1, 2, "reading clips"), (2, 2, "reading clips")]
    on_demand = ClipStore([one, two], preload=False)
    assert np.array_equal(on_demand[1], store[1])


def test_shares_of_a_mixture_may_draw_on_the_same_clips() -> None:
    real = {"path": "/a.wav", "label": "bonafide"}
    first = Manifest(pd.DataFrame([real, {"path": "/b.wav", "label": "spoof", "attack": "x"}]))
    second = Manifest(pd.DataFrame([real, {"path": "/c.wav", "label": "spoof", "attack": "y"}]))
    assert list(distinct_clips([first, second]).table["path"]) == ["/a.wav", "/b.wav", "/c.wav"]
