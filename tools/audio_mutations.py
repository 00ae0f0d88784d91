"""Audio files made wrong in ways that files go wrong, and in ways that only an attacker finds.

`tools/fuzz_audio.py` has them judged. Every file comes from generated sound, a seed and a number.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import numpy as np
import soundfile

Array = np.ndarray
SECONDS = 1.2

# (suffix, libsndfile's format and subtype, rate, channels)
_SNDFILE = (
    ("wav", "WAV", "PCM_16", 16_000, 1),
    ("wav", "WAV", "PCM_U8", 8_000, 1),
    ("wav", "WAV", "PCM_24", 44_100, 2),
    ("wav", "WAV", "FLOAT", 48_000, 2),
    ("wav", "WAV", "DOUBLE", 16_000, 1),
    ("wav", "WAV", "ULAW", 8_000, 1),
    ("wav", "WAV", "ALAW", 8_000, 2),
    ("wav", "WAV", "IMA_ADPCM", 16_000, 1),
    ("wav", "WAV", "MS_ADPCM", 16_000, 2),
    ("wav", "WAV", "GSM610", 8_000, 1),
    ("wav", "WAVEX", "PCM_16", 16_000, 2),
    ("wav", "RF64", "PCM_16", 16_000, 1),
    ("w64", "W64", "PCM_16", 16_000, 1),
    ("aiff", "AIFF", "PCM_16", 22_050, 1),
    ("aiff", "AIFF", "FLOAT", 16_000, 1),
    ("au", "AU", "PCM_16", 16_000, 1),
    ("au", "AU", "G721_32", 8_000, 1),
    ("caf", "CAF", "PCM_16", 16_000, 1),
    ("caf", "CAF", "ALAC_16", 16_000, 1),
    ("flac", "FLAC", "PCM_16", 16_000, 1),
    ("flac", "FLAC", "PCM_24", 48_000, 2),
    ("ogg", "OGG", "VORBIS", 16_000, 1),
    ("opus", "OGG", "OPUS", 48_000, 2),
    ("mp3", "MP3", "MPEG_LAYER_III", 16_000, 1),
    ("mp3", "MP3", "MPEG_LAYER_III", 44_100, 2),
    ("nist", "NIST", "PCM_16", 16_000, 1),
    ("voc", "VOC", "PCM_16", 16_000, 1),
    ("sf", "IRCAM", "PCM_16", 16_000, 1),
    ("avr", "AVR", "PCM_16", 16_000, 1),
    ("paf", "PAF", "PCM_16", 16_000, 1),
    ("svx", "SVX", "PCM_16", 16_000, 1),
    ("mat", "MAT4", "PCM_16", 16_000, 1),
    ("mat", "MAT5", "PCM_16", 16_000, 1),
    ("htk", "HTK", "PCM_16", 16_000, 1),
    ("pvf", "PVF", "PCM_16", 16_000, 1),
    ("mpc", "MPC2K", "PCM_16", 16_000, 1),
    ("sds", "SDS", "PCM_16", 16_000, 1),
    ("xi", "XI", "DPCM_16", 44_100, 1),
)
# (suffix, FFmpeg's format, codec, rate, channels)
_FFMPEG = (
    ("m4a", "ipod", "aac", 16_000, 1),
    ("mp4", "mp4", "alac", 44_100, 2),
    ("webm", "webm", "libopus", 48_000, 1),
    ("mka", "matroska", "flac", 16_000, 1),
    ("aac", "adts", "aac", 44_100, 2),
    ("wma", "asf", "wmav2", 16_000, 1),
    ("ts", "mpegts", "aac", 16_000, 1),
    ("ac3", "ac3", "ac3", 48_000, 2),
    ("mp2", "mp2", "mp2", 16_000, 1),
    ("avi", "avi", "pcm_s16le", 16_000, 1),
    ("flv", "flv", "aac", 44_100, 1),
    ("amr", "amr", "libopencore_amrnb", 8_000, 1),
    ("3gp", "3gp", "libopencore_amrnb", 8_000, 1),
)
_MARKS = (
    *(b"RIFF", b"WAVE", b"fmt ", b"data", b"fact", b"ds64", b"FORM", b"COMM", b"SSND", b"caff"),
    *(b"desc", b"pakt", b"fLaC", b"OggS", b"vorbis", b"OpusHead", b"ftyp", b"moov", b"mdat"),
    *(b"trak", b"stsd", b"stsz", b"stsc", b"stco", b"stts", b"mdhd", b"elst", b".snd", b"Xing"),
    *(b"Info", b"LAVC", b"esds", b"sample_count", b"moof", b"ID3", b"FLV", b"\x1aE\xdf\xa3"),
)
_EXTREMES = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_RATES = (0, 1, 7, 999, 768_001, 1_000_000, 0x7FFFFFFF, 0xFFFFFFFF)
_CHANNELS = (0, 9, 32, 63, 64, 65, 255, 256, 1024, 0xFFFF)
_VALUES = (np.nan, np.inf, -np.inf, 1e30, -1e38, 1e-42, 1e5)


def voice(seconds: float, rate: int) -> Array:
    """Make a sound that passes for speech: gliding pitch, a moving resonance, syllables."""
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 30 * np.sin(2 * np.pi * 1.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formant = 900 + 500 * np.sin(2 * np.pi * 2.1 * time)
    sound = np.zeros(len(time))
    for k in range(1, 24):
        hertz = k * pitch
        gain = np.exp(-(((hertz - formant) / 300) ** 2)) + 0.05
        sound += np.where(hertz < 0.45 * rate, gain, 0) * np.sin(k * phase)
    shaped: Array = 0.1 * sound * np.sin(np.pi * 4 * time) ** 2
    return shaped


def by_sndfile(sound: Array, rate: int, kind: str, subtype: str) -> bytes:
    """Write a file into memory with libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def by_ffmpeg(sound: Array, rate: int, kind: str, codec: str) -> bytes:
    """Write a file into memory with FFmpeg; ``sound`` is [n] or [n, channels]."""
    sound = sound.reshape(len(sound), -1)
    layout = "stereo" if sound.shape[1] == 2 else "mono"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        packed = np.ascontiguousarray(sound.astype(np.float32)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, "flt", layout)
        frame.sample_rate = rate
        for part in (frame, None):
            container.mux(stream.encode(part))
    return buffer.getvalue()


class Mutator:
    """Makes mutated files in a folder.

    Parameters
    ----------
    seed : int
        The same one gives the same files.
    folder : Path
        Where they go.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self._seed = seed
        self._folder = folder
        self.originals: list[tuple[str, str, bytes]] = []  # container/codec, suffix, bytes
        for suffix, kind, subtype, rate, channels in _SNDFILE:
            self._add(f"{kind}/{subtype}", suffix, by_sndfile, rate, channels, kind, subtype)
        for suffix, kind, codec, rate, channels in _FFMPEG:
            self._add(f"{kind}/{codec}", suffix, by_ffmpeg, rate, channels, kind, codec)
        self._ways: tuple[tuple[str, Callable[[np.random.Generator], _Made]], ...] = (
            ("cut", self._cut),
            ("flip", self._flip),
            ("header", self._header),
            ("declared", self._declared),
            ("values", self._values),
            ("rate", self._rate),
            ("channels", self._channels),
            ("mixed", self._mixed),
        )

    @staticmethod
    def sound_file() -> bytes:
        """Return a WAV file that is as it should be."""
        return by_sndfile(voice(SECONDS, 16_000), 16_000, "WAV", "PCM_16")

    @property
    def containers(self) -> list[str]:
        """Container and codec of each original."""
        return [name for name, _, _ in self.originals]

    def write_originals(self) -> list[Path]:
        """Write each original, whole."""
        paths = []
        for number, (_, suffix, data) in enumerate(self.originals):
            paths.append(self._folder / f"original{number:02d}.{suffix}")
            paths[-1].write_bytes(data)
        return paths

    def write(self, number: int) -> tuple[Path, str, str]:
        """Write mutated file ``number``; return it, its kind of mutation, and what was done."""
        rng = np.random.default_rng([self._seed, number])
        what, make = self._ways[number % len(self._ways)]
        if number % 50 == 49:
            what, make = "silence", self._silence
        name, suffix, data = make(rng)
        path = self._folder / f"{number:05d}.{suffix}"
        path.write_bytes(data)
        if what == "silence" and suffix == "wav":
            # A header and a hole: nothing on disk, hours to read.
            os.truncate(path, struct.unpack("<I", data[-4:])[0] + len(data))
        return path, what, f"{what}: {name}"

    def _add(
        self,
        name: str,
        suffix: str,
        write: Callable[[Array, int, str, str], bytes],
        rate: int,
        channels: int,
        kind: str,
        codec: str,
    ) -> None:
        sound = voice(SECONDS, rate)
        if channels > 1:
            sound = np.stack([sound, np.roll(sound, rate // 3)], axis=1)
        try:
            self.originals.append((name, suffix, write(sound, rate, kind, codec)))
        except (soundfile.LibsndfileError, av.FFmpegError, ValueError):
            return  # this machine's libraries cannot write it

    def _pick(self, rng: np.random.Generator) -> _Made:
        return self.originals[int(rng.integers(len(self.originals)))]

    def _cut(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = self._pick(rng)
        # Half of them inside the header, where the parsers are.
        high = len(data) if rng.random() < 0.5 else min(600, len(data))
        start = 0 if rng.random() < 0.8 else int(rng.integers(high))
        return f"{name} cut", suffix, data[start : start + int(rng.integers(high))]

    def _flip(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = self._pick(rng)
        changed = np.frombuffer(data, np.uint8).copy()
        high = len(changed) if rng.random() < 0.5 else min(300, len(changed))
        count = int(2 ** rng.uniform(0, 9))
        np.bitwise_xor.at(changed, rng.integers(high, size=count), 1 << rng.integers(8, size=count))
        return f"{name}, {count} bits flipped", suffix, changed.tobytes()

    def _header(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = self._pick(rng)
        other, other_suffix, other_data = self._pick(rng)
        size = int(rng.choice([4, 12, 44, 128, 512]))
        way = int(rng.integers(3))
        if way == 0:
            return f"{name} named .{other_suffix}", other_suffix, data
        if way == 1:
            return f"{name} behind the head of {other}", suffix, other_data[:size] + data[size:]
        return f"{name} behind all of {other}", suffix, other_data + data

    def _declared(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = self._pick(rng)
        changed = bytearray(data)
        found = [data.find(mark) + len(mark) for mark in _MARKS if mark in data]
        for _ in range(int(rng.integers(1, 4))):
            if found and rng.random() < 0.7:
                at = int(rng.choice(found)) + int(rng.choice([-12, -8, 0, 4, 8, 12, 16]))
            else:
                at = int(rng.integers(min(400, len(data))))
            value = int(rng.choice(np.array(_EXTREMES, np.uint64)))
            form = str(rng.choice(["<I", ">I", "<Q", ">Q"]))
            field = struct.pack(form, value)
            at = max(0, min(at, len(changed) - len(field)))
            changed[at : at + len(field)] = field
        return f"{name}, sizes overwritten", suffix, bytes(changed)

    def _values(self, rng: np.random.Generator) -> _Made:
        kinds = ("WAV", "AIFF", "AU", "CAF", "W64", "MAT5", "RF64")
        kind, subtype = str(rng.choice(kinds)), str(rng.choice(["FLOAT", "DOUBLE"]))
        sound = voice(SECONDS, 16_000)
        if rng.random() < 0.3:
            sound = np.stack([sound, sound], axis=1)
        value = float(rng.choice(_VALUES))
        if subtype == "DOUBLE" and rng.random() < 0.3:
            value *= 1e200  # beyond what float32 holds
        share = float(rng.choice([1e-9, 1e-3, 0.5, 1.0]))
        where = rng.random(sound.shape) < share
        where.reshape(-1)[int(rng.integers(where.size))] = True
        sound[where] = value
        data = by_sndfile(sound, int(rng.choice([8_000, 16_000, 44_100])), kind, subtype)
        return f"{kind}/{subtype}, {where.sum()} times {value:g}", kind.lower(), data

    def _rate(self, rng: np.random.Generator) -> _Made:
        rate = int(rng.choice(_RATES))
        name, suffix, data = self._pick(rng)
        forms: list[tuple[bytes, bytes]] = []
        for known in (8_000, 16_000, 22_050, 44_100, 48_000):
            forms += [(struct.pack(f, known), struct.pack(f, rate)) for f in ("<I", ">I")]
            forms += [(struct.pack(f, known), struct.pack(f, float(rate))) for f in ("<d", ">d")]
            forms.append((struct.pack(">I", known << 16)[:3], struct.pack(">I", rate & 0xFFFF)[1:]))
            forms.append((_extended(known), _extended(rate)))
            forms.append((b"%d" % known, b"%d" % rate))
        if data[:4] == b"fLaC":
            packed = int.from_bytes(data[18:21], "big") & 0xF | (rate & 0xFFFFF) << 4
            return f"{name} at {rate} Hz", suffix, data[:18] + packed.to_bytes(3, "big") + data[21:]
        for old, new in forms:
            if old in data[:2000]:
                return f"{name} at {rate} Hz", suffix, data.replace(old, new, 1)
        kind = str(rng.choice(["WAV", "AU", "AIFF", "CAF"]))
        rate = min(max(rate, 1), 0x7FFFFFFF)
        data = by_sndfile(voice(SECONDS, 16_000), rate, kind, "PCM_16")
        return f"{kind} at {rate} Hz", kind.lower(), data

    def _channels(self, rng: np.random.Generator) -> _Made:
        channels = int(rng.choice(_CHANNELS))
        kind = str(rng.choice(["WAV", "WAVEX", "AIFF", "AU", "CAF", "W64"]))
        if rng.random() < 0.4 or not 1 <= channels <= 1024:
            data = bytearray(by_sndfile(voice(SECONDS, 16_000), 16_000, "WAV", "PCM_16"))
            data[22:24] = struct.pack("<H", channels)
            return f"WAV that says {channels} channels", "wav", bytes(data)
        count = int(rng.choice([1, 100, 16_000, 48_000])) if channels <= 64 else 100
        sound = np.tile(voice(SECONDS, 16_000)[:, None], (3, channels))[:count]
        try:
            data_ = by_sndfile(sound, int(rng.choice([8_000, 192_000, 768_000])), kind, "PCM_16")
        except soundfile.LibsndfileError:
            data_ = by_sndfile(sound[:, :64], 8_000, "WAV", "PCM_16")
        return f"{kind} of {channels} channels, {count} samples", kind.lower(), data_

    def _mixed(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = self._pick(rng)
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 5))):
            at, size = int(rng.integers(len(changed))), int(2 ** rng.uniform(0, 12))
            way = int(rng.integers(5))
            if way == 0:
                changed[at : at + size] = bytes(min(size, len(changed) - at))
            elif way == 1:
                changed[at : at + size] = rng.bytes(min(size, len(changed) - at))
            elif way == 2:
                changed[at:at] = changed[: min(size, len(changed))]
            elif way == 3:
                del changed[at : at + size]
            else:
                changed[at:at] = self._pick(rng)[2][:size]
            changed = changed or bytearray(b"\0")
        return f"{name}, blocks lost, doubled and foreign", suffix, bytes(changed)

    def _silence(self, rng: np.random.Generator) -> _Made:
        name, suffix, data = _bomb(int(rng.integers(9)))
        if suffix == "flac" and rng.random() < 0.3:
            # A count of 0 in the header means that nobody knows.
            unknown = bytes([data[21] & 0xF0]) + bytes(4)
            return f"{name}, of unknown length", suffix, data[:21] + unknown + data[26:]
        if suffix != "wav" and rng.random() < 0.3:
            return f"{name}, cut", suffix, data[: int(rng.integers(len(data)))]
        return name, suffix, data


_Made = tuple[str, str, bytes]


def _extended(value: float) -> bytes:
    """AIFF's 80-bit number."""
    if value <= 0:
        return bytes(10)
    exponent = int(np.floor(np.log2(value)))
    return struct.pack(">HQ", 16383 + exponent, int(value) << (63 - exponent))


@cache
def _bomb(kind: int) -> _Made:
    """Silence that takes no room: some three hours of work in half a megabyte, or in a hole."""
    if kind < 6:
        hours, rate, channels = ((3, 16_000, 1), (0.5, 96_000, 2), (0.1, 192_000, 8))[kind % 3]
        make = _flac_of_nothing if kind < 3 else _wav_of_nothing
        name, suffix = ("FLAC", "flac") if kind < 3 else ("WAV", "wav")
        data = make(round(hours * 3600 * rate), rate, channels)
        return f"{hours:g} h of silence, {name}, {channels} x {rate} Hz", suffix, data
    still = np.zeros(16_000 * 4)
    if kind == 6:
        # The first frame, which says how many there are, would stop a reader early.
        mp3 = by_sndfile(still, 16_000, "MP3", "MPEG_LAYER_III")
        second = mp3.find(mp3[:2], 200)
        return "1 h of silence, MP3", "mp3", mp3[second:] * 900
    if kind == 7:
        return "1 h of silence, AAC", "aac", by_ffmpeg(still, 16_000, "adts", "aac") * 900
    opus = by_ffmpeg(np.zeros(48_000 * 600), 48_000, "ogg", "libopus")
    return "10 min of silence, Opus", "opus", opus


def _flac_of_nothing(frames: int, rate: int, channels: int) -> bytes:
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, channels, "PCM_16", format="FLAC") as file:
        for start in range(0, frames, 2**20):
            file.write(np.zeros((min(2**20, frames - start), channels), np.int16))
    return buffer.getvalue()


def _wav_of_nothing(frames: int, rate: int, channels: int) -> bytes:
    """Return a header alone; `Mutator.write` puts a hole behind it."""
    frame = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, 16)
    size = frames * frame
    parts = b"RIFF", struct.pack("<I", size + 36), b"WAVEfmt ", struct.pack("<I", 16), form
    return b"".join(parts) + b"data" + struct.pack("<I", size)
