"""Figures as SVG inside a page, in the colours of the page: light, dark, any width."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib.figure import Figure

from loradar.evaluation.figures import COLOURS

# What figures draw in -> the page's own colours; `loradar.evaluation.report.STYLE` defines them.
THEME = {
    "#000000": "var(--ink)",
    "#ffffff": "var(--paper)",
    "#dddddd": "var(--grid)",
    "#999999": "var(--muted)",
    **{colour.lower(): f"var(--c{place})" for place, colour in enumerate(COLOURS[:6])},
}
_HEAD = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_ID = re.compile(r'\bid="([^"]*)"')
_REFERENCE = re.compile(r'(?:url\(#|href="#)([^")]+)')
_STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
_PATH = re.compile(r'\bd="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_ROOT = re.compile(r"<svg\b[^>]*>")
_VIEW = re.compile(r'viewBox="[^"]*"')


def svg_markup(figure: Figure, name: str, description: str) -> str:
    """Render a figure as an ``<svg>`` element for a page with the report's style.

    Parameters
    ----------
    figure : Figure
        The figure; its background becomes clear. Black, white, the greys ``#dddddd`` and
        ``#999999``, and `figures.COLOURS` follow the page's theme; all else stays.
    name : str
        Sets its ids apart from those of other figures in the page.
    description : str
        For those who cannot see it.

    Returns
    -------
    str
        Equal figures give equal text.
    """
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = _METADATA.sub("", _HEAD.sub("", buffer.getvalue(), count=1))
    text = _STYLE.sub("", text)  # it would hold for the whole page; the page has it for plots
    text = _PATH.sub(lambda found: " ".join(_DECIMALS.sub(r"\1", found[0]).split()), text)
    text = _own_ids(text.replace("xlink:href=", "href="), name)
    text = _COLOUR.sub(lambda found: THEME.get(found[0], found[0]), text)
    root = _ROOT.search(text)
    view = _VIEW.search(text)
    assert root is not None and view is not None  # what matplotlib writes
    width = round(96 * figure.get_figwidth())
    opening = (
        f'<svg class="plot" role="img" aria-label="{escape(description)}" {view[0]} '
        f'style="max-width: {width}px">'
    )
    return text[: root.start()] + opening + text[root.end() :].strip()


def _own_ids(text: str, name: str) -> str:
    """Give the ids that are referred to names of their own, and drop the others."""
    used = dict.fromkeys(_REFERENCE.findall(text))
    fresh = {old: f"{name}-{place}" for place, old in enumerate(used)}
    text = _REFERENCE.sub(lambda found: found[0].replace(found[1], fresh[found[1]]), text)
    return _ID.sub(lambda found: f'id="{fresh[found[1]]}"' if found[1] in fresh else "", text)
