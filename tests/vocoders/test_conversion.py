from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from loradar.corpora.voice import draw_speaker, speak
from loradar.vocoders.world import analyse, coarsen, world, world_missing

if (reason := world_missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

from loradar.vocoders.conversion import (
    _average,
    _estimate_warp,
    _stretch,
    voice_exemplars,
    voice_statistics,
)

RATE = 16_000


def _voice(seed: int, f0: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    speaker = replace(draw_speaker(rng), f0=f0)
    return np.asarray(speak(speaker, 2.0, rng), np.float32)


LOW, HIGH = _voice(1, 100.0), _voice(2, 200.0)


def _log_pitch(x: NDArray[np.float32]) -> NDArray[np.float64]:
    f0 = analyse(x, RATE).f0
    return np.log(f0[f0 > 0])


@pytest.mark.parametrize("convert", [voice_statistics, voice_exemplars])
def test_the_pitch_becomes_the_other_speakers(convert) -> None:  # type: ignore[no-untyped-def]
    copy = convert(LOW, RATE, np.random.default_rng(0), other=HIGH)
    own, aim, got = (np.median(_log_pitch(x)) for x in (LOW, HIGH, copy))
    assert abs(got - aim) < 0.25 * abs(own - aim)
    flat = convert(LOW, RATE, np.random.default_rng(0), other=HIGH, expression=0.0)
    assert np.std(_log_pitch(flat)) < 0.7 * np.std(_log_pitch(copy))


def test_the_average_envelope_moves_as_far_as_asked() -> None:
    other = np.diff(HIGH, prepend=np.float32(0))  # 6 dB an octave brighter

    def gap(average: float) -> float:
        rng = np.random.default_rng(0)
        copy = voice_statistics(LOW, RATE, rng, other=other, warp=1.0, average=average)
        made, aim = (_average(analyse(x, RATE)) for x in (copy, other))
        return float(np.abs(made - aim).mean())

    assert gap(1.0) < 0.7 * gap(0.5) < 0.5 * gap(0.0)


def test_a_voice_without_pitch_changes_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    copy = voice_statistics(LOW, RATE, np.random.default_rng(0), other=np.float32(0.1) * noise)
    assert np.median(_log_pitch(copy)) == pytest.approx(np.median(_log_pitch(LOW)), abs=0.1)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.12])
def test_the_warp_is_found(factor: float) -> None:
    place = np.arange(513)
    average = sum(3 * np.exp(-(((place - c) / 18) ** 2)) for c in (40, 100, 170, 240, 330))
    assert _estimate_warp(average, _stretch(average, factor)) == pytest.approx(factor, abs=0.03)


def test_coarse_envelopes_are_further_from_the_source() -> None:
    parameters = analyse(LOW, RATE)
    loud = parameters.log_power.max(axis=1) > parameters.log_power.max() - 7

    def error(dimensions: int) -> float:
        coarse = coarsen(parameters, RATE, dimensions, "measured").log_power
        return float(np.abs(coarse - parameters.log_power)[loud].mean())

    assert error(10) > 1.5 * error(60)


def test_aperiodicity() -> None:
    parameters = analyse(LOW, RATE)
    voiced = parameters.f0 > 0
    none = coarsen(parameters, RATE, None, "none").aperiodicity
    assert (none[voiced] == 0).all() and (none[~voiced] == 1).all()
    limit = coarsen(parameters, RATE, None, "limit").aperiodicity
    assert set(np.unique(limit)) <= {0.0, 1.0} and (np.diff(limit, axis=1) >= 0).all()
    coarse = coarsen(parameters, RATE, None, "coarse").aperiodicity
    assert coarse.shape == none.shape and 0 < coarse[voiced].mean() < 1


def test_a_flat_melody() -> None:
    copy = world(LOW, RATE, np.random.default_rng(0), expression=0.0)
    spread = [np.subtract(*np.percentile(_log_pitch(x), [90, 10])) for x in (LOW, copy)]
    assert spread[1] < 0.3 * spread[0]
