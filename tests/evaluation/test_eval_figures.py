import io
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import ndtri

from loradar.errors import ConfigError, InputError
from loradar.evaluation.figures import (
    MAX_POINTS,
    det_plot,
    heat_map,
    interval_plot,
    png_bytes,
    save_png,
)
from loradar.evaluation.report import Section, write_report


def _scores(size: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(1.5, 1, size), rng.normal(-1.5, 1, size)


def test_det_plot_draws_a_falling_line_and_marks_the_eer() -> None:
    figure = det_plot({"one": _scores(), "two": _scores(20_000)}, "Title")
    axes = figure.axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(lines) == 2
    for line in lines:
        assert len(line.get_xdata()) <= MAX_POINTS
        assert np.isfinite(line.get_xydata()).all()
        assert (np.diff(line.get_xdata()) <= 0).all()  # false acceptances fall
        assert (np.diff(line.get_ydata()) >= 0).all()  # misses grow
    # Gauss scores are a straight line on this scale: FRR = 50 % where FAR = Phi(-3).
    curve = lines[1].get_xydata()
    near = curve[np.argmin(np.abs(curve[:, 1]))]
    assert near[0] == pytest.approx(-3, abs=0.15)
    dots = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots[1] == pytest.approx([ndtri(0.0668)] * 2, abs=0.03)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0].startswith("one (EER ")


def test_det_plot_of_perfect_and_inverted_scores_stays_finite() -> None:
    figure = det_plot({"perfect": ([1.0, 2.0], [-1.0]), "inverted": ([-1.0], [1.0, 2.0])})
    for line in figure.axes[0].lines:
        assert np.isfinite(line.get_xydata()).all()
    assert len(png_bytes(figure)) > 1000


def test_names_are_not_read_as_formulas() -> None:
    figure = det_plot({"_a$b$_{": ([1.0], [0.0])}, "$\\broken")
    assert len(png_bytes(figure)) > 1000
    assert figure.legends[0].get_texts()[0].get_text().startswith(" _a")
    assert len(png_bytes(heat_map([[1.0]], ["$x$_{"], ["$"], unit="$_{$"))) > 1000


def test_figures_refuse_nonsense() -> None:
    with pytest.raises(ConfigError, match="at least one system"):
        det_plot({})
    with pytest.raises(InputError, match="no spoof"):
        det_plot({"one": ([1.0], [])})
    with pytest.raises(ConfigError, match=r"3 rows and 1 columns.*\(2, 1\)"):
        heat_map([[1.0], [2.0]], ["a", "b", "c"], ["x"])


def test_heat_map_writes_the_numbers_and_leaves_gaps() -> None:
    figure = heat_map(
        [[0.1, 0.9], [np.nan, 0.25]], ["A1", "A2"], ["expert 0", "expert 1"], unit="share"
    )
    axes = figure.axes[0]
    written = {text.get_text(): text.get_position() for text in axes.texts}
    assert written == {"0.10": (0, 0), "0.90": (1, 0), "0.25": (1, 1)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["A1", "A2"]
    assert len(png_bytes(heat_map([[np.nan]], ["a"], ["b"]))) > 1000


def test_png_is_reproducible_and_leaves_global_state_alone(tmp_path: Path) -> None:
    first, second = (png_bytes(det_plot({"one": _scores(50)})) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).size[0] > 500
    save_png(tmp_path / "figures" / "det.png", det_plot({"one": _scores(50)}))
    assert (tmp_path / "figures" / "det.png").read_bytes() == first
    assert "pyplot" not in vars(matplotlib)


def test_report_is_self_contained_and_escapes(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "report.html"
    table = pd.DataFrame({"attack": ["<i>A1</i>"], "EER %": ["6.71"]})
    figure = heat_map([[1.0]], ["a"], ["b"])
    write_report(
        path,
        "A & B <script>",
        [
            Section("First", ["x < y", "two\nlines"], table, "caption"),
            Section("Second", figures=[(figure, 'the "figure"')]),
        ],
    )
    text = path.read_text(encoding="utf-8")
    assert "<title>A &amp; B &lt;script&gt;</title>" in text
    assert "<script" not in text
    assert "x &lt; y" in text
    assert "<td>&lt;i&gt;A1&lt;/i&gt;</td><td>6.71</td>" in text
    assert text.count("<svg") == 1
    assert 'aria-label="the &quot;figure&quot;"' in text
    assert "http" not in text
    assert "width=device-width" in text


def test_interval_plot_marks_means_and_values() -> None:
    rows = {"one": (30.0, 25.0, 35.0, [28.0, 32.0]), "_two": (50.0, None, None, [50.0])}
    figure = interval_plot(rows, label="EER (%)", chance=50.0)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", " _two"]
    assert axes.yaxis_inverted()
    diamonds = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert diamonds == [30.0, 50.0]
    assert png_bytes(figure) == png_bytes(interval_plot(rows, label="EER (%)", chance=50.0))
    with pytest.raises(ConfigError, match="at least one row"):
        interval_plot({})
