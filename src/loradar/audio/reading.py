"""Reading audio: any common container, rate and channel count to mono float32.

Files are untrusted: size, duration, channels and rate are limited, and whatever is wrong with a
file ends as one `InputError` that names it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import soxr

from loradar.audio.archives import on_disk
from loradar.audio.decoders import (
    AudioInfo,
    AvDecoder,
    CutOffError,
    DecodeError,
    Decoder,
    FloatArray,
    SndfileDecoder,
    mixed,
)
from loradar.errors import InputError

SAMPLE_RATE = 16_000
MAX_BYTES = 4 * 1024**3
MAX_SECONDS = 2 * 3600.0
MAX_CHANNELS = 64
MAX_PEAK = 1e6  # float files may exceed 1, but squares of such samples overflow later
RATES = (1_000, 768_000)
AUDIO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("wav", "flac", "mp3", "ogg", "oga", "opus", "m4a", "mp4", "aac", "webm", "mka"),
        *("aif", "aiff", "au", "caf", "amr", "wma", "w64"),
    )
)

DECODERS: tuple[Callable[[Path], Decoder], ...] = (SndfileDecoder, AvDecoder)
_FORMATS = "wav, flac, mp3, ogg, opus, m4a or webm"


def load_audio(
    path: Path | str,
    sample_rate: int = SAMPLE_RATE,
    *,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    max_seconds: float = MAX_SECONDS,
    max_bytes: int = MAX_BYTES,
    max_channels: int = MAX_CHANNELS,
) -> FloatArray:
    """Read a clip as mono samples.

    Channels are averaged. Integer formats come out in [-1, 1]; float formats keep values beyond.
    A file cut off is an error where its header promises more (wav, flac, mp3, m4a, webm); ogg,
    opus and raw aac carry no dependable length, so what is there is read.

    Parameters
    ----------
    path : Path or str
        wav, flac, mp3, ogg, opus, m4a, webm, or whatever else libsndfile or FFmpeg reads; also a
        member of a shard (`loradar.audio.archives`).
    sample_rate : int
        Rate of the result in hertz.
    offset_s, duration_s : float
        The part to read, in seconds. What lies beyond the file's end is left out.
    max_seconds : float
        Longest result; a longer one is an error, never cut silently.
    max_bytes : int
        Largest file.
    max_channels : int
        Most channels.

    Returns
    -------
    ndarray of float32, [T]
        At least one sample, all finite.

    Raises
    ------
    InputError
        The file is missing, a folder, empty, not audio, damaged, cut off, beyond a limit, holds
        no samples or holds NaN; or the part asked for lies beyond its end.
    """
    path = Path(path)
    if not offset_s >= 0 or (duration_s is not None and not duration_s > 0):
        raise InputError(
            f"{path}: cannot read {duration_s} s from {offset_s} s: the offset must be 0 or more "
            "and the duration above 0"
        )

    with on_disk(path, max_bytes) as file:
        check_file(file, max_bytes)

        def check(info: AudioInfo) -> None:
            check_info(info, offset_s, duration_s, max_seconds, max_channels)

        # Closed here, so that a part read ends its decoder too.
        with closing(native_blocks(file, offset_s, check=check)) as blocks:
            info, _ = next(blocks)
            parts = _limited(blocks, info, duration_s, max_seconds)
            samples = _collect(parts, info.sample_rate, sample_rate)
    if samples.size == 0:
        raise InputError(
            f"{path}: nothing to read from {offset_s:g} s on; give an offset inside the clip"
            if offset_s > 0
            else f"{path}: holds no samples; give a clip with sound in it"
        )
    check_samples(samples, path)
    return samples


def check_samples(samples: FloatArray, path: Path | str) -> None:
    """Refuse samples that are not finite, or so large that their squares overflow.

    Raises
    ------
    InputError
        Names the file.
    """
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: holds samples that are NaN or infinite; export the clip again")
    if samples.size and np.abs(samples).max() > MAX_PEAK:
        raise InputError(
            f"{path}: holds samples above {MAX_PEAK:g}, far outside -1 to 1; export it again"
        )


def probe(path: Path | str, *, max_bytes: int = MAX_BYTES) -> AudioInfo:
    """Read a file's header: duration, rate, channels, container and codec.

    Raises
    ------
    InputError
        The file is missing, empty or not audio.
    """
    path = Path(path)
    with on_disk(path, max_bytes) as file:
        check_file(file, max_bytes)
        with closing(native_blocks(file)) as blocks:
            info, _ = next(blocks)
    return replace(info, path=str(path))


def native_blocks(
    path: Path, offset_s: float = 0.0, *, check: Callable[[AudioInfo], None] | None = None
) -> Generator[tuple[AudioInfo, FloatArray]]:
    """Yield blocks at the file's own rate, from the first decoder that can.

    Where one fails midway, the next goes on at the same sample.

    Parameters
    ----------
    path : Path
        A file that `check_file` has passed.
    offset_s : float
        Where to begin, in s.
    check : callable, optional
        Called with what the header says, before anything is decoded; raises to refuse the file.

    Yields
    ------
    (AudioInfo, ndarray of float32, [n, channels])
        First, with no samples, what the header says.

    Raises
    ------
    InputError
        No decoder can read the file, or it is cut off.
    """
    reason, done = "", 0
    first: AudioInfo | None = None
    for kind in DECODERS:
        try:
            with ExitStack() as stack:
                decoder = stack.enter_context(kind(path))
                info = decoder.info
                if check is not None:
                    check(info)
                if first is None:
                    first = info
                    yield info, np.zeros((0, info.channels), np.float32)
                if (info.sample_rate, info.channels) != (first.sample_rate, first.channels):
                    raise DecodeError(reason)
                skip = done
                for block in decoder.blocks(offset_s, mix=False):
                    part, skip = block[skip:], max(skip - len(block), 0)
                    done += len(part)
                    if len(part):
                        yield info, part
            return
        except CutOffError as error:
            raise InputError(f"{path}: {error}; get the file again") from None
        except DecodeError as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or str(error)
    raise unreadable(path, reason)


def unreadable(path: Path | str, reason: str) -> InputError:
    """Return the error for a file that no decoder could read."""
    return InputError(f"{path}: cannot be read as audio ({reason}); give a whole {_FORMATS} file")


def check_file(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is not a readable file of a sensible size, with an `InputError`."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: is a folder; give an audio file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is not a regular file; give an audio file")
    if status.st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); get the file again")
    if status.st_size > max_bytes:
        raise InputError(
            f"{path}: {status.st_size:,} bytes is above the limit of {max_bytes:,}; split the file"
        )
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: no permission to read it; change its mode or owner")


def check_info(
    info: AudioInfo,
    offset_s: float,
    duration_s: float | None,
    max_seconds: float,
    max_channels: int = MAX_CHANNELS,
) -> None:
    """Refuse rates, channel counts and durations beyond the limits, with an `InputError`."""
    if not 1 <= info.channels <= max_channels:
        raise InputError(
            f"{info.path}: {info.channels} channels, where 1 to {max_channels} can be read; "
            "mix it down first"
        )
    low, high = RATES
    if not low <= info.sample_rate <= high:
        raise InputError(
            f"{info.path}: a sample rate of {info.sample_rate} Hz, where {low} to {high} Hz can "
            "be read; resample it first"
        )
    if duration_s is not None and duration_s <= max_seconds:
        return
    if info.seconds is not None and info.seconds - offset_s > max_seconds:
        too_long(info, max_seconds)


def _limited(
    blocks: Iterator[tuple[AudioInfo, FloatArray]],
    info: AudioInfo,
    duration_s: float | None,
    max_seconds: float,
) -> Iterator[FloatArray]:
    """Mono blocks [n] up to the duration asked for; an error above the limit."""
    wanted = None if duration_s is None else round(duration_s * info.sample_rate)
    limit = round(max_seconds * info.sample_rate)
    count = 0
    for _, block in blocks:
        part = mixed(block if wanted is None else block[: wanted - count])
        count += len(part)
        if count > limit:
            too_long(info, max_seconds)
        yield part
        if count == wanted:
            return


def too_long(info: AudioInfo, max_seconds: float) -> NoReturn:
    """Raise the `InputError` for a file above the limit of length."""
    length = "" if info.seconds is None else f" ({info.seconds:,.0f} s)"
    raise InputError(
        f"{info.path}: longer{length} than the limit of {max_seconds:,.0f} s; "
        "read it in parts or raise max_seconds"
    )


def _collect(blocks: Iterator[FloatArray], rate_in: int, rate_out: int) -> FloatArray:
    """Join blocks, resampled from one rate to the other as they come."""
    if rate_in == rate_out:
        parts = list(blocks)
    else:
        stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
        parts = [stream.resample_chunk(np.ascontiguousarray(block)) for block in blocks]
        parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts).astype(np.float32, copy=False) if parts else np.zeros(0, "f4")
