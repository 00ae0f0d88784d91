import numpy as np
import pytest

from loradar.errors import ConfigError, InputError
from loradar.evaluation.calibration_figures import (
    calibration_plot,
    reliability,
    reliability_plot,
    tippett_plot,
)
from loradar.evaluation.figures import png_bytes


def _llrs(size: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return 2 + 2 * rng.normal(size=size), -2 + 2 * rng.normal(size=4 * size)  # their own llr


def test_true_llrs_lie_on_the_diagonal_whatever_the_class_sizes() -> None:
    claimed, observed = reliability(*_llrs())
    assert claimed.size == 12
    assert np.abs(claimed - observed).max() < 0.03
    bold = [3 * part for part in _llrs()]
    claimed, observed = reliability(*bold)
    # Overconfident: what happened is nearer to even odds than what was claimed.
    assert (np.abs(observed - 0.5) <= np.abs(claimed - 0.5) + 0.01).all()


def test_ties_share_a_bin_and_small_bins_are_left_out() -> None:
    claimed, observed = reliability([0.0] * 30, [0.0] * 10)
    assert (claimed.tolist(), observed.tolist()) == ([0.5], [pytest.approx(0.5)])
    assert reliability([1.0], [-1.0])[0].size == 0


def test_tippett_curves_fall_and_cross_zero_where_errors_begin() -> None:
    axes = tippett_plot({"one": _llrs()}).axes[0]
    real, fake = (line for line in axes.lines if len(line.get_xdata()) > 2)
    for line in (real, fake):
        assert (np.diff(line.get_ydata()) <= 0).all()
    at_zero = np.argmin(np.abs(real.get_xdata()))
    assert real.get_ydata()[at_zero] == pytest.approx(0.841, abs=0.02)
    assert fake.get_ydata()[at_zero] == pytest.approx(0.159, abs=0.02)


def test_figures_render_and_refuse_nonsense() -> None:
    llrs = {"raw": _llrs(200), "$_{": ([9.0, 8.0], [-9.0, 70.0])}
    for figure in (reliability_plot(llrs), tippett_plot(llrs), calibration_plot(llrs, "Both")):
        assert len(png_bytes(figure, 50)) > 1000
        assert len(figure.legends[0].get_texts()) == 2
    with pytest.raises(ConfigError, match="at least one system"):
        reliability_plot({})
    with pytest.raises(InputError, match="no spoof"):
        tippett_plot({"one": ([1.0], [])})
