import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import loradar
from loradar.errors import InputError
from loradar.inference.arrays import as_columns


@pytest.fixture(scope="module")
def detector(tiny_model):
    return loradar.Detector.from_pretrained(tiny_model)


def _noise(seconds=1.0, rate=16_000, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * rate))).astype(np.float32)


def test_the_package_gives_its_names_and_stays_light():
    program = (
        "import sys, loradar; from loradar import Verdict; assert 'Detector' in loradar.__all__\n"
        "print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        _ = loradar.nothing


def test_a_file_an_array_and_a_tensor_have_one_answer(detector, tmp_path):
    samples = _noise()
    path = tmp_path / "clip.wav"
    sf.write(path, samples, 16_000, subtype="FLOAT")
    scores = [
        detector.detect(path).score,
        detector.detect(str(path)).score,
        detector.detect(samples, 16_000).score,
        detector.detect(torch.from_numpy(samples), sample_rate=16_000).score,
        detector.detect(samples.astype(np.float64)[None], 16_000).score,
    ]
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)


def test_other_rates_are_resampled(detector, tmp_path):
    samples = _noise(rate=44_100)
    path = tmp_path / "clip.wav"
    sf.write(path, samples, 44_100, subtype="FLOAT")
    found = detector.detect(samples, 44_100)
    assert found.seconds == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(found.score, detector.detect(path).score, atol=0.05)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(0, np.float32), 16_000, "needed"),
        (np.zeros((2, 3, 4), np.float32), 16_000, "of shape"),
        (np.full(16_000, np.nan, np.float32), 16_000, "NaN"),
        (np.zeros(16_000, bool), 16_000, "of type bool"),
        (np.zeros(16_000, np.float32), None, "sample_rate"),
        (np.zeros(16_000, np.float32), 0, "0 Hz"),
    ],
)
def test_samples_that_cannot_be_judged_say_why(detector, samples, rate, message):
    with pytest.raises(InputError, match=message):
        detector.detect(samples, rate)


def test_files_that_cannot_be_judged_raise_alone_and_are_told_among_many(detector, tmp_path):
    whole = tmp_path / "whole.wav"
    sf.write(whole, _noise(), 16_000)
    with pytest.raises(InputError, match="no such file"):
        detector.detect(tmp_path / "none.wav")
    with pytest.raises(InputError, match="its own sample rate"):
        detector.detect(whole, 16_000)
    with pytest.raises(InputError, match="prior"):
        detector.detect(whole, prior=1.0)
    verdicts = [v.verdict for v in detector.detect_many([tmp_path / "none.wav", whole])]
    assert verdicts[0] == "ERROR" != verdicts[1]


@given(channels=st.integers(1, 4), length=st.integers(5, 50), kind=st.sampled_from(["i2", "f4"]))
@settings(max_examples=20)
def test_either_axis_may_be_the_channels(channels, length, kind):
    samples = np.arange(channels * length, dtype=kind).reshape(length, channels)
    one, other = as_columns(samples), as_columns(np.ascontiguousarray(samples.T))
    assert one.shape == (length, channels)
    assert np.array_equal(one, other)


def test_integers_have_their_full_scale():
    for kind, low in (("int8", -(2**7)), ("int16", -(2**15)), ("int32", -(2**31)), ("uint8", 0)):
        assert as_columns(np.array([low], kind)).item() == -1
    assert as_columns(np.array([128], np.uint8)).item() == 0
    assert as_columns(torch.tensor([0.5], dtype=torch.bfloat16)).item() == 0.5


class _Heard:
    """Chunks of a stream, and how many were asked for so far."""

    def __init__(self, samples, size):
        self.chunks = [samples[i : i + size] for i in range(0, len(samples), size)]
        self.count = 0

    def __iter__(self):
        for chunk in self.chunks:
            self.count += 1
            yield chunk


def test_a_stream_is_judged_before_the_next_chunk_is_asked_for(detector):
    size = 800  # 50 ms
    heard = _Heard(_noise(2), size)
    window = round(detector.window_s * 16_000)
    ends = []
    for verdict in detector.stream(heard, hop_s=0.25):
        (part,) = verdict.segments
        end = round(part.end * 16_000)
        assert part.end - part.start == pytest.approx(detector.window_s)
        assert verdict.seconds == part.end
        # No more was heard than the chunk in which the window ended.
        assert (heard.count - 1) * size < end <= heard.count * size
        ends.append(end)
    assert ends[0] == window
    assert set(np.diff(ends[:-1])) == {4_000}
    assert ends[-1] == 32_000


def test_a_streams_windows_are_judged_as_clips(detector):
    samples = _noise(1.5, seed=3)
    for verdict in detector.stream([samples[:9_000], samples[9_000:]], hop_s=0.3):
        (part,) = verdict.segments
        piece = samples[round(part.start * 16_000) : round(part.end * 16_000)]
        assert verdict.score == pytest.approx(detector.detect(piece, 16_000).score, abs=1e-5)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_stream_of_another_rate_is_heard_to_its_end(detector, rate):
    samples = _noise(1.2, rate)
    *_, last = detector.stream(np.array_split(samples, 7), rate)
    assert last.seconds == pytest.approx(1.2, abs=0.001)


def test_short_and_empty_streams(detector):
    (verdict,) = detector.stream([_noise(0.2), np.zeros(0, np.float32)])
    assert verdict.verdict == "NOT_APPLICABLE"
    assert "too_short" in verdict.reasons
    assert verdict.seconds == pytest.approx(0.2)
    assert list(detector.stream([])) == []
    with pytest.raises(InputError, match="hop_s"):
        next(detector.stream([_noise()], hop_s=0))


def test_threads_share_a_detector(detector):
    clips = [_noise(0.6 + 0.1 * i, seed=i) for i in range(8)]
    alone = [detector.detect(clip, 16_000) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: detector.detect(clip, 16_000), clips))
    for one, other in zip(alone, together, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)
        assert one.experts.keys() == other.experts.keys()
        for name in one.experts:
            np.testing.assert_allclose(one.experts[name], other.experts[name], atol=1e-6)
