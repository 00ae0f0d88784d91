"""Clips as tensors: augmented crops for training, fixed windows for the dev set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from loradar.audio.augmentation import AugmentationConfig, build_augmentation
from loradar.audio.graft import WHOLE, graft
from loradar.audio.reading import SAMPLE_RATE, load_audio
from loradar.audio.windows import crop, tile_repeat
from loradar.training.draws import DrawPlan, MixedPlan
from loradar.training.shared_draws import SharedDraws

Progress = Callable[[int, int, str], None]


class ClipStore:
    """Decoded clips (16 kHz mono float32), read on demand or held in memory.

    Parameters
    ----------
    paths : sequence of str
        The clips' files. A file that is named twice is read and held once.
    preload : bool
        Decode all of them now.
    progress : callable, optional
        Called with (done, total, what) while preloading.
    """

    def __init__(
        self, paths: Iterable[str], *, preload: bool, progress: Progress | None = None
    ) -> None:
        self.paths = [str(path) for path in paths]
        self._held: dict[str, np.ndarray] | None = None
        if preload:
            self._held = {}
            files = list(dict.fromkeys(self.paths))
            for done, path in enumerate(files, start=1):
                self._held[path] = load_audio(path)
                if progress is not None:
                    progress(done, len(files), "reading clips")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return clip ``row``: float32 [T]."""
        if self._held is not None:
            return self._held[self.paths[row]]
        return load_audio(self.paths[row])


class TrainingClips(Dataset[dict[str, Tensor]]):
    """The whole run as one list of draws, so that a resumed run goes on where it stood.

    Parameters
    ----------
    store : ClipStore
        The training clips.
    plan : DrawPlan or MixedPlan
        Which clip stands at each position.
    augmentation : AugmentationConfig
        Applied to the crop.
    window : int
        Samples of a crop.
    length : int
        Draws of the run: steps x batch size x accumulation.
    graft : float
        Share of the copies drawn in pairs that keep only a part (`loradar.audio.graft`).
    graft_depth : tuple of float
        How much of a graft is taken, least and most.
    shared : SharedDraws, optional
        Where other runs leave the same draws and find them. None: each is made here.
    """

    def __init__(
        self,
        store: ClipStore,
        plan: DrawPlan | MixedPlan,
        augmentation: AugmentationConfig,
        *,
        window: int,
        length: int,
        graft: float = 0.0,
        graft_depth: tuple[float, float] = WHOLE,
        shared: SharedDraws | None = None,
    ) -> None:
        self.store = store
        self.plan = plan
        self.graft, self.graft_depth = graft, graft_depth
        self.augment = build_augmentation(augmentation)
        self.window = window
        self.length = length
        self.shared = shared

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """Return ``waveforms`` float32 [window] and ``labels`` int64 []."""
        row, _ = self.plan.draw(position)
        if self.shared is None:
            samples = self._draw(position)
        else:
            self.shared.fill([position], self._draw)
            samples = self.shared[position]
        return {
            "waveforms": torch.from_numpy(samples),
            "labels": torch.tensor(int(self.plan.labels[row])),
        }

    def __getitems__(self, positions: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return the draws of a batch (which torch's DataLoader asks for as a whole)."""
        if self.shared is not None:
            self.shared.fill(positions, self._draw)
        return [self[position] for position in positions]

    def _draw(self, position: int) -> np.ndarray:
        """Crop and augment the clip at ``position``: float32 [window]."""
        row, rng = self.plan.draw(position)
        samples = self.augment(self._cropped(row, rng), SAMPLE_RATE, rng)
        return np.ascontiguousarray(samples, dtype=np.float32)

    def _cropped(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """Return a crop of clip ``row``, or of a graft of it on its source."""
        if not self.graft:
            return crop(self.store[row], self.window, rng)
        # The same draws in any case: both clips of a pair go on with equal generators.
        own = np.random.default_rng(rng.integers(1 << 62))
        source = self.plan.source(row)
        if source < 0 or own.random() >= self.graft:
            return crop(self.store[row], self.window, rng)
        pair = self.store[row], self.store[source]
        return grafted_crop(*pair, self.window, rng, own, self.graft_depth)


def grafted_crop(
    copy: np.ndarray,
    source: np.ndarray,
    window: int,
    rng: np.random.Generator,
    own: np.random.Generator,
    depth: tuple[float, float] = WHOLE,
) -> np.ndarray:
    """Crop a copy and its source at one place and graft the one on the other.

    Parameters
    ----------
    copy, source : ndarray of float32, [T]
        In time with each other; a sample more or less does not matter.
    window : int
        Samples of the crop.
    rng, own : numpy.random.Generator
        For the place of the crop, with as many draws as `crop` makes, and for the graft.
    depth : tuple of float
        How much of the graft is taken, least and most.

    Returns
    -------
    ndarray of float32, [window]
    """
    shared = min(len(copy), len(source))
    at = crop(np.arange(shared), window, rng)
    return graft(copy[at], source[at], own, depth)


class DevClips(Dataset[dict[str, Tensor]]):
    """The first window of every dev clip, short clips tiled.

    Parameters
    ----------
    store : ClipStore
        The dev clips.
    labels : ndarray of int64, [N]
        1 = bona fide, 0 = spoof.
    window : int
        Samples.
    """

    def __init__(self, store: ClipStore, labels: np.ndarray, *, window: int) -> None:
        self.store = store
        self.labels = labels
        self.window = window

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        """Return ``waveforms`` float32 [window] and ``labels`` int64 []."""
        samples = tile_repeat(self.store[row], self.window).astype(np.float32, copy=False)
        return {
            "waveforms": torch.from_numpy(np.ascontiguousarray(samples)),
            "labels": torch.tensor(int(self.labels[row])),
        }


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack equal windows: ``waveforms`` [B, window], ``labels`` [B]."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
