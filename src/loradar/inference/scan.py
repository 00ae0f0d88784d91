"""Recordings of any length through a detector, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loradar.audio.decoders import FloatArray
from loradar.audio.quality import Quality, QualityMeter
from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.streams import stream_audio
from loradar.audio.windows import WindowCutter, usual_hop
from loradar.detector.scorer import ClipScores, WindowScorer

#: How much of a file tells whether its two channels are two sides of a call, in s.
CALL_SECONDS = 120.0
#: Channels of a call have waveforms and levels that go less together than this.
CALL_CORRELATION = 0.5
_LEVEL = SAMPLE_RATE // 20
_QUIET = 1e-6  # power of a channel without a speaker: -60 dB

_Scored = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Scanned:
    """A recording's scores and what it holds besides words."""

    clip: ClipScores
    quality: Quality


class Scan:
    """One recording under way; made by `Scanner.open`."""

    def __init__(self, window: int, hop: int) -> None:
        self.cutter = WindowCutter(window, hop)
        self.meter = QualityMeter()
        self.starts: list[int] = []
        self.scores: list[float] = []
        self.gates: dict[str, np.ndarray] = {}
        self.quality: Quality | None = None

    @property
    def done(self) -> bool:
        """Whether it is closed and all its windows have scores."""
        return self.quality is not None and len(self.scores) == len(self.starts)

    def result(self) -> Scanned:
        """Return what was found; only when it is `done`."""
        if self.quality is None or not self.done:
            raise RuntimeError("this recording still has windows without a score")
        count = len(self.scores)
        clip = ClipScores(
            starts=tuple(start / SAMPLE_RATE for start in self.starts),
            scores=tuple(self.scores),
            seconds=self.cutter.samples / SAMPLE_RATE,
            window=self.cutter.length / SAMPLE_RATE,
            gates={k: tuple(float(g) for g in v / count) for k, v in self.gates.items()},
        )
        return Scanned(clip, self.quality)


class Scanner:
    """Scores the windows of one or more recordings in full batches, as their samples come.

    Parameters
    ----------
    detector : WindowScorer
        What scores windows.
    batch_size : int
        Windows a forward pass. All are equally long, so nothing is padded.
    hop : int, optional
        Samples from window to window; default: two thirds of a window.
    first : bool
        Score the first window of each recording alone.
    ahead : bool
        Score each full batch in a thread of its own while the caller reads and measures the next.

    Examples
    --------
    A recording in blocks, of which no more than a batch of windows is held::

        scanner = Scanner(model.detector)
        scan = scanner.open()
        for block in blocks:
            scanner.push(scan, block)
        scanner.close(scan)
        scanner.flush()
        scan.result().clip.score
    """

    def __init__(
        self,
        detector: WindowScorer,
        batch_size: int = 16,
        hop: int | None = None,
        *,
        first: bool = False,
        ahead: bool = False,
    ) -> None:
        self.detector = detector
        self.batch_size = batch_size
        self.hop = hop or usual_hop(detector.window)
        self.first = first
        self._queue: list[tuple[Scan, np.ndarray]] = []
        self._pool = ThreadPoolExecutor(1, "scan") if ahead else None
        self._running: tuple[list[tuple[Scan, np.ndarray]], Future[_Scored]] | None = None
        self._nothing: tuple[float, dict[str, np.ndarray]] | None = None

    def open(self) -> Scan:
        """Begin a recording."""
        return Scan(self.detector.window, self.hop)

    def push(self, scan: Scan, samples: FloatArray, clipped: float = 0.0) -> None:
        """Take samples [n], 16 kHz mono, of which the share ``clipped`` lies in flat tops."""
        scan.meter.push(samples, clipped)
        self._add(scan, scan.cutter.push(samples))

    def close(self, scan: Scan) -> None:
        """Say that a recording has ended; its last window may still wait for a batch."""
        self._add(scan, scan.cutter.close())
        scan.quality = scan.meter.close()

    def drop(self, scan: Scan) -> None:
        """Forget a recording that cannot be read to its end."""
        self._queue = [item for item in self._queue if item[0] is not scan]

    def flush(self) -> None:
        """Score the windows that wait."""
        self._start()
        self._collect()

    def _start(self) -> None:
        """Begin to score the windows that wait, once those before them have their scores."""
        self._collect()
        queue, self._queue = self._queue, []
        pieces = [piece for _, piece in queue if piece.any()]
        found: Future[_Scored] = Future()
        if not pieces:
            found.set_result((np.zeros(0), {}))
        elif self._pool is None:
            found.set_result(self.detector.score_windows(np.stack(pieces)))
        else:
            found = self._pool.submit(self.detector.score_windows, np.stack(pieces))
        self._running = queue, found

    def _collect(self) -> None:
        """Hand out the scores of the batch under way."""
        if self._running is None:
            return
        (queue, scored), self._running = self._running, None
        found = _rows(*scored.result())
        for scan, piece in queue:
            score, gates = next(found) if piece.any() else self._of_nothing()
            scan.scores.append(score)
            for name, value in gates.items():
                scan.gates[name] = scan.gates.get(name, 0.0) + value

    def _of_nothing(self) -> tuple[float, dict[str, np.ndarray]]:
        """Score a window of zeros, once: hours of them pack into a small file."""
        if self._nothing is None:
            nothing = np.zeros((1, self.detector.window), np.float32)
            (self._nothing,) = _rows(*self.detector.score_windows(nothing))
        return self._nothing

    def _add(self, scan: Scan, pieces: list[tuple[int, np.ndarray]]) -> None:
        for start, piece in pieces:
            if self.first and start > 0:
                return
            scan.starts.append(start)
            self._queue.append((scan, piece))
            if len(self._queue) >= self.batch_size:
                self._start()
                if self._pool is None:
                    self._collect()


def _rows(
    scores: np.ndarray, gates: dict[str, np.ndarray]
) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
    """Score and gates of each window of a batch."""
    for place, score in enumerate(scores):
        yield float(score), {name: value[place] for name, value in gates.items()}


def scan_file(scanner: Scanner, path: Path | str, *, apart: bool = False) -> list[Scan]:
    """Read a file through a scanner; the last windows may still wait for `Scanner.flush`.

    Parameters
    ----------
    scanner : Scanner
        The detector and its batch.
    path : Path or str
        Audio; never in memory whole.
    apart : bool
        One scan a channel, instead of one of their mean.

    Raises
    ------
    InputError
        It cannot be read (`loradar.audio.streams.stream_audio`).
    """
    scans: list[Scan] = []
    try:
        for block in stream_audio(path, by_channel=apart):
            columns = block.samples if apart else block.samples[:, None]
            scans = scans or [scanner.open() for _ in range(columns.shape[1])]
            for channel, scan in enumerate(scans):
                scanner.push(scan, np.ascontiguousarray(columns[:, channel]), block.clipped)
    except BaseException:
        for scan in scans:
            scanner.drop(scan)
        raise
    for scan in scans:
        scanner.close(scan)
    return scans


def is_call(path: Path | str) -> bool:
    """Tell whether a file's two channels are the two sides of a call.

    Over its first two minutes: both are heard, and neither their waveforms nor their levels (of
    50 ms) go together. The channels of a stereo recording of one scene do.

    Parameters
    ----------
    path : Path or str
        A file of two channels; any other is no call.

    Raises
    ------
    InputError
        It cannot be read.
    """
    parts: list[FloatArray] = []
    with closing(stream_audio(path, by_channel=True)) as blocks:
        for block in blocks:
            if block.samples.shape[1] != 2:
                return False
            parts.append(block.samples)
            if sum(map(len, parts)) >= CALL_SECONDS * SAMPLE_RATE:
                break
    return sides_of_a_call(np.concatenate(parts))


def sides_of_a_call(samples: FloatArray) -> bool:
    """`is_call` for samples [T, 2] in memory, 16 kHz."""
    whole = samples[: len(samples) // _LEVEL * _LEVEL]
    if len(whole) < SAMPLE_RATE:
        return False
    levels = np.sqrt((whole.reshape(-1, _LEVEL, 2) ** 2).mean(axis=1))
    if ((levels**2).max(axis=0) < _QUIET).any():
        return False
    return all(
        np.corrcoef(pair[:, 0], pair[:, 1])[0, 1] < CALL_CORRELATION for pair in (whole, levels)
    )
