from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from loradar.audio.augmentation import AugmentationConfig
from loradar.corpora.manifest import Manifest
from loradar.training.dataset import ClipStore, TrainingClips
from loradar.training.draws import DrawPlan
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


def _noise(path: Path, seed: int) -> str:
    samples = 0.1 * np.random.default_rng(seed).standard_normal(4_000)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    return str(path)


def test_pairs_are_cropped_alike_and_some_copies_are_grafted(tmp_path: Path) -> None:
    paths = [_noise(tmp_path / f"{place}.wav", place) for place in range(2)]
    table = pd.DataFrame({"path": paths, "label": ["bonafide", "spoof"], "corpus": "c"})
    plan = DrawPlan(table.assign(pair_id="p"), balance="pair", seed=1)
    store = ClipStore(paths, preload=True)

    def draws(graft: float, depth: float = 1.0) -> list[tuple[int, np.ndarray]]:
        given = {"graft": graft, "graft_depth": (depth, depth)}
        config = AugmentationConfig()
        clips = TrainingClips(store, plan, config, window=1_000, length=40, **given)
        return [(int(i["labels"]), i["waveforms"].numpy()) for i in (clips[n] for n in range(40))]

    def place(samples: np.ndarray, whole: np.ndarray) -> int:
        windows = np.lib.stride_tricks.sliding_window_view(whole, 1_000)
        return int(np.abs(windows - samples).sum(axis=1).argmin())

    plain = draws(0.0)
    for (one, spoof), (two, real) in zip(plain[0::2], plain[1::2], strict=True):
        assert (one, two) == (0, 1)
        assert place(spoof, store[1]) == place(real, store[0])
    grafted = draws(0.5)
    for label, samples in grafted[1::2]:
        assert label == 1
        start = place(samples, store[0])
        assert np.array_equal(samples, store[0][start : start + 1_000])
    changed = 0
    for label, samples in grafted[0::2]:
        assert label == 0
        start = place(samples, store[1])
        changed += not np.array_equal(samples, store[1][start : start + 1_000])
    assert 3 <= changed <= 17
    shallow = draws(1.0, depth=0.01)
    for (_, spoof), (_, real) in zip(shallow[0::2], shallow[1::2], strict=True):
        assert 0.9 < np.corrcoef(spoof[256:-256], real[256:-256])[0, 1] < 1.0
