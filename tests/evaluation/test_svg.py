import re
from xml.etree import ElementTree

import numpy as np

from loradar.evaluation.figures import det_plot, heat_map
from loradar.evaluation.report import STYLE
from loradar.evaluation.svg import THEME, svg_markup


def _det():
    rng = np.random.default_rng(0)
    return det_plot({"one": (rng.normal(1, 1, 300), rng.normal(-1, 1, 300))})


def test_a_figure_is_well_formed_and_takes_the_pages_colours() -> None:
    text = svg_markup(_det(), "a", 'a "plot" & more')
    root = ElementTree.fromstring(text)
    assert root.attrib["aria-label"] == 'a "plot" & more'
    assert root.attrib["viewBox"].startswith("0 0 ")
    assert "width" not in root.attrib
    assert not set(THEME) & set(re.findall(r"#[0-9a-f]{6}\b", text))
    assert "var(--c0)" in text
    for variable in set(re.findall(r"var\((--\w+)\)", text)):
        assert f"{variable}:" in STYLE
    assert "<style" not in text
    assert "http" not in text


def test_equal_figures_give_equal_text_and_ids_of_their_own() -> None:
    first, again, other = (svg_markup(_det(), name, "x") for name in ("a", "a", "b"))
    assert first == again
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    referred = set(re.findall(r'(?:url\(#|href="#)([^")]+)', first))
    assert referred == ids[0]


def test_numbers_in_a_heat_map_keep_their_colour_on_every_page() -> None:
    text = svg_markup(heat_map([[0.1, 0.9]], ["a"], ["0", "1"]), "h", "x")
    assert "#fefefe" in text
    assert "#010101" in text
    assert "data:image/png;base64," in text  # the coloured cells
