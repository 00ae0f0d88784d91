import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from loradar.audio import load_audio, probe
from loradar.errors import InputError


def _chirp(seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    return (0.5 * signal.chirp(time, 150, seconds, 3000)).astype(np.float32)


def _encode(path: Path, samples: np.ndarray, codec: str, rate: int, layout: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate)
        channels = np.repeat(samples[None], 2 if layout == "stereo" else 1, axis=0)
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))


CONTAINERS = {
    "a.mp3": ("libmp3lame", 44_100, "stereo"),
    "a.m4a": ("aac", 48_000, "stereo"),
    "a.webm": ("libopus", 48_000, "mono"),
    "a.opus": ("libopus", 48_000, "mono"),
    "a.mka": ("flac", 16_000, "mono"),
    "a.flac": ("flac", 16_000, "mono"),
}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoded")
    samples = _chirp()
    for name, (codec, rate, layout) in CONTAINERS.items():
        _encode(folder / name, samples, codec, rate, layout)
    stereo = np.stack([samples, samples], 1)
    soundfile.write(folder / "a.ogg", stereo, 16_000, format="OGG", subtype="VORBIS")
    soundfile.write(folder / "a.wav", samples, 16_000)
    return folder


@pytest.mark.parametrize("name", [*CONTAINERS, "a.ogg", "a.wav"])
def test_every_container_gives_the_same_sound_in_place(encoded: Path, name: str) -> None:
    original, read = _chirp(), load_audio(encoded / name)
    assert read.dtype == np.float32 and read.ndim == 1
    assert 0 <= len(read) - len(original) < 0.05 * 16_000
    inner = slice(1600, -1600)
    against = read[: len(original)][inner]
    assert np.corrcoef(original[inner], against)[0, 1] > 0.99  # a lag of one sample gives 0.8
    assert np.std(against) == pytest.approx(np.std(original[inner]), rel=0.06)


@pytest.mark.parametrize("name", [*CONTAINERS, "a.ogg", "a.wav"])
def test_a_part_equals_that_part_of_the_whole(encoded: Path, name: str) -> None:
    whole = load_audio(encoded / name)
    part = load_audio(encoded / name, offset_s=1.2, duration_s=0.5)
    assert len(part) == 8000
    # Resampling ripples at the cut; AAC's noise substitution differs from run to run.
    gap = np.abs(part - whole[19_200:27_200])[200:-200].max()
    assert gap < (0.02 if name == "a.m4a" else 1e-5)


@pytest.mark.parametrize("name", [*CONTAINERS, "a.ogg", "a.wav"])
def test_probe(encoded: Path, name: str) -> None:
    info = probe(encoded / name)
    _, rate, layout = CONTAINERS.get(name, ("", 16_000, "stereo" if name == "a.ogg" else "mono"))
    assert info.seconds == pytest.approx(2.0, abs=0.06)
    assert (info.sample_rate, info.channels) == (rate, 2 if layout == "stereo" else 1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 96_000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", _chirp(1.0, rate), rate)
    read = load_audio(tmp_path / "a.wav")
    assert abs(len(read) - 16_000) <= 1
    assert np.corrcoef(read[800:15_000], _chirp(1.0)[800:15_000])[0, 1] > 0.999


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_sample_formats_and_the_mean_of_channels(tmp_path: Path, subtype: str) -> None:
    left = _chirp(0.2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, -0.5 * left], 1), 16_000, subtype)
    read = load_audio(tmp_path / "a.wav")
    assert np.abs(read - 0.25 * left).max() < (0.01 if subtype == "PCM_U8" else 1e-4)


def test_float_samples_above_one_are_kept(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 3 * _chirp(0.2), 16_000, "FLOAT")
    assert np.array_equal(load_audio(tmp_path / "a.wav"), 3 * _chirp(0.2))


def test_another_output_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", _chirp(1.0), 16_000)
    assert len(load_audio(tmp_path / "a.wav", 8_000)) == 8_000


def test_a_suffix_says_nothing(tmp_path: Path) -> None:
    for name in ("a.mp3", "a.raw", "a.gsm", "noise"):
        soundfile.write(tmp_path / name, _chirp(0.2), 16_000, format="FLAC")
        assert len(load_audio(tmp_path / name)) == 3200


def _bad_files(folder: Path) -> dict[str, str]:
    wav = folder / "good.wav"
    soundfile.write(wav, _chirp(), 16_000)
    whole = wav.read_bytes()
    flac = folder / "good.flac"
    soundfile.write(flac, _chirp(), 16_000)
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "header.wav").write_bytes(whole[:44])
    (folder / "half-header.wav").write_bytes(whole[:30])
    (folder / "cut.flac").write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    (folder / "text.wav").write_text("this is not audio\n" * 500)
    (folder / "text.mp3").write_text("this is not audio\n" * 500)
    (folder / "list.wav").write_text("#EXTM3U\n#EXTINF:10,\ngood.wav\n#EXT-X-ENDLIST\n")
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\ngood.wav\n#EXT-X-ENDLIST\n")
    (folder / "concat.txt").write_text("ffconcat version 1.0\nfile good.wav\n")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "none.wav", np.zeros(0), 16_000)
    nan = np.full(800, 0.1)
    nan[5] = np.nan
    soundfile.write(folder / "nan.wav", nan, 16_000, "FLOAT")
    nan[5] = np.inf
    soundfile.write(folder / "inf.wav", nan, 16_000, "FLOAT")
    os.mkfifo(folder / "pipe.wav")
    (folder / "slow.wav").write_bytes(whole[:24] + struct.pack("<I", 3) + whole[28:])
    return {
        "cut.wav": "promises 2.00 s, it holds 1.00 s",
        "header.wav": "cut off",
        "half-header.wav": "unknown format or damaged",
        "cut.flac": "cut off|damaged",
        "text.wav": "unknown format or damaged",
        "text.mp3": "unknown format or damaged",
        "list.wav": "unknown format or damaged",
        "list.m3u8": "unknown format or damaged",
        "concat.txt": "unknown format or damaged",
        "empty.wav": r"empty \(0 bytes\)",
        "none.wav": "holds no samples",
        "nan.wav": "NaN or infinite",
        "inf.wav": "NaN or infinite",
        "pipe.wav": "not a regular file",
        "slow.wav": "sample rate of 3 Hz",
        "missing.wav": "no such file",
        "good.wav/below.wav": "no such file",
        "nul\0.wav": "cannot be read",
        ".": "is a folder",
    }


def test_every_bad_file_gets_one_clear_line(tmp_path: Path) -> None:
    for name, reason in _bad_files(tmp_path).items():
        with pytest.raises(InputError, match=reason) as caught:
            load_audio(tmp_path / name)
        message = str(caught.value)
        assert "\n" not in message and message.startswith(str(tmp_path)), name


def test_damage_in_the_middle_of_a_flac_is_not_passed_over(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.flac", rng.uniform(-0.5, 0.5, 32_000), 16_000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 20_000] = bytes(20_000)
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.flac"):
        load_audio(tmp_path / "a.flac")


def test_headers_that_do_not_know_their_length_are_believed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", _chirp(0.5), 16_000)
    data = (tmp_path / "a.wav").read_bytes()
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        (tmp_path / "b.wav").write_bytes(data[:40] + struct.pack("<I", size) + data[44:])
        assert len(load_audio(tmp_path / "b.wav")) == 8000
    _encode(tmp_path / "a.flac", _chirp(0.5), "flac", 16_000, "mono")
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # the 36-bit sample count of STREAMINFO
    data[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(data)
    assert len(load_audio(tmp_path / "b.flac")) == 8000


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_seconds": 1.0}, r"longer \(2 s\) than the limit of 1 s"),
        ({"max_bytes": 100}, "above the limit of 100"),
        ({"max_channels": 1}, "2 channels, where 1 to 1"),
        ({"offset_s": 5.0}, "nothing to read from 5 s on"),
        ({"offset_s": -1.0}, "offset must be 0 or more"),
        ({"duration_s": 0.0}, "duration above 0"),
        ({"offset_s": float("nan")}, "offset must be 0 or more"),
    ],
)
def test_limits(tmp_path: Path, limits: dict[str, float], reason: str) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([_chirp()] * 2, 1), 16_000)
    with pytest.raises(InputError, match=reason):
        load_audio(tmp_path / "a.wav", **limits)  # type: ignore[arg-type]


def test_the_length_limit_holds_where_the_header_is_silent(tmp_path: Path) -> None:
    _encode(tmp_path / "a.aac", _chirp(), "aac", 44_100, "mono")
    with pytest.raises(InputError, match="longer"):
        load_audio(tmp_path / "a.aac", max_seconds=0.5)
    assert len(load_audio(tmp_path / "a.aac", max_seconds=0.5, duration_s=0.4)) == 6400


def test_a_long_file_may_be_read_in_parts(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", _chirp(), 16_000)
    part = load_audio(tmp_path / "a.wav", offset_s=0.5, duration_s=1.0, max_seconds=1.0)
    assert np.array_equal(part, load_audio(tmp_path / "a.wav")[8000:24_000])
    rest = load_audio(tmp_path / "a.wav", offset_s=1.75, duration_s=1.0)
    assert len(rest) == 4000


def test_video_gives_its_sound_and_a_picture_none(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="no audio track"):
        load_audio(tmp_path / "v.mp4")


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.integers(0, 44), st.booleans())
def test_no_bytes_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, keep: bool
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.wav"
    soundfile.write(path, _chirp(0.05), 16_000)
    data = path.read_bytes()
    path.write_bytes(data[:place] + noise + (data[place + len(noise) :] if keep else b""))
    try:
        samples = load_audio(path, max_seconds=60)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert samples.size and np.isfinite(samples).all()


def test_real_speech(shared: Path) -> None:
    clip = next((shared / "speech" / "labelled" / "bonafide").glob("*.flac"))
    samples = load_audio(clip)
    assert probe(clip).seconds == pytest.approx(len(samples) / 16_000)
    assert 0.01 < np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("layout", ["7.1", "hexadecagonal"])
def test_many_channels_through_ffmpeg(tmp_path: Path, layout: str) -> None:
    count = av.AudioLayout(layout).nb_channels
    samples = np.zeros((count, 8000), np.float32)
    samples[3] = _chirp(0.5)
    with av.open(str(tmp_path / "a.mka"), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout=layout)
        packed = samples.T.reshape(1, -1).copy()
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert load_audio(tmp_path / "a.mka") == pytest.approx(samples[3] / count, abs=1e-6)


def test_eight_planes_are_read_whole(tmp_path: Path) -> None:
    # AAC decodes to planes, one a channel; PyAV's own conversion crashes on eight.
    samples = np.repeat(_chirp()[None], 8, axis=0)
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="7.1")
        resampler = av.AudioResampler(stream.codec_context.format, "7.1", 48_000)
        packed = samples.T.reshape(1, -1).copy()
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="7.1")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    read = load_audio(tmp_path / "a.m4a")
    inner = slice(1600, 30_000)
    assert np.corrcoef(read[inner], _chirp()[inner])[0, 1] > 0.99


def test_samples_whose_squares_would_overflow_are_refused(tmp_path):
    path = tmp_path / "huge.wav"
    soundfile.write(path, np.full(1_000, 1e30, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"huge\.wav: holds samples above 1e\+06"):
        load_audio(path)
