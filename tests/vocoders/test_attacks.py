import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from loradar.corpora.voice import draw_speaker, speak
from loradar.errors import ConfigError
from loradar.vocoders.acoustic import STEPS
from loradar.vocoders.attacks import ATTACKS, Attack, Source, choose
from loradar.vocoders.classical import CLASSICAL
from loradar.vocoders.ranges import OneOf, Sometimes
from loradar.vocoders.world import _fault

RATE = 16_000
NAMES = [attack.name for attack in CLASSICAL]
ODD: dict[str, Callable[[int], NDArray[Any]]] = {
    "silence": np.zeros,
    "constant": lambda length: np.full(length, 0.4),
    "full scale": lambda length: np.sign(np.sin(0.05 * np.arange(length) + 0.1)),
    "noise": lambda length: np.random.default_rng(0).standard_normal(length),
    "one click": lambda length: np.eye(1, length, length // 2)[0],
    "speech, faint": lambda length: 1e-4 * SPEECH[3000 : 3000 + length],
}


def _voice(seed: int, seconds: float = 2.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.asarray(speak(draw_speaker(rng), seconds, rng), np.float32)


SPEECH, OTHER = _voice(1), _voice(2)


def _usable(name: str) -> Attack:
    if (reason := ATTACKS[name].missing()) is not None:
        pytest.skip(reason)
    return ATTACKS[name]


def _copy(attack: Attack, samples: NDArray[Any], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    drawn = json.loads(json.dumps(attack.draw(rng)))
    source = Source(samples.astype(np.float32), RATE, other=OTHER)
    return attack.render(source, drawn, rng)


def _lag(x: NDArray[Any], y: NDArray[Any], reach: int = 640) -> float:
    """Milliseconds by which the energy of ``y`` comes after that of ``x``."""
    filter_ = signal.butter(2, 40, fs=RATE)
    a, b = (signal.lfilter(*filter_, np.abs(v.astype(np.float64))) for v in (x, y))
    a, b = a - a.mean(), b - b.mean()
    lags = range(-reach, reach + 1, 8)
    inner = a[reach:-reach]
    parts = [b[reach + k : len(b) - reach + k] for k in lags]
    scores = [float(inner @ part) / np.sqrt(float(part @ part)) for part in parts]
    return 1000 * lags[int(np.argmax(scores))] / RATE


@pytest.mark.parametrize("name", NAMES)
def test_copies_run_in_time_and_as_loud(name: str) -> None:
    attack = _usable(name)
    for seed in range(4):
        copy = _copy(attack, SPEECH, seed)
        assert copy.dtype == np.float32 and copy.shape == SPEECH.shape
        assert np.array_equal(copy, _copy(attack, SPEECH, seed))
        level = 20 * np.log10(np.std(copy) / np.std(SPEECH))
        assert abs(level) < 0.1
        assert abs(_lag(SPEECH, copy)) <= 10
        assert abs(np.corrcoef(copy, SPEECH)[0, 1]) < 0.999


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(sorted(ODD)),
    length=st.sampled_from([0, 1, 2, 3, 17, 160, 401, 2000, 5003]),
    seed=st.integers(0, 999),
)
def test_odd_clips_give_finite_copies(name: str, kind: str, length: int, seed: int) -> None:
    attack = _usable(name)
    samples = ODD[kind](length).astype(np.float32)
    copy = _copy(attack, samples, seed)
    assert copy.shape == samples.shape and np.isfinite(copy).all()
    if kind in ("silence", "constant"):
        assert np.allclose(copy, samples, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates(name: str, rate: int) -> None:
    attack = _usable(name)
    x, other = (signal.resample_poly(v[:16_000], rate // 100, 160) for v in (SPEECH, OTHER))
    source = Source(x.astype(np.float32), rate, other=other.astype(np.float32))
    rng = np.random.default_rng(0)
    copy = attack.render(source, attack.draw(rng), rng)
    assert copy.shape == x.shape and np.isfinite(copy).all()
    assert np.std(copy) == pytest.approx(np.std(x), rel=1e-3)


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_settings_are_in_their_ranges_and_fit_json(name: str, seed: int) -> None:
    attack = ATTACKS[name]
    drawn = attack.draw(np.random.default_rng(seed))
    assert json.loads(json.dumps(drawn)) == drawn
    assert drawn == attack.draw(np.random.default_rng(seed))
    for key, value in drawn.items():
        if key == "acoustic":
            assert all(amount in STEPS[step] for step, amount in value.items())
        elif attack.kind != "neural":
            assert value in attack.draw[key]  # type: ignore[index]


@pytest.mark.parametrize("name", NAMES)
def test_settings_vary(name: str) -> None:
    drawn = [ATTACKS[name].draw(np.random.default_rng(seed)) for seed in range(40)]
    for key in drawn[0]:
        assert len({json.dumps(one[key]) for one in drawn}) > 1


def test_choice() -> None:
    attacks, _ = choose(["lpc_pulse", "phase", "lpc_pulse"], have=frozenset())
    assert [a.name for a in attacks] == [
        "lpc_pulse",
        "phase_randomised",
        "phase_recovery",
        "phase_vocoder",
    ]
    with pytest.raises(ConfigError, match=r"no attack or family 'vocos'; attacks: mel_griffin_lim"):
        choose(["vocos"], have=frozenset())
    attacks, skipped = choose(["all"], have=frozenset())
    assert not any(a.kind == "program" or a.needs for a in attacks)
    assert not any(line.startswith(("espeak", "flite", "festival")) for line in skipped)
    assert "voice_statistics: needs a second speaker, and the source has one" in skipped
    _, skipped = choose(["espeak"], have=frozenset({"other"}))
    assert skipped == ["espeak: needs transcripts (a column transcript), and the source has none"]
    everything = frozenset({"transcript", "other"})
    attacks, skipped = choose(["all"], have=everything)
    assert len(attacks) + len(skipped) == len(ATTACKS)


def test_without_pyworld_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loradar.vocoders.world.find_spec", lambda name: None)
    attacks, skipped = choose(["world", "voice_conversion"], have=frozenset({"other"}))
    assert [a.name for a in attacks] == ["world_like"]
    assert skipped == [
        f"{name}: needs pyworld: pip install 'loradar[copies]'"
        for name in ("world", "voice_statistics", "voice_exemplars")
    ]


def test_a_broken_pyworld_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ImportError("numpy.dtype size changed,\n may indicate binary incompatibility")

    monkeypatch.setattr("loradar.vocoders.world.find_spec", lambda name: name)
    monkeypatch.setattr("loradar.vocoders.world._pyworld", fail)
    _fault.cache_clear()
    attacks, skipped = choose(["world"], have=frozenset())
    _fault.cache_clear()
    assert [a.name for a in attacks] == ["world_like"]
    assert skipped[0].startswith(
        "world: pyworld cannot be loaded (numpy.dtype size changed, may indicate binary "
        "incompatibility): pip install --force-reinstall"
    )


def _words(range_: Any) -> list[str]:
    if isinstance(range_, Sometimes):
        return _words(range_.drawn)
    return [str(v) for v in range_.values] if isinstance(range_, OneOf) else [str(range_)]


def test_the_page_states_every_attack_setting_and_range() -> None:
    page = Path(__file__).parents[2] / "docs" / "attacks.md"
    rows = page.read_text(encoding="utf-8").splitlines()
    for name, attack in ATTACKS.items():
        row = next(line for line in rows if line.startswith(f"| `{name}` "))
        for key in attack.draw(np.random.default_rng(0)):
            assert f"`{key}`" in row, f"{name}: {key}"
            if attack.kind != "neural" and key != "acoustic":
                for word in _words(attack.draw[key]):  # type: ignore[index]
                    assert word in row, f"{name}: {key}: {word}"


def test_neural_attacks_tell_what_is_missing_without_torch() -> None:
    program = (
        "import sys\n"
        "from loradar.vocoders.attacks import ATTACKS\n"
        "told = [attack.missing() or attack.weights() for attack in ATTACKS.values()]\n"
        "assert all(told[11:15]), told\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
