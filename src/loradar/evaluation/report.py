"""A report as one HTML file that needs nothing else: figures inside, no links, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from loradar.evaluation.figures import png_bytes
from loradar.files import write_text

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 56rem; color: #1d2733;
  background: #fff; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid #d9dfe6; overflow-wrap: anywhere; }
p { margin: .6rem 0; overflow-wrap: anywhere; white-space: pre-line; }
figure { margin: 1rem 0; }
.scroll { overflow-x: auto; }
figure img { display: block; height: auto; max-width: 100%; }
figcaption { color: #5a6675; font-size: .88rem; margin-top: .4rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #e4e9ee; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: #5a6675; font-weight: 600; border-bottom: 2px solid #b9c3ce; }
"""


@dataclass(frozen=True)
class Section:
    """One part of a report; what is not given is left out.

    Attributes
    ----------
    heading : str
        Title of the part.
    text : sequence of str
        Paragraphs; line breaks inside are kept.
    table : DataFrame, optional
        Cells are written as they are (format numbers first); the index is not shown.
    table_caption : str
        Line below the table.
    figures : sequence of (Figure, str)
        Each with its caption, which also describes it to those who cannot see it.
    """

    heading: str
    text: Sequence[str] = ()
    table: pd.DataFrame | None = None
    table_caption: str = ""
    figures: Sequence[tuple[Figure, str]] = field(default=())


def write_report(path: Path | str, title: str, sections: Sequence[Section]) -> None:
    """Write a report, whole or not at all.

    Parameters
    ----------
    path : Path or str
        The HTML file.
    title : str
        Its title.
    sections : sequence of Section
        Its parts, in order.
    """
    body = "\n".join(_section(section) for section in sections)
    write_text(
        path,
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
""",
    )


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
    if section.table is not None:
        parts.append(_table(section.table, section.table_caption))
    for figure, caption in section.figures:
        data = base64.b64encode(png_bytes(figure)).decode("ascii")
        width = round(96 * figure.get_figwidth())
        parts.append(
            f'<figure><img width="{width}" alt="{escape(caption)}" '
            f'src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    return "\n".join(parts)


def _table(table: pd.DataFrame, caption: str) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in table.columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure><div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>{below}</figure>"
    )
