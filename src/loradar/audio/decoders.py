"""Two decoders behind one face: libsndfile, and FFmpeg (PyAV) where libsndfile cannot.

Both hand out blocks at the file's own rate, so that no file, however many channels or
samples it claims, is ever held in memory whole before its limits are checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

BLOCK = 65_536
# A file may lack this much of what its header promises before it counts as cut off: encoder
# delay and padding make durations inexact.
TRUNCATION_TOLERANCE_S = 0.1
# FFmpeg formats worth reading. Playlists and scripts (hls, concat, sdp, ...) open other files and
# addresses by themselves and must never be tried on an untrusted file.
AV_FORMATS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,ac3,eac3,aiff,amr,asf,au,avi,caf,flac,flv,mp3,"
    "mpeg,mpegts,ogg,w64,wav"
)
# Formats whose header states the duration; FFmpeg guesses that of the others from the bit rate.
AV_EXACT_DURATION = frozenset({"matroska", "mov", "flac", "wav"})
# Formats whose time stamps are exact to the sample; the others are decoded from their start.
AV_SEEKABLE = frozenset({"mov", "flac", "wav"})


class DecodeError(Exception):
    """A decoder cannot read the file; the message is the reason alone."""


class CutOffError(DecodeError):
    """The file holds less than its header promises, so that no other decoder can help."""

    def __init__(self, promised_s: float, held_s: float) -> None:
        super().__init__(
            f"the file is cut off: its header promises {promised_s:.2f} s, it holds {held_s:.2f} s"
        )


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes
    ----------
    path : str
        The file.
    seconds : float or None
        Duration; None where the header does not say.
    sample_rate : int
        Native rate in hertz.
    channels : int
        Number of channels.
    container, codec : str
        For instance ``WAV``, ``PCM_16``; ``mov``, ``aac``.
    bit_rate : float or None
        Bits a second of the audio track; None where that cannot be told.
    """

    path: str
    seconds: float | None
    sample_rate: int
    channels: int
    container: str
    codec: str
    bit_rate: float | None = None


class Decoder(Protocol):
    """An opened audio file; use it as a context manager."""

    info: AudioInfo

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def blocks(self, offset_s: float, *, mix: bool = True) -> Iterator[FloatArray]:
        """Yield float32 blocks from ``offset_s`` on, at the native rate.

        They are the mean of the channels, [n], or with ``mix=False`` all of them, [n, channels].

        Raises
        ------
        DecodeError
            The data is damaged or ends early.
        """
        ...


class SndfileDecoder:
    """libsndfile: wav, flac, mp3, ogg, opus, aiff and more.

    Raises
    ------
    DecodeError
        Not a format that libsndfile knows.
    """

    def __init__(self, path: Path) -> None:
        import soundfile

        self._error: type[Exception] = soundfile.LibsndfileError
        # A descriptor, not a name: libsndfile then goes by the content, never by the suffix.
        self._handle = path.open("rb")
        try:
            self._file: Any = soundfile.SoundFile(self._handle.fileno(), closefd=False)
        except soundfile.LibsndfileError as error:
            self._handle.close()
            raise DecodeError(_reason(error.error_string)) from None
        rate = int(self._file.samplerate)
        frames = int(self._file.frames)
        # Streamed files carry no count; libsndfile then gives 0 or a number near 2^63.
        self._frames = frames if 0 <= frames < 2**40 else None
        if self._file.format in ("WAV", "WAVEX"):
            promised = _promised_wav_frames(path)
            if promised is not None and promised - frames > TRUNCATION_TOLERANCE_S * rate:
                self.close()
                raise CutOffError(promised / rate, frames / rate)
        self.info = AudioInfo(
            path=str(path),
            seconds=self._frames / rate if self._frames is not None and rate > 0 else None,
            sample_rate=rate,
            channels=int(self._file.channels),
            container=str(self._file.format),
            codec=str(self._file.subtype),
            bit_rate=self._bit_rate(path, rate),
        )

    def _bit_rate(self, path: Path, rate: int) -> float | None:
        # The file's size: headers and tags count too, which for speech is little.
        return 8 * path.stat().st_size * rate / self._frames if self._frames and rate else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._handle.close()

    def blocks(self, offset_s: float, *, mix: bool = True) -> Iterator[FloatArray]:
        """Yield float32 blocks; see `Decoder.blocks`."""
        position = round(offset_s * self.info.sample_rate)
        try:
            if position:
                if self._frames is not None:
                    position = min(position, self._frames)
                self._file.seek(position)
            while True:
                block = self._file.read(BLOCK, dtype="float32", always_2d=True)
                if len(block) == 0:
                    break
                position += len(block)
                yield mixed(block) if mix else block
        except self._error as error:
            raise DecodeError(_reason(getattr(error, "error_string", str(error)))) from None
        missing = (self._frames or 0) - position
        if missing > TRUNCATION_TOLERANCE_S * self.info.sample_rate:
            rate = self.info.sample_rate
            raise CutOffError((self._frames or 0) / rate, position / rate)


class AvDecoder:
    """FFmpeg through PyAV: m4a, webm, and whatever libsndfile rejects.

    Raises
    ------
    DecodeError
        Not a format that FFmpeg knows, or without an audio track.
    """

    def __init__(self, path: Path) -> None:
        import av

        self._error: type[Exception] = av.FFmpegError
        # Opened here, not by FFmpeg: a name such as "concat:..." is then only a name.
        self._handle = path.open("rb")
        self._container: Any = None
        try:
            self._container = av.open(
                self._handle,
                options={"format_whitelist": AV_FORMATS, "protocol_whitelist": "file"},
                metadata_errors="replace",
            )
            if not self._container.streams.audio:
                raise DecodeError("it holds no audio track")
            self._stream: Any = self._container.streams.audio[0]
            context = self._stream.codec_context
            if context is None or not context.sample_rate:
                raise DecodeError("its audio track cannot be decoded")
        except av.FFmpegError as error:
            self.close()
            raise DecodeError(_reason(error.strerror)) from None
        except BaseException:
            self.close()
            raise
        name = str(self._container.format.name).split(",")[0]
        self.info = AudioInfo(
            path=str(path),
            seconds=self._seconds(),
            sample_rate=int(context.sample_rate),
            channels=int(context.channels),
            container=name,
            codec=str(context.name),
            bit_rate=float(self._stream.bit_rate) if self._stream.bit_rate else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        self._handle.close()

    def _seconds(self) -> float | None:
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None:
            return float(self._container.duration) / 1e6  # AV_TIME_BASE: microseconds
        return None

    def blocks(self, offset_s: float, *, mix: bool = True) -> Iterator[FloatArray]:
        """Yield float32 blocks; see `Decoder.blocks`."""
        rate = self.info.sample_rate
        try:
            seeks = offset_s > 0 and self.info.container in AV_SEEKABLE
            start_s = self._seek(offset_s) if seeks else 0.0
            position = -1
            for frame in self._container.decode(self._stream):
                if frame.sample_rate != rate:
                    raise DecodeError(
                        f"its sample rate changes from {rate} to {frame.sample_rate} Hz midway"
                    )
                samples = _by_channel(_array(frame), frame.layout.nb_channels)
                if samples.shape[1] != self.info.channels:
                    # Headers of HE-AAC count less than is decoded, and streams may change midway.
                    samples = np.repeat(mixed(samples)[:, None], self.info.channels, axis=1)
                if position < 0:
                    # After a seek the first frame says where the decoder landed.
                    landed = frame.time - start_s if seeks and frame.time is not None else 0.0
                    position = round(landed * rate)
                skip = round(offset_s * rate) - position
                position += len(samples)
                if skip < len(samples):
                    part = samples[max(skip, 0) :]
                    yield mixed(part) if mix else part
        except (self._error, ValueError) as error:
            raise DecodeError(_reason(getattr(error, "strerror", None) or str(error))) from None
        held = max(position, 0) / rate
        promised = self.info.seconds if self.info.container in AV_EXACT_DURATION else None
        if promised is not None and promised - held > TRUNCATION_TOLERANCE_S:
            raise CutOffError(promised, held)

    def _seek(self, offset_s: float) -> float:
        """Seek to just before ``offset_s``; return the time of the track's first sample."""
        start_s = 0.0
        if self._stream.start_time is not None and self._stream.time_base is not None:
            # A start below 0 is encoder delay, which FFmpeg trims: the first sample is at 0.
            start_s = max(0.0, float(self._stream.start_time * self._stream.time_base))
        # Overlap-coded formats need some frames before the first good one.
        target = max(0.0, offset_s - 1.0) + start_s
        self._container.seek(round(target * 1e6))
        return start_s


def _array(frame: Any) -> NDArray[Any]:
    """Return a frame's samples, [channels, n] or packed [1, n * channels]."""
    if frame.format.is_planar and frame.layout.nb_channels >= 8:
        import av

        # PyAV 14 to 18 runs past the end of eight planes and more, and crashes; packed is safe.
        packed = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate)
        parts = [*packed.resample(frame), *packed.resample(None)]
        return np.concatenate([part.to_ndarray() for part in parts], axis=1)
    array: NDArray[Any] = frame.to_ndarray()
    return array


def mixed(samples: FloatArray) -> FloatArray:
    """[n, channels] to the mean [n]."""
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0]
    if channels >= 8:
        mean: FloatArray = samples.mean(axis=1)
        return mean
    # The same sums as NumPy's along so short an axis, some ten times as fast.
    total: FloatArray = samples[:, 0].copy()
    for channel in range(1, channels):
        total += samples[:, channel]
    total /= np.float32(channels)
    return total


def _by_channel(samples: NDArray[Any], channels: int) -> FloatArray:
    """FFmpeg's arrays ([channels, n] planar, [1, n * channels] packed) to float32 [n, channels]."""
    if samples.shape[0] == 1 and channels > 1:
        samples = samples.reshape(-1, channels).T
    if samples.dtype == np.uint8:
        scaled = (samples.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples.dtype, np.integer):
        scaled = samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
    else:
        scaled = samples
    turned: FloatArray = scaled.T.astype(np.float32)
    return turned


def _promised_wav_frames(path: Path) -> int | None:
    """Return the frames a RIFF header promises, None where it does not say.

    libsndfile shortens the count to what is there and says nothing.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        align = 0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                # 0 and 0x7FFFF000 and above: written by a program that could not seek back.
                return None if not align or not 0 < size < 0x7FFFF000 else size // align
            start = file.tell()
            if name == b"fmt " and size >= 16:
                align = struct.unpack("<12xH", file.read(14))[0]
            file.seek(start + size + size % 2)
    return None


def _reason(text: object) -> str:
    reason = " ".join(str(text or "unknown error").split()).rstrip(".")
    # FFmpeg's words for anything it does not recognise.
    unknown = reason.startswith(("Invalid data found", "Invalid argument"))
    return "unknown format or damaged" if unknown else reason
