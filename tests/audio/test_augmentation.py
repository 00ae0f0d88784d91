import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import signal

from loradar.audio.augmentation import EFFECTS, AugmentationConfig, build_augmentation
from loradar.audio.augmentation.ambience import babble, hum, music
from loradar.audio.augmentation.channels import coloured_noise, room_response
from loradar.audio.augmentation.effects import Samples, rms

RATE = 16_000
FOLDERS = ("background", "recorded_room")  # their own tests: test_recordings.py
ALL = [("rawboost", {"algorithm": number}) for number in range(1, 9)] + [
    (name, {}) for name in EFFECTS if name not in ("rawboost", *FOLDERS)
]


def _speechlike(length: int = 16_000, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    time = np.arange(length) / RATE
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 30))
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    samples = 0.2 * voice * envelope + 0.001 * rng.standard_normal(length)
    return samples.astype(np.float32)


def _run(name: str, params: dict[str, Any], samples: Samples, seed: int = 0) -> Samples:
    config = AugmentationConfig(steps=[{"name": name, "params": params}])  # type: ignore[list-item]
    return build_augmentation(config)(samples, RATE, np.random.default_rng(seed))


@pytest.mark.parametrize(("name", "params"), ALL)
@settings(max_examples=12, deadline=None)
@given(
    length=st.integers(1, 3000),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-4, 0.3, 3.0]),
)
def test_length_finiteness_and_determinism(
    name: str, params: dict[str, Any], length: int, seed: int, scale: float
) -> None:
    samples = np.float32(scale) * _speechlike(3000)[:length]
    before = samples.copy()
    first, second = (_run(name, params, samples, seed) for _ in range(2))
    assert first.dtype == np.float32 and first.shape == samples.shape
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)
    assert np.array_equal(samples, before)


@pytest.mark.parametrize(("name", "params"), ALL)
def test_every_effect_changes_the_clip_and_depends_on_the_seed(
    name: str, params: dict[str, Any]
) -> None:
    silence = np.zeros(4000 if name == "trim" else 0, np.float32)
    samples = np.concatenate([silence, _speechlike()])
    results = [_run(name, params, samples, seed) for seed in range(6)]
    assert all(not np.array_equal(result, samples) for result in results)
    assert any(not np.array_equal(result, results[0]) for result in results[1:])
    for result in results if name not in ("speed", "trim") else []:
        assert np.corrcoef(result, samples)[0, 1] > 0.3  # the speech is still there, in place


def test_rawboost_stationary_noise_meets_its_ratio() -> None:
    samples = _speechlike()
    noisy = _run("rawboost", {"algorithm": 3, "snr_db": (20, 20)}, samples)
    snr = 20 * np.log10(rms(samples) / rms(noisy - samples))
    assert snr == pytest.approx(20, abs=0.01)


def test_rawboost_impulses_hit_few_samples_in_proportion_to_them() -> None:
    samples = 0.2 * _speechlike()
    change = np.abs(_run("rawboost", {"algorithm": 2}, samples, 3) - samples)
    share = np.mean(change > 0)
    assert 0 < share <= 0.1
    assert (change <= 2.0001 * np.abs(samples)).all()
    assert np.array_equal(
        _run("rawboost", {"algorithm": 2, "impulse_percent": 0}, samples), samples
    )


def test_rawboost_convolutive_noise_makes_harmonics_but_no_offset() -> None:
    time = np.arange(RATE) / RATE
    tone = (0.9 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    result = _run("rawboost", {"algorithm": 1}, tone, 1)
    spectrum = np.abs(np.fft.rfft(result))  # bins of 1 Hz
    floor = np.median(spectrum)
    assert all(spectrum[500 * order] > 20 * floor for order in (1, 2, 3, 4, 5))
    assert spectrum[3000] < 0.01 * spectrum[2500]  # order 5 ends at 2,500 Hz
    assert abs(result.mean()) < 1e-6
    linear = _run("rawboost", {"algorithm": 1, "order": 1}, tone, 1)
    assert np.abs(np.fft.rfft(linear))[1000] < 0.01 * np.abs(np.fft.rfft(linear))[500]


@pytest.mark.parametrize("algorithm", [1, 2])
def test_rawboost_is_scaled_to_one_only_when_it_passes_it(algorithm: int) -> None:
    loud = 4 * _speechlike()
    assert np.abs(_run("rawboost", {"algorithm": algorithm}, loud)).max() == pytest.approx(1.0)
    quiet = 0.05 * _speechlike()
    assert np.abs(_run("rawboost", {"algorithm": algorithm}, quiet)).max() < 0.5


def test_rawboost_series_are_the_single_ones_in_order() -> None:
    samples = _speechlike()
    steps = {
        number: EFFECTS["rawboost"].model_validate({"algorithm": number}) for number in range(1, 9)
    }
    for series, parts in {4: (1, 2, 3), 5: (1, 2), 6: (1, 3), 7: (2, 3)}.items():
        rng, by_hand = np.random.default_rng(5), samples
        for number in parts:
            by_hand = steps[number].apply(by_hand, RATE, rng)
        made = steps[series].apply(samples, RATE, np.random.default_rng(5))
        assert np.allclose(made, by_hand, atol=1e-6)
    rng = np.random.default_rng(5)
    by_hand = steps[1].apply(samples, RATE, rng) + steps[2].apply(samples, RATE, rng)
    by_hand = by_hand / max(1.0, float(np.abs(by_hand).max()))
    made = steps[8].apply(samples, RATE, np.random.default_rng(5))
    assert np.allclose(made, by_hand, atol=1e-6)


@pytest.mark.parametrize(("slope", "octave_db"), [(0.0, 0.0), (-1.0, -3.01), (-2.0, -6.02)])
def test_noise_colours(slope: float, octave_db: float) -> None:
    noise = coloured_noise(200_000, slope, np.random.default_rng(0))
    frequencies, power = signal.welch(noise, RATE, nperseg=2048)
    bands = [
        power[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (500, 1000, 2000)
    ]
    steps = np.diff(10 * np.log10(bands))
    assert steps == pytest.approx([octave_db] * 2, abs=0.4)
    assert rms(noise) == pytest.approx(1.0, abs=1e-3)


def test_noise_meets_its_ratio() -> None:
    samples = _speechlike()
    for colour in ("white", "pink", "brown", "blue", "random"):
        noisy = _run("noise", {"snr_db": (15, 15), "colours": [colour]}, samples)
        assert 20 * np.log10(rms(samples) / rms(noisy - samples)) == pytest.approx(15, abs=0.05)


def test_low_pass_removes_only_what_is_above() -> None:
    white = np.random.default_rng(0).standard_normal(64_000).astype(np.float32)
    result = _run("low_pass", {"cutoff_hz": (3000, 3000)}, white)
    frequencies, before = signal.welch(white, RATE)
    _, after = signal.welch(result, RATE)
    change = 10 * np.log10(after / before)
    assert np.abs(change[frequencies < 2500]).max() < 0.5
    assert change[frequencies > 3600].max() < -40


def test_filter_stays_gentle_and_keeps_the_level() -> None:
    white = np.random.default_rng(0).standard_normal(64_000).astype(np.float32)
    for seed in range(5):
        result = _run("filter", {"gain_db": (-6, 6)}, white, seed)
        _, before = signal.welch(white, RATE)
        _, after = signal.welch(result, RATE)
        change = 10 * np.log10(after / before)[2:-2]
        assert 1 < np.ptp(change) < 13
        assert rms(result) == pytest.approx(rms(white), rel=1e-4)


def test_room_response_decays_by_60_db() -> None:
    response = room_response(RATE, 0.5, 3.0, np.random.default_rng(0)).astype(np.float64)
    assert response[0] == 1.0
    tail = response[1:]
    assert 10 * np.log10(1 / np.sum(tail**2)) == pytest.approx(3.0, abs=0.01)
    energy = np.cumsum(tail[::-1] ** 2)[::-1]
    start = np.flatnonzero(tail)[0]
    drop = 10 * np.log10(energy[start + 4000] / energy[start])  # half of the 0.5 s
    assert drop == pytest.approx(-30, abs=2)


def test_companding_noise_follows_the_signal() -> None:
    samples = _speechlike()
    for law in ("mu", "a"):
        for scale in (1.0, 0.1):
            clip = np.float32(scale) * samples / np.abs(samples).max()
            error = _run("companding", {"laws": [law]}, clip) - clip
            assert 33 < 20 * np.log10(rms(clip) / rms(error)) < 42  # G.711: about 38 dB


def test_gain() -> None:
    louder = _run("gain", {"gain_db": (6, 6)}, np.ones(4, np.float32))
    assert louder.tolist() == pytest.approx([1.99526] * 4, rel=1e-5)


def test_speed_moves_every_frequency_and_keeps_the_length() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    for factor in (0.9, 1.1):
        played = _run("speed", {"factor": (factor, factor)}, tone)
        assert played.shape == tone.shape
        peak = np.abs(np.fft.rfft(played[:8000] * np.hanning(8000))).argmax() * RATE / 8000
        assert peak == pytest.approx(1000 * factor, abs=2)
    with pytest.raises(ValidationError, match=r"between 0\.5 and 2"):
        _run("speed", {"factor": (0.1, 1)}, tone)


def test_suppression_takes_noise_and_leaves_speech() -> None:
    time = np.arange(RATE) / RATE
    loud = np.where((time > 0.4) & (time < 0.8), np.sin(2 * np.pi * 500 * time), 0)
    noise = 0.01 * np.random.default_rng(0).standard_normal(RATE)
    clip = (loud + noise).astype(np.float32)
    made = _run("suppression", {"depth_db": (20, 20), "excess": (3, 3)}, clip)
    pause, tone = slice(1000, 5000), slice(7500, 12000)
    assert 20 * np.log10(rms(made[pause]) / rms(clip[pause])) < -10
    assert 20 * np.log10(rms(made[tone]) / rms(clip[tone])) == pytest.approx(0, abs=0.2)


def test_compression_brings_loud_and_soft_together() -> None:
    soft = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    clip = np.concatenate([0.1 * soft, soft]).astype(np.float32)  # 20 dB apart
    params = {"threshold_db": (-40, -40), "ratio": (4, 4), "time_s": (0.01, 0.01)}
    made = _run("compression", params, clip)
    apart = 20 * np.log10(rms(made[24_000:]) / rms(made[4000:12_000]))
    assert apart == pytest.approx(5, abs=0.3)
    assert rms(made) == pytest.approx(rms(clip), rel=1e-4)


@pytest.mark.parametrize("kind", ["music", "babble", "hum"])
def test_ambience_meets_its_ratio(kind: str) -> None:
    samples = _speechlike()
    made = _run("ambience", {"snr_db": (12, 12), "kinds": [kind]}, samples)
    assert 20 * np.log10(rms(samples) / rms(made - samples)) == pytest.approx(12, abs=0.05)


def test_music_has_notes_and_babble_has_syllables() -> None:
    rng = np.random.default_rng(0)
    _, power = signal.welch(music(64_000, RATE, rng), RATE, nperseg=8192)
    assert power.max() > 1000 * np.median(power)  # lines, no noise
    talk = babble(64_000, RATE, rng)
    levels = [rms(part) for part in np.split(talk, 40)]
    assert max(levels) > 2 * min(levels)
    frequencies, power = signal.welch(talk, RATE)
    assert power[frequencies < 4000].sum() > 100 * power[frequencies > 5000].sum()


def test_hum_is_made_of_harmonics_of_the_mains() -> None:
    sound = hum(32_000, RATE, np.random.default_rng(3))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))  # bins of 0.5 Hz
    line = np.argmax(spectrum[80:140]) + 80
    assert min(abs(line / 2 - 50), abs(line / 2 - 60)) <= 0.5
    between = spectrum[round(1.5 * line) - 5 : round(1.5 * line) + 5].max()
    assert spectrum[line] > 10 * between


def test_clipping_holds_the_loudest_at_a_ceiling() -> None:
    samples = _speechlike()
    hard = _run("clipping", {"percent": (5, 5), "kinds": ["hard"]}, samples)
    ceiling = np.abs(hard).max()
    assert np.mean(np.abs(hard) == ceiling) == pytest.approx(0.05, abs=0.002)
    below = np.abs(samples) < ceiling
    assert np.array_equal(hard[below], samples[below])
    soft = _run("clipping", {"percent": (5, 5), "kinds": ["soft"]}, samples)
    assert np.abs(soft).max() <= ceiling
    order = np.argsort(samples)
    assert (np.diff(soft[order]) >= 0).all()


def test_trim_cuts_the_silence_around_and_between() -> None:
    loud, silence = _speechlike(4000), np.zeros(8000, np.float32)
    loud = np.where(np.abs(loud) < 0.01, np.float32(0.01), loud)
    clip = np.concatenate([silence, loud, silence, loud, silence])
    ends = _run("trim", {"keep_s": (0.1, 0.1)}, clip)
    speech = np.concatenate([silence[:1600], loud, silence, loud, silence[:1600]])
    assert np.array_equal(ends[: len(speech)], speech)
    assert np.array_equal(ends[len(speech) :], speech[: len(clip) - len(speech)])
    pauses = _run("trim", {"keep_s": (0.1, 0.1), "places": ["pauses"]}, clip)
    shorter = np.concatenate([silence, loud, silence[:1600], loud, silence])
    assert np.array_equal(pauses[: len(shorter)], shorter)
    assert np.array_equal(_run("trim", {}, silence), silence)


def test_probability_and_order() -> None:
    steps = [{"name": "gain", "probability": 0.3, "params": {"gain_db": [6, 6]}}]
    chain = build_augmentation(AugmentationConfig(steps=steps))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    taken = [chain(np.ones(1, np.float32), RATE, rng)[0] > 1 for _ in range(1000)]
    assert 0.25 < np.mean(taken) < 0.35
    assert pickle.loads(pickle.dumps(chain))(np.ones(1, np.float32), RATE, rng).shape == (1,)  # noqa: S301
    unchanged = build_augmentation(AugmentationConfig())(np.ones(3, np.float32), RATE, rng)
    assert unchanged.tolist() == [1, 1, 1]


def test_a_configuration_says_all_and_reads_back() -> None:
    steps = [{"name": "rawboost", "params": {"algorithm": 5}}, {"name": "room"}]
    config = AugmentationConfig(steps=steps)  # type: ignore[arg-type]
    saved = config.model_dump(mode="json")
    assert saved["steps"][0]["params"]["snr_db"] == [10.0, 40.0]
    assert AugmentationConfig.model_validate(saved) == config


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "echo"}, "no augmentation is called 'echo'; there are rawboost, noise"),
        ({"name": "noise", "params": {"snr": 3}}, "noise has no parameter 'snr'; it takes snr_db"),
        ({"name": "noise", "params": {"snr_db": [9, 3]}}, "noise: snr_db: a range runs from low"),
        ({"name": "rawboost", "params": {"algorithm": 9}}, "rawboost: algorithm"),
        ({"name": "noise", "params": [1]}, "params is a mapping"),
        ({"name": "noise", "probability": 1.5}, "less than or equal to 1"),
        ({"name": "noise", "strength": 1}, "Extra inputs"),
        ({"probability": 1.0}, "Field required"),
    ],
)
def test_mistakes_are_named(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AugmentationConfig.model_validate({"steps": [step]})
