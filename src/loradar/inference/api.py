"""``from loradar import Detector``: verdicts from Python."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr

from loradar.audio.reading import SAMPLE_RATE
from loradar.audio.windows import WindowCutter
from loradar.detector.scorer import WindowScorer
from loradar.errors import InputError
from loradar.inference import judging
from loradar.inference.arrays import as_columns, at_rate, check_rate
from loradar.inference.model import Model, load_model
from loradar.inference.verdict import Segment, Verdict

if TYPE_CHECKING:
    from loradar.inference.arrays import Samples


class Detector:
    """Tells real human speech from machine-made speech.

    Safe to share among threads: files are read at the same time, windows scored one batch after
    the other.

    Parameters
    ----------
    model : Model
        See `from_pretrained`.

    Examples
    --------
    >>> detector = Detector.from_pretrained("runs/demo/moe_lora")  # doctest: +SKIP
    >>> detector.detect("clip.mp3").verdict  # doctest: +SKIP
    'SPOOF'
    >>> detector.detect(samples, sample_rate=44_100).p_spoof  # doctest: +SKIP
    0.973
    """

    def __init__(self, model: Model) -> None:
        self._model = replace(model, detector=_OneAtATime(model.detector))

    @classmethod
    def from_pretrained(
        cls, model: Path | str | None = None, *, device: str | None = None, engine: str = "torch"
    ) -> Detector:
        """Load a model.

        Parameters
        ----------
        model : Path or str, optional
            Folder that ``loradar train`` wrote, or ``loradar/embedded``, the default.
        device : str, optional
            ``cpu``, ``cuda``, ...; default: a GPU where there is one.
        engine : {"torch", "onnx", "onnx-int8"}
            ``onnx`` runs what ``loradar export`` wrote, on the CPU and without torch.

        Raises
        ------
        InputError
            There is no such folder or engine, or none is embedded.
        CheckpointError
            The folder is incomplete, altered or of a newer format.
        """
        return cls(load_model(model, device, engine))

    @property
    def name(self) -> str:
        """What verdicts call the model."""
        return self._model.name

    @property
    def window_s(self) -> float:
        """Seconds of a window."""
        return self._model.detector.window / SAMPLE_RATE

    def detect(
        self,
        clip: Path | str | Samples,
        sample_rate: int | None = None,
        *,
        prior: float = 0.5,
        channels: str = "auto",
        hop_s: float | None = None,
        batch_size: int = 16,
    ) -> Verdict:
        """Judge one clip.

        Parameters
        ----------
        clip : Path, str, ndarray or Tensor
            A file, or samples [T], [T, channels] or [channels, T]: float in [-1, 1], or integers.
        sample_rate : int, optional
            Of samples, in hertz; not for files.
        prior : float
            Prior probability of spoof, in (0, 1).
        channels : {"auto", "mix", "apart"}
            Whether channels are judged apart; ``auto``: those of a call are.
        hop_s : float, optional
            Seconds from window to window; default: two thirds of a window.
        batch_size : int
            Windows a forward pass.

        Returns
        -------
        Verdict

        Raises
        ------
        InputError
            The file cannot be read, or the samples are not what they should be.
        """
        _check_prior(prior)
        options = {"prior": prior, "channels": channels, "hop_s": hop_s, "batch_size": batch_size}
        if isinstance(clip, str | Path):
            if sample_rate is not None:
                raise InputError(f"{clip}: a file has its own sample rate; leave sample_rate out")
            (verdict,) = judging.detect(self._model, [clip], **options)  # type: ignore[arg-type]
            if verdict.verdict == "ERROR":
                raise InputError("; ".join(verdict.reasons))
            return verdict
        columns = at_rate(as_columns(clip), check_rate(sample_rate))
        return judging.judge(self._model, columns, **options)  # type: ignore[arg-type]

    def detect_many(
        self, paths: Iterable[Path | str], *, prior: float = 0.5, batch_size: int = 16
    ) -> Iterator[Verdict]:
        """Judge files one after the other; one that cannot be read gives an ERROR verdict."""
        _check_prior(prior)
        yield from judging.detect(self._model, paths, prior=prior, batch_size=batch_size)

    def stream(
        self,
        chunks: Iterable[Samples],
        sample_rate: int = SAMPLE_RATE,
        *,
        hop_s: float = 0.5,
        prior: float = 0.5,
    ) -> Iterator[Verdict]:
        """Judge sound as it comes.

        Parameters
        ----------
        chunks : iterable of ndarray or Tensor
            Samples as for `detect`, each chunk of any length; channels are averaged.
        sample_rate : int
            In hertz.
        hop_s : float
            Seconds from one verdict to the next.
        prior : float
            Prior probability of spoof, in (0, 1).

        Yields
        ------
        Verdict
            Of the last `window_s` seconds, before the chunk after the one that filled the window
            is asked for. ``segments`` holds the window alone, in seconds of the stream; ``seconds``
            is how far the stream was heard. A stream that ends early gives one verdict on what
            there was.

        Raises
        ------
        InputError
            As for `detect`.
        """
        _check_prior(prior)
        rate = check_rate(sample_rate)
        if not hop_s > 0:
            raise InputError(f"hop_s is {hop_s}; it must be above 0")
        window = self._model.detector.window
        cutter = WindowCutter(window, max(1, round(hop_s * SAMPLE_RATE)))
        for samples in _resampled(chunks, rate):
            for start, piece in cutter.push(samples):
                yield self._judge_window(start, piece, prior)
        for start, piece in cutter.close():
            # A short stream's window is tiled, which would hide that it was short.
            yield self._judge_window(start, piece[: cutter.samples], prior)

    def _judge_window(self, start: int, piece: np.ndarray, prior: float) -> Verdict:
        verdict = judging.judge(self._model, piece, path="stream", prior=prior, channels="mix")
        begin, end = start / SAMPLE_RATE, (start + len(piece)) / SAMPLE_RATE
        segments: tuple[Segment, ...] = ()
        if verdict.p_spoof is not None and verdict.llr is not None:
            segments = (Segment(begin, end, verdict.p_spoof, verdict.llr),)
        return replace(verdict, segments=segments, seconds=end)


class _OneAtATime:
    """A scorer that threads take in turn: each batch has all cores to itself."""

    def __init__(self, scorer: WindowScorer) -> None:
        self._scorer = scorer
        self._lock = threading.Lock()

    @property
    def window(self) -> int:
        return self._scorer.window

    def score_windows(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        with self._lock:
            return self._scorer.score_windows(batch)


def _resampled(chunks: Iterable[Samples], rate: int) -> Iterator[np.ndarray]:
    """Mono samples at 16 kHz, a piece a chunk and the resampler's rest."""
    resampler = None
    if rate != SAMPLE_RATE:
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    for number, chunk in enumerate(chunks):
        if np.size(chunk) == 0:
            continue
        mono = as_columns(chunk, f"chunk {number}").mean(axis=1, dtype=np.float32)
        yield mono if resampler is None else resampler.resample_chunk(mono)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _check_prior(prior: float) -> None:
    if not 0 < prior < 1:
        raise InputError(f"prior is {prior}; a probability above 0 and below 1 is needed")
