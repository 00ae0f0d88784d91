import numpy as np
import pytest
import soundfile

from loradar.audio import load_audio, reading
from loradar.audio.decoders import DecodeError, SndfileDecoder, mixed
from loradar.audio.streams import flat_tops, stream_audio
from loradar.errors import InputError


def _noise(seconds, rate=16_000, channels=1):
    samples = 0.1 * np.random.default_rng(0).standard_normal((int(seconds * rate), channels))
    return samples.astype(np.float32)


@pytest.fixture
def stereo(tmp_path):
    path = tmp_path / "stereo.flac"
    soundfile.write(path, _noise(5, 22_050, 2), 22_050)
    return path


def test_blocks_join_to_what_load_audio_gives(stereo):
    blocks = [block.samples for block in stream_audio(stereo)]
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks), load_audio(stereo), atol=1e-6)


def test_channels_stay_apart(stereo):
    joined = np.concatenate([b.samples for b in stream_audio(stereo, by_channel=True)])
    assert joined.shape == (80_000, 2)
    np.testing.assert_allclose(joined.mean(axis=1), load_audio(stereo), atol=1e-6)


def test_where_one_decoder_stops_midway_the_next_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    soundfile.write(path, _noise(10), 16_000)
    expected = load_audio(path)

    class Stops(SndfileDecoder):
        def blocks(self, offset_s, *, mix=True):
            yield next(super().blocks(offset_s, mix=mix))
            raise DecodeError("no further")

    monkeypatch.setattr(reading, "DECODERS", (Stops, *reading.DECODERS[1:]))
    joined = np.concatenate([block.samples for block in stream_audio(path)])
    np.testing.assert_allclose(joined, expected, atol=1e-6)
    np.testing.assert_allclose(load_audio(path), expected, atol=1e-6)
    part = load_audio(path, offset_s=2.0, duration_s=7.5)
    np.testing.assert_allclose(part, expected[32_000:152_000], atol=1e-6)


@pytest.mark.parametrize("make", ["missing", "text", "empty", "cut", "nan"])
def test_a_bad_file_is_an_error_that_names_it(tmp_path, make):
    path = tmp_path / "bad.wav"
    if make == "text":
        path.write_text("words\n" * 99)
    elif make == "empty":
        soundfile.write(path, np.zeros(0, np.float32), 16_000)
    elif make == "cut":
        soundfile.write(path, _noise(3), 16_000)
        path.write_bytes(path.read_bytes()[:40_000])
    elif make == "nan":
        soundfile.write(path, np.full(20, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(InputError, match=r"bad\.wav"):
        list(stream_audio(path))


def test_a_limit_of_length_holds(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, _noise(2), 16_000)
    with pytest.raises(InputError, match="longer"):
        list(stream_audio(path, max_seconds=1.0))


def test_flat_tops_are_counted_at_any_level_and_only_they():
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    assert flat_tops(tone) < 1e-3
    assert 0.2 < flat_tops(0.3 * np.clip(2 * tone, -1, 1)) < 0.8
    assert flat_tops(_noise(1)) == 0
    assert flat_tops(np.zeros(100, np.float32)) == 0
    both = np.stack([tone, np.clip(2 * tone, -1, 1)], axis=1)
    assert flat_tops(both) == flat_tops(both[:, 1])


def test_a_clipped_file_says_so(tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.clip(20 * _noise(2), -1, 1), 16_000)
    assert max(block.clipped for block in stream_audio(path)) > 0.1


@pytest.mark.parametrize("channels", [1, 2, 7, 8, 64])
def test_the_mean_of_channels_is_numpys_to_the_bit(channels):
    samples = np.random.default_rng(0).standard_normal((500, channels)).astype(np.float32)
    assert np.array_equal(mixed(samples), samples.mean(axis=1))
