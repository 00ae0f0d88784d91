import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from loradar.audio import load_audio
from loradar.vocoders import VOCODERS

RATE = 16_000


def _vowel(seconds: float = 1.0, f0: float = 125.0, rate: int = RATE) -> np.ndarray:
    """Pulses through two resonances, with a quiet end."""
    time = np.arange(int(seconds * rate)) / rate
    x = np.diff(np.floor(time * f0), prepend=0.0)
    for centre, width in ((600.0, 80.0), (1500.0, 120.0)):
        radius = np.exp(-np.pi * width / rate)
        x = signal.lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * centre / rate), radius**2], x)
    x = x * np.where(time < 0.7 * seconds, 1.0, 0.01)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(x))
    return (0.2 * x / np.abs(x).max() + noise).astype(np.float32)


def _bands(x: np.ndarray) -> np.ndarray:
    """Log energies [frames, 20 bands] below 5 kHz, in decibels."""
    _, _, power = signal.spectrogram(x, RATE, nperseg=512, noverlap=256)
    return 10 * np.log10(power[:160].reshape(20, 8, -1).mean(axis=1) + 1e-12)


@pytest.mark.parametrize("name", VOCODERS)
@settings(max_examples=10, deadline=None)
@given(
    length=st.integers(0, 3000),
    scale=st.sampled_from([0.0, 1e-5, 1.0, 4.0]),
    offset=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 99),
)
def test_length_level_and_determinism(
    name: str, length: int, scale: float, offset: float, seed: int
) -> None:
    samples = np.float32(scale) * _vowel()[2000 : 2000 + length] + np.float32(offset)
    before = samples.copy()
    first, second = (VOCODERS[name](samples, RATE, np.random.default_rng(seed)) for _ in range(2))
    assert first.dtype == np.float32 and first.shape == samples.shape
    assert np.isfinite(first).all() and np.array_equal(first, second)
    assert np.array_equal(samples, before)
    if length > 100 and scale > 1e-4:
        assert first.std() == pytest.approx(samples.std(), rel=1e-3)
        assert first.mean() == pytest.approx(samples.mean(), abs=1e-3 * scale)
    if scale == 0.0:
        assert np.allclose(first, offset)


@pytest.mark.parametrize("name", VOCODERS)
def test_a_copy_sounds_alike_but_is_another_waveform(name: str) -> None:
    samples = _vowel()
    copy = VOCODERS[name](samples, RATE, np.random.default_rng(1))
    assert abs(np.corrcoef(copy, samples)[0, 1]) < 0.97
    original, made = _bands(samples), _bands(copy)
    loud = original > original.max() - 40
    assert np.corrcoef(original[loud], made[loud])[0, 1] > 0.8
    # The quiet end stays quiet.
    assert np.std(copy[12_500:]) < 0.1 * np.std(copy[:10_000])


@pytest.mark.parametrize("name", ["lpc_pulse", "sinusoidal", "world_like", "mel_griffin_lim"])
@pytest.mark.parametrize("f0", [110.0, 220.0])
def test_the_pitch_is_kept(name: str, f0: float) -> None:
    copy = VOCODERS[name](_vowel(f0=f0), RATE, np.random.default_rng(1))[3000:9000]
    score = signal.correlate(copy, copy)[len(copy) - 1 :]
    lag = 40 + np.argmax(score[40:200])
    assert RATE / lag == pytest.approx(f0, rel=0.03)


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates(name: str, rate: int) -> None:
    samples = _vowel(0.5, rate=rate)
    copy = VOCODERS[name](samples, rate, np.random.default_rng(0))
    assert copy.shape == samples.shape and np.isfinite(copy).all()
    assert np.std(copy) == pytest.approx(np.std(samples), rel=1e-3)


def test_coarser_settings_are_further_from_the_original() -> None:
    from loradar.vocoders import lpc_quantised, mel_griffin_lim

    samples = _vowel()
    error = [
        np.std(lpc_quantised(samples, RATE, np.random.default_rng(0), bits=bits) - samples)
        for bits in (1, 3, 6)
    ]
    assert error[0] > 1.5 * error[1] > 2 * error[2]

    def distance(**settings: int) -> float:
        copy = mel_griffin_lim(samples, RATE, np.random.default_rng(0), **settings)
        gap = np.abs(_bands(samples) - _bands(copy))
        return float(gap[:, 4:40].mean())

    assert distance(bands=10) > 1.3 * distance(bands=80)


@pytest.mark.parametrize("name", VOCODERS)
def test_real_speech_keeps_its_spectrogram(shared, name: str) -> None:  # type: ignore[no-untyped-def]
    clip = min((shared / "speech" / "labelled" / "bonafide").glob("*.flac"))
    samples = load_audio(clip)
    copy = VOCODERS[name](samples, RATE, np.random.default_rng(0))
    original, made = _bands(samples), _bands(copy)
    loud = original > original.max() - 50
    assert np.corrcoef(original[loud], made[loud])[0, 1] > 0.8
    assert np.std(copy) == pytest.approx(np.std(samples), rel=1e-3)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    script = (
        "import hashlib, numpy as np\n"
        "from loradar.corpora.voice import draw_speaker, speak\n"
        "from loradar.vocoders import VOCODERS\n"
        "for seed in (1, 2):\n"  # clips whose Griffin-Lim copy once differed
        "    rng = np.random.default_rng(seed)\n"
        "    x = speak(draw_speaker(rng), 3.0, rng)\n"
        "    for vocoder in VOCODERS.values():\n"
        "        copy = vocoder(x, 16_000, rng)\n"
        "        print(hashlib.sha256(copy.tobytes()).hexdigest())\n"
        "from loradar.vocoders.attacks import Source\n"
        "from loradar.vocoders.classical import CLASSICAL\n"
        "for attack in CLASSICAL:\n"
        "    if attack.missing() is None:\n"
        "        source = Source(x, 16_000, other=x[::-1])\n"
        "        copy = attack.render(source, attack.draw(rng), rng)\n"
        "        print(hashlib.sha256(copy.tobytes()).hexdigest())\n"
    )
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **dict.fromkeys(names, count)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in ("1", "2")
    ]
    assert outputs[0] == outputs[1] and len(outputs[0].split()) > 2 * len(VOCODERS)
