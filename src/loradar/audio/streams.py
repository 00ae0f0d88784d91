"""Reading audio block by block, so that a file of any length takes little memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from loradar.audio.archives import on_disk
from loradar.audio.decoders import BLOCK, AudioInfo, FloatArray, mixed
from loradar.audio.reading import (
    MAX_BYTES,
    SAMPLE_RATE,
    check_file,
    check_info,
    check_samples,
    native_blocks,
    too_long,
)
from loradar.errors import InputError

#: Longest file that is read block by block.
MAX_STREAM_SECONDS = 24 * 3600.0
#: Samples this near a block's peak, three in a row and on one side, are a flat top. Closer than
#: slow waves come to theirs, and as near as dithered 16-bit samples.
FLAT_TOP = 0.9998
#: Blocks whose peak stays below have tops of a few steps of quantisation only.
QUIET_PEAK = 0.05


@dataclass(frozen=True)
class Block:
    """Some samples of a file.

    Attributes
    ----------
    samples : ndarray of float32, [n] or [n, channels]
        At the rate asked for.
    clipped : float
        Share of samples in flat tops, at the file's own rate, where they still are flat; that of
        the worst channel.
    """

    samples: FloatArray
    clipped: float


def stream_audio(
    path: Path | str,
    sample_rate: int = SAMPLE_RATE,
    *,
    by_channel: bool = False,
    max_seconds: float = MAX_STREAM_SECONDS,
    max_bytes: int = MAX_BYTES,
) -> Generator[Block]:
    """Read a file in blocks of some seconds.

    Parameters
    ----------
    path : Path or str
        What `loradar.audio.reading.load_audio` reads.
    sample_rate : int
        Rate of the result in hertz.
    by_channel : bool
        Keep the channels apart, instead of their mean.
    max_seconds, max_bytes
        Limits, as for `loradar.audio.reading.load_audio`.

    Yields
    ------
    Block
        Joined, what ``load_audio`` gives.

    Raises
    ------
    InputError
        As for ``load_audio``; damage beyond the beginning only when it is reached.
    """
    path = Path(path)
    with on_disk(path, max_bytes) as file:
        check_file(file, max_bytes)
        yield from _stream(file, sample_rate, by_channel=by_channel, max_seconds=max_seconds)


def _stream(
    path: Path, sample_rate: int, *, by_channel: bool, max_seconds: float
) -> Iterator[Block]:
    resampler: soxr.ResampleStream | None = None
    total = 0
    for info, samples in _native(path, max_seconds):
        mono = samples if by_channel else mixed(samples)[:, None]
        if resampler is None and info.sample_rate != sample_rate:
            channels = mono.shape[1]
            resampler = soxr.ResampleStream(
                info.sample_rate, sample_rate, channels, dtype="float32"
            )
        clipped = flat_tops(samples)
        if resampler is not None:
            mono = resampler.resample_chunk(np.ascontiguousarray(mono))
        block = _checked(mono, path, by_channel)
        total += len(block)
        yield Block(block, clipped)
    if resampler is not None:
        channels = mono.shape[1]
        rest = resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)
        block = _checked(rest.reshape(-1, channels), path, by_channel)
        total += len(block)
        yield Block(block, 0.0)
    if not total:
        raise InputError(f"{path}: holds no samples; give a clip with sound in it")


def flat_tops(samples: FloatArray) -> float:
    """Return the share of samples that lie in flat tops, where a signal was clipped.

    Parameters
    ----------
    samples : ndarray, [n] or [n, channels]
        As recorded: resampling rounds flat tops off, and so do lossy codecs.

    Returns
    -------
    float
        Of the worst channel: samples within 0.02 % of the peak that have two neighbours so too,
        on the same side.

    Examples
    --------
    >>> flat_tops(np.clip(np.sin(np.arange(1000) / 10), -0.5, 0.5).astype("f4")) > 0.5
    True
    >>> flat_tops(np.sin(np.arange(1000) / 10).astype("f4"))
    0.0
    """
    if len(samples) < 3 or np.abs(samples).max() < QUIET_PEAK:
        return 0.0
    return max(map(_flat_share, samples.reshape(len(samples), -1).T))


def _flat_share(channel: FloatArray) -> float:
    peak = np.abs(channel).max()
    if peak < QUIET_PEAK:
        return 0.0
    share = 0.0
    for top in (channel >= FLAT_TOP * peak, channel <= -FLAT_TOP * peak):
        if not top.any():
            continue
        middle = top[1:-1] & top[:-2] & top[2:]
        spread = np.zeros_like(top)
        for shift in range(3):
            spread[shift : shift + len(middle)] |= middle
        share += float(spread.mean())
    return share


def _native(path: Path, max_seconds: float) -> Iterator[tuple[AudioInfo, FloatArray]]:
    """Yield blocks [n, channels] at the file's own rate; an error above the limit of length."""

    def check(info: AudioInfo) -> None:
        check_info(info, 0.0, None, max_seconds)

    with closing(native_blocks(path, check=check)) as blocks:
        info, _ = next(blocks)
        done = 0
        for block in _joined(part for _, part in blocks):
            done += len(block)
            if done > max_seconds * info.sample_rate:
                too_long(info, max_seconds)
            yield info, block


def _joined(blocks: Iterator[FloatArray]) -> Iterator[FloatArray]:
    """Join FFmpeg's frames of some milliseconds to blocks of `BLOCK` samples or more."""
    waiting: list[FloatArray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= BLOCK:
            yield np.concatenate(waiting) if len(waiting) > 1 else block
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _checked(samples: FloatArray, path: Path, by_channel: bool) -> FloatArray:
    check_samples(samples, path)
    return samples if by_channel else samples[:, 0]
