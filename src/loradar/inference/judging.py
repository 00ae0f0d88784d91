"""Files and samples to verdicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loradar.audio.decoders import AudioInfo
from loradar.audio.reading import probe
from loradar.audio.streams import flat_tops
from loradar.errors import InputError
from loradar.inference.model import Model
from loradar.inference.quality import gate
from loradar.inference.scan import Scan, Scanner, is_call, scan_file, sides_of_a_call
from loradar.inference.verdict import Verdict, decide, together

CHANNELS = ("auto", "mix", "apart")


def detect(
    model: Model,
    paths: Iterable[Path | str],
    *,
    prior: float = 0.5,
    batch_size: int = 16,
    channels: str = "auto",
    hop_s: float | None = None,
) -> Iterator[Verdict]:
    """Judge files one after the other, whatever their length.

    Parameters
    ----------
    model : Model
        See `loradar.inference.model.load_model`.
    paths : iterable of Path or str
        Audio files, read block by block. One that cannot be read gives an ERROR verdict; the rest
        go on.
    prior : float
        Prior probability of spoof, in (0, 1).
    batch_size : int
        Windows a forward pass.
    channels : {"auto", "mix", "apart"}
        ``apart`` judges each channel and then the file (`together`), ``mix`` their mean; ``auto``
        keeps two apart where they are the sides of a call (`is_call`).
    hop_s : float, optional
        Seconds from window to window; default: two thirds of a window.

    Yields
    ------
    Verdict
        In the order given, each as soon as it is known.
    """
    check_channels(channels)
    scanner = _scanner(model, batch_size, hop_s)
    for path in paths:
        waiting = start(scanner, path, channels)
        scanner.flush()
        yield waiting.verdict(model, prior)


def detect_batched(
    model: Model, paths: Iterable[Path | str], *, prior: float = 0.5, scanner: Scanner
) -> Iterator[Verdict]:
    """`detect` with batches that windows of several files share; in the order given."""
    waiting: deque[Waiting] = deque()
    for path in paths:
        waiting.append(start(scanner, path))
        while waiting and waiting[0].done:
            yield waiting.popleft().verdict(model, prior)
    scanner.flush()
    for each in waiting:
        yield each.verdict(model, prior)


def judge(
    model: Model,
    samples: np.ndarray,
    *,
    path: str = "",
    prior: float = 0.5,
    batch_size: int = 16,
    channels: str = "auto",
    hop_s: float | None = None,
    info: AudioInfo | None = None,
) -> Verdict:
    """Judge samples already in memory.

    Parameters
    ----------
    model : Model
        See `loradar.inference.model.load_model`.
    samples : ndarray of float32, [T] or [T, channels]
        16 kHz in [-1, 1]; at least one.
    path : str
        What the verdict calls the clip.
    prior, batch_size, channels, hop_s
        See `detect`.
    info : AudioInfo, optional
        The header of the file they came from, for its rate and codec.

    Returns
    -------
    Verdict
    """
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise InputError(f"samples of shape {samples.shape}; [T] or [T, channels], T >= 1, needed")
    check_channels(channels)
    columns = samples[:, None] if samples.ndim == 1 else samples
    apart = channels == "apart" or (
        channels == "auto" and columns.shape[1] == 2 and sides_of_a_call(columns)
    )
    if not apart:
        columns = columns.mean(axis=1, keepdims=True)
    scanner = _scanner(model, batch_size, hop_s)
    scans = []
    for column in np.ascontiguousarray(columns.T, dtype=np.float32):
        scan = scanner.open()
        scanner.push(scan, column, flat_tops(column))
        scanner.close(scan)
        scans.append(scan)
    scanner.flush()
    return Waiting(path, scans, info, apart=apart).verdict(model, prior)


@dataclass
class Waiting:
    """A file that was read, some of whose windows may wait for a batch.

    Attributes
    ----------
    path : str
        The file.
    scans : list of Scan
        One a channel that is judged; empty with an error.
    info : AudioInfo or None
        Its header.
    apart : bool
        Whether the channels are judged apart.
    error : str
        Why it cannot be read.
    """

    path: str
    scans: list[Scan]
    info: AudioInfo | None = None
    apart: bool = False
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether its verdict can be told."""
        return all(scan.done for scan in self.scans)

    @property
    def windows(self) -> int:
        """How many windows it has."""
        return sum(len(scan.starts) for scan in self.scans)

    def verdict(self, model: Model, prior: float) -> Verdict:
        """Return the answer; only when it is `done`."""
        if self.error:
            return Verdict(self.path, "ERROR", reasons=(self.error,), model=model.name)
        found = []
        for scan in self.scans:
            seen = scan.result()
            found.append(
                decide(
                    self.path,
                    seen.clip,
                    calibration=model.calibration,
                    prior=prior,
                    gate=gate(seen.quality, self.info),
                    quality=seen.quality,
                    model=model.name,
                )
            )
        return together(self.path, found, prior=prior) if self.apart else found[0]


def start(scanner: Scanner, path: Path | str, channels: str = "auto") -> Waiting:
    """Read a file and queue its windows; what is wrong with it is in ``error``."""
    try:
        info = probe(path)
        apart = info.channels > 1 and (
            channels == "apart" or (channels == "auto" and info.channels == 2 and is_call(path))
        )
        return Waiting(str(path), scan_file(scanner, path, apart=apart), info, apart)
    except InputError as error:
        return Waiting(str(path), [], error=str(error))


def check_channels(channels: str) -> None:
    """Refuse what `detect` does not know.

    Raises
    ------
    InputError
        Names what there is.
    """
    if channels not in CHANNELS:
        raise InputError(f"channels {channels}: give {', '.join(CHANNELS[:-1])} or {CHANNELS[-1]}")


def _scanner(model: Model, batch_size: int, hop_s: float | None) -> Scanner:
    if hop_s is not None and not hop_s > 0:
        raise InputError(f"a hop of {hop_s} s between windows; it must be above 0")
    hop = None if hop_s is None else max(1, round(hop_s * 16_000))
    return Scanner(model.detector, batch_size, hop)
