import threading

import numpy as np
import pytest
import soundfile as sf

from loradar.audio.windows import windows
from loradar.errors import InputError
from loradar.inference.judging import detect, detect_batched, judge
from loradar.inference.model import Model
from loradar.inference.scan import Scanner, sides_of_a_call

RATE = 16_000


class Loudness:
    """A detector of windows of half a second: quiet is spoof. Counts what it is given."""

    window = 8_000

    def __init__(self):
        self.batches = []

    def score_windows(self, batch):
        self.batches.append(len(batch))
        level = np.sqrt((batch**2).mean(axis=1))
        return 40 * (level - 0.03), {"router": np.stack([level, 1 - level], axis=1)}


@pytest.fixture
def model():
    return Model(Loudness(), None, "loudness")


@pytest.fixture
def files(tmp_path, spoken):
    names = []
    for number, seconds in enumerate((0.4, 3.0, 9.7)):
        names.append(tmp_path / f"{number}.wav")
        sf.write(names[-1], spoken(seconds, number), RATE, subtype="FLOAT")
    names.insert(1, tmp_path / "bad.wav")
    names[1].write_text("words")
    return names


def test_blocks_arrays_and_shared_batches_give_one_answer(model, files):
    whole = list(detect(model, files, batch_size=5))
    shared = list(detect_batched(model, files, scanner=Scanner(model.detector, 7)))
    assert [v.verdict == "ERROR" for v in whole] == [False, True, False, False]
    for one, two, path in zip(whole, shared, files, strict=True):
        assert one.path == two.path == str(path)
        assert one.verdict == two.verdict
        if one.verdict != "ERROR":
            array = judge(model, sf.read(path, dtype="float32")[0], path=str(path))
            assert array.llr == pytest.approx(one.llr, abs=1e-5)
            assert (array.verdict, array.reasons) == (one.verdict, one.reasons)
            assert len(array.segments) == len(one.segments)
            assert two.llr == pytest.approx(one.llr, abs=1e-6)
            assert two.experts["router"] == pytest.approx(one.experts["router"])


def test_batches_are_full_and_a_file_is_never_held_whole(model, tmp_path, spoken):
    path = tmp_path / "long.wav"
    sf.write(path, np.tile(spoken(5.0), 8), RATE)
    (found,) = detect(model, [path], batch_size=16)
    assert found.seconds == 40.0
    assert set(model.detector.batches[:-1]) == {16}
    assert len(found.windows) == 120


def test_windows_of_nothing_are_scored_once_and_alone(model, spoken):
    speech = spoken(3.0)
    samples = np.concatenate([speech, np.zeros(80_000, np.float32), speech])
    found = judge(model, samples, batch_size=4)
    assert len(found.windows) == 33
    scored = [w.llr for w in found.windows]
    assert scored == pytest.approx(model.detector.score_windows(_cut(samples))[0], abs=1e-6)
    assert sum(model.detector.batches[:-1]) == 1 + np.sum(_cut(samples).any(axis=1))


def _cut(samples):
    return np.stack([piece for _, piece in windows(samples, 8_000)])


def test_a_smaller_hop_gives_more_windows(model, spoken):
    assert len(judge(model, spoken(2.0), hop_s=0.1).windows) == 16
    with pytest.raises(InputError, match="hop"):
        judge(model, spoken(2.0), hop_s=0.0)


def _call(spoken):
    call = np.zeros((8 * RATE, 2), np.float32)
    for turn in range(4):
        part = slice(2 * turn * RATE, (2 * turn + 2) * RATE)
        call[part, turn % 2] = (1.0, 0.05)[turn % 2] * spoken(2.0, turn)
    return call + 1e-4 * np.random.default_rng(0).standard_normal(call.shape).astype("f4")


def test_the_sides_of_a_call_are_judged_apart(model, tmp_path, spoken):
    path = tmp_path / "call.wav"
    sf.write(path, _call(spoken), RATE)
    (found,) = detect(model, [path])
    assert len(found.channels) == 2
    assert found.llr < found.channels[0].llr
    assert found.segments == found.channels[1].segments
    (mixed,) = detect(model, [path], channels="mix")
    assert mixed.channels == ()
    assert judge(model, _call(spoken)).llr == pytest.approx(found.llr, abs=1e-2)


def test_stereo_of_one_scene_is_no_call(spoken):
    call, one = _call(spoken), spoken(8.0)
    assert sides_of_a_call(call)
    assert not sides_of_a_call(np.stack([one, 0.5 * np.roll(one, 20)], axis=1))
    assert not sides_of_a_call(np.stack([one, np.zeros_like(one)], axis=1))
    assert not sides_of_a_call(call[:100])


@pytest.mark.parametrize("samples", [np.zeros((2, 2, 2)), np.zeros(0)])
def test_arrays_of_another_shape_are_refused(model, samples):
    with pytest.raises(InputError, match="shape"):
        judge(model, samples)
    with pytest.raises(InputError, match="channels"):
        judge(model, np.ones(9), channels="both")


def test_reading_goes_on_while_a_batch_is_scored(files, spoken):
    whole = list(detect_batched(Model(Loudness(), None, ""), files, scanner=Scanner(Loudness(), 7)))
    scoring, read_on = threading.Event(), threading.Event()

    class Slow(Loudness):
        def score_windows(self, batch):
            scoring.set()
            assert read_on.wait(60)
            return super().score_windows(batch)

    scanner = Scanner(Slow(), 2, ahead=True)
    scan = scanner.open()
    scanner.push(scan, spoken(0.9, 0))  # a batch, and not two
    assert scoring.wait(60) and not scan.scores  # and here we are all the same
    read_on.set()
    scanner.close(scan)
    scanner.flush()
    assert scan.done and len(scan.scores) == len(scan.starts)

    model = Model(Loudness(), None, "")
    ahead = list(detect_batched(model, files, scanner=Scanner(model.detector, 7, ahead=True)))
    assert [(v.verdict, v.score) for v in ahead] == [(v.verdict, v.score) for v in whole]


def test_an_error_of_the_detector_comes_through_from_its_thread(files):
    class Broken(Loudness):
        def score_windows(self, batch):
            raise RuntimeError("broken")

    model = Model(Broken(), None, "")
    with pytest.raises(RuntimeError, match="broken"):
        list(detect_batched(model, files, scanner=Scanner(model.detector, 2, ahead=True)))
