"""Waveform codecs: samples encoded and decoded in memory, delay taken out.

FFmpeg (through PyAV) does most of them. Its builds lack an encoder for GSM and have one for
Vorbis that knows stereo alone, so libsndfile does these two. What a build lacks is not offered.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import soxr
from scipy import fft, signal

from loradar.audio.augmentation.effects import Samples

_TAIL_S = 0.15  # silence after the clip, in which delayed samples come out
_LONGEST_DELAY_S = 0.08


@dataclass(frozen=True)
class CodecKind:
    """One codec and the settings it is used at.

    Attributes
    ----------
    encoder, decoder : str
        FFmpeg's names; or libsndfile's container and subtype, where ``sndfile`` is set.
    modes : tuple of (int, tuple of int)
        Sample rates in hertz, each with its levels: bits a second (FFmpeg), per cent of
        compression (Vorbis), or a single 0 where there is nothing to choose.
    options : tuple of (str, str)
        FFmpeg's options of the encoder.
    planar_float : bool
        Whether the encoder takes float samples rather than 16-bit ones.
    sndfile : bool
        Done by libsndfile.
    """

    encoder: str
    decoder: str
    modes: tuple[tuple[int, tuple[int, ...]], ...]
    options: tuple[tuple[str, str], ...] = ()
    planar_float: bool = False
    sndfile: bool = False

    def missing(self) -> str | None:
        """Return None when this build can encode and decode it, else one line that says why."""
        if self.sndfile:
            import soundfile

            if soundfile.check_format(self.encoder, self.decoder):
                return None
            return f"this libsndfile does not write {self.decoder}"
        import av

        for name, mode in ((self.encoder, "w"), (self.decoder, "r")):
            try:
                av.codec.Codec(name, mode)
            except av.codec.codec.UnknownCodecError:
                what = "encoder" if mode == "w" else "decoder"
                return f"this PyAV was built without the {what} {name}"
        return None


# The fastest settings that still sound as the format does: training draws these without end.
CODECS: dict[str, CodecKind] = {
    "opus": CodecKind(
        "libopus",
        "libopus",
        ((8_000, (6_000, 8_000, 12_000)), (16_000, (9_000, 12_000, 16_000, 24_000, 32_000))),
        options=(("application", "voip"), ("compression_level", "5")),
    ),
    "mp3": CodecKind(
        "libmp3lame",
        "mp3float",
        ((16_000, (16_000, 24_000, 32_000, 48_000)), (24_000, (32_000, 48_000, 64_000))),
        options=(("compression_level", "7"),),
        planar_float=True,
    ),
    "aac": CodecKind(
        "aac",
        "aac",
        ((16_000, (16_000, 24_000, 32_000, 48_000)), (44_100, (48_000, 64_000, 96_000))),
        options=(("aac_coder", "fast"),),
        planar_float=True,
    ),
    "vorbis": CodecKind("OGG", "VORBIS", ((16_000, (20, 60, 90, 100)),), sndfile=True),
    "gsm": CodecKind("WAV", "GSM610", ((8_000, (0,)),), sndfile=True),
    "amr_nb": CodecKind(
        "libopencore_amrnb",
        "amrnb",
        ((8_000, (4_750, 5_900, 7_400, 10_200, 12_200)),),
    ),
    "amr_wb": CodecKind(
        "libvo_amrwbenc", "amrwb", ((16_000, (6_600, 8_850, 12_650, 15_850, 23_850)),)
    ),
    "g722": CodecKind("g722", "g722", ((16_000, (64_000,)),)),
    "pcm_mulaw": CodecKind("pcm_mulaw", "pcm_mulaw", ((8_000, (0,)),)),
    "pcm_alaw": CodecKind("pcm_alaw", "pcm_alaw", ((8_000, (0,)),)),
}


@functools.cache
def available_codecs() -> tuple[str, ...]:
    """Return the names in `CODECS` that this build can encode and decode."""
    return tuple(name for name, kind in CODECS.items() if kind.missing() is None)


def transcode(samples: Samples, sample_rate: int, name: str, rate: int, level: int) -> Samples:
    """Encode and decode a clip.

    Parameters
    ----------
    samples : ndarray of float32, [T]
        Louder than 1 is scaled for the codec and back, not clipped.
    sample_rate : int
        Hertz.
    name : str
        A key of `CODECS`.
    rate, level : int
        One of its modes.

    Returns
    -------
    ndarray of float32, [T]
        In place: the codec's delay is taken out.
    """
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    tail = np.zeros(round(_TAIL_S * sample_rate), np.float32)
    padded = np.concatenate([samples / np.float32(peak), tail])
    decoded, decoded_rate = _round_trip(_resampled(padded, sample_rate, rate), name, rate, level)
    decoded = decoded[_delay(name, rate, level) :]
    result = np.zeros(len(samples), np.float32)
    back = _resampled(decoded, decoded_rate, sample_rate)[: len(samples)]
    result[: len(back)] = back
    return result * np.float32(peak)


def _round_trip(samples: Samples, name: str, rate: int, level: int) -> tuple[Samples, int]:
    """Return what the decoder gives for ``samples`` [T] at ``rate``, and its own rate."""
    kind = CODECS[name]
    trip = _through_sndfile if kind.sndfile else _through_ffmpeg
    decoded, decoded_rate = trip(kind, samples, rate, level)
    # A lossy decoder owes nobody a finite answer.
    return np.nan_to_num(decoded, nan=0.0, posinf=1.0, neginf=-1.0), decoded_rate


def _through_ffmpeg(
    kind: CodecKind, samples: Samples, rate: int, level: int
) -> tuple[Samples, int]:
    import av

    sample_format = "fltp" if kind.planar_float else "s16"
    encoder = av.CodecContext.create(kind.encoder, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", sample_format
    encoder.time_base = Fraction(1, rate)
    if level:
        encoder.bit_rate = level
    encoder.options = dict(kind.options)
    encoder.open()
    data = samples if kind.planar_float else _sixteen_bits(samples)
    frame = av.AudioFrame.from_ndarray(data[None], format=sample_format, layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoder = av.CodecContext.create(kind.decoder, "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    decoded = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    if decoded.dtype == np.int16:
        decoded = decoded / np.float32(32768)
    return decoded.astype(np.float32), int(frames[0].sample_rate) if frames else rate


def _through_sndfile(
    kind: CodecKind, samples: Samples, rate: int, level: int
) -> tuple[Samples, int]:
    import soundfile

    memory = io.BytesIO()
    with soundfile.SoundFile(
        memory,
        "w",
        samplerate=rate,
        channels=1,
        format=kind.encoder,
        subtype=kind.decoder,
        compression_level=level / 100 if level else None,
    ) as file:
        # In blocks: libsndfile's Vorbis encoder overruns its stack on one large write.
        for start in range(0, len(samples), rate):
            file.write(samples[start : start + rate])
    memory.seek(0)
    decoded, decoded_rate = soundfile.read(memory, dtype="float32")
    return decoded, int(decoded_rate)


@functools.cache
def _delay(name: str, rate: int, level: int) -> int:
    """Return by how many samples, at its own rate, the decoder's output lies late."""
    probe = _probe(rate)
    tail = np.zeros(round(_TAIL_S * rate), np.float32)
    decoded, decoded_rate = _round_trip(np.concatenate([probe, tail]), name, rate, level)
    sent = _resampled(probe, rate, decoded_rate)
    size = fft.next_fast_len(len(sent) + len(decoded), real=True)
    match = fft.irfft(fft.rfft(decoded, size) * np.conj(fft.rfft(sent, size)), size)
    return int(np.argmax(match[: round(_LONGEST_DELAY_S * decoded_rate)]))


def _probe(rate: int) -> Samples:
    """A second of gliding pulses through a resonance: like speech, and like no later part of it."""
    rng = np.random.default_rng(0)
    pitch = np.interp(np.arange(rate), np.linspace(0, rate, 9), rng.uniform(90.0, 220.0, 9))
    pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    sound = np.zeros(rate)
    for centre, width in ((600.0, 120.0), (1400.0, 150.0), (2500.0, 200.0)):
        radius = np.exp(-np.pi * width / rate)
        sound += signal.lfilter(
            [1.0 - radius],
            [1.0, -2.0 * radius * np.cos(2 * np.pi * centre / rate), radius**2],
            pulses,
        )
    loudness = np.interp(np.arange(rate), np.linspace(0, rate, 13), rng.uniform(0.1, 1.0, 13))
    sound *= loudness
    scaled: Samples = (0.5 * sound / np.abs(sound).max()).astype(np.float32)
    return scaled


def _resampled(samples: Samples, rate_in: int, rate_out: int) -> Samples:
    if rate_in == rate_out:
        return samples
    resampled: Samples = soxr.resample(samples, rate_in, rate_out)
    return resampled


def _sixteen_bits(samples: Samples) -> np.ndarray:
    clipped: np.ndarray = np.clip(np.round(samples * 32767.0), -32768, 32767).astype(np.int16)
    return clipped
