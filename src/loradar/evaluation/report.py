"""A report as one HTML file that needs nothing else: figures inside, no links, no scripts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from loradar.evaluation.svg import svg_markup
from loradar.files import write_text

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --muted: #5a6675;
  --line: #d9dfe6; --grid: #dde2e8; --panel: #f4f6f8; --fault: #a3270c;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b3578f; --c4: #b87a00; --c5: #2f93cc; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --paper: #12171d; --muted: #9aa7b5; --line: #333d48; --grid: #2b343e;
    --panel: #1b222a; --fault: #ff9377;
    --c0: #4fb3ee; --c1: #ff8a3d; --c2: #38c99d; --c3: #e79ac6; --c4: #f2b93c; --c5: #86ccf5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 56rem; color: var(--ink);
  background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
p { margin: .6rem 0; overflow-wrap: anywhere; white-space: pre-line; }
figure { margin: 1rem 0; }
.scroll { overflow-x: auto; }
figure img { display: block; height: auto; max-width: 100%; }
.plot { display: block; width: 100%; height: auto; fill: var(--ink); }
.plot * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { color: var(--muted); font-size: .88rem; margin-top: .4rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; min-width: 7rem;
  max-width: 14rem; white-space: normal; overflow-wrap: anywhere; position: sticky; left: 0;
  background: var(--paper); }
thead th { color: var(--muted); font-weight: 600; border-bottom: 2px solid var(--line); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem;
  margin: 1rem 0; }
.facts div { background: var(--panel); border-radius: .5rem; padding: .7rem .9rem; }
.facts dt { color: var(--muted); font-size: .85rem; }
.facts dd { margin: 0; }
.facts dd:first-of-type { font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.facts dd + dd { color: var(--muted); font-size: .85rem; }
.pairs { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 2fr); gap: .35rem 1.2rem;
  font-size: .92rem; }
.pairs dt { color: var(--muted); overflow-wrap: anywhere; }
.pairs dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 36rem) { .pairs { grid-template-columns: 1fr; gap: 0; }
  .pairs dd { margin-bottom: .6rem; } }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr));
  gap: .9rem; margin: 1rem 0; }
.clips figure { margin: 0; background: var(--panel); border-radius: .5rem; padding: .7rem; }
.clips img { width: 100%; height: 7rem; border-radius: .3rem; }
.clips h3 { font-size: .95rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
audio { display: block; width: 100%; height: 2.2rem; margin-top: .5rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
pre { overflow-x: auto; background: var(--panel); border-radius: .5rem; padding: .8rem;
  font-size: .85rem; line-height: 1.4; }
@media print { details > pre { white-space: pre-wrap; } figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Fact:
    """One key figure.

    Attributes
    ----------
    label, value, note : str
        What it is, the figure, and what it means.
    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Clip:
    """A clip to see and hear.

    Attributes
    ----------
    title, text : str
        Its name, and what is said of it.
    flac : bytes
        Its sound; empty where there is none.
    png : bytes
        Its spectrogram; empty where there is none.
    """

    title: str
    text: str
    flac: bytes = b""
    png: bytes = b""


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
    facts : sequence of Fact
        Key figures, above the text.
    clips : sequence of Clip
        Clips to see and hear, below the table.
    pairs : sequence of (str, str)
        Names and values, one line each, below the table.
    details : sequence of (str, str)
        Heading and long text that opens on a click, at the end.
    figures : sequence of (Figure, str)
        Each with its caption, which also describes it to those who cannot see it.
    """

    heading: str
    text: Sequence[str] = ()
    table: pd.DataFrame | None = None
    table_caption: str = ""
    figures: Sequence[tuple[Figure, str]] = ()
    facts: Sequence[Fact] = ()
    clips: Sequence[Clip] = ()
    pairs: Sequence[tuple[str, str]] = ()
    details: Sequence[tuple[str, str]] = ()


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
    numbers = count()
    body = "\n".join(_section(section, numbers) for section in sections)
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


def _section(section: Section, numbers: Iterator[int]) -> str:
    parts = [f"<h2>{escape(section.heading)}</h2>"]
    if section.facts:
        parts.append('<dl class="facts">' + "".join(map(_fact, section.facts)) + "</dl>")
    parts += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
    if section.table is not None:
        parts.append(_table(section.table, section.table_caption))
    if section.pairs:
        parts.append('<dl class="pairs">' + "".join(map(_pair, section.pairs)) + "</dl>")
    if section.clips:
        parts.append('<div class="clips">' + "".join(map(_clip, section.clips)) + "</div>")
    for figure, caption in section.figures:
        plot = svg_markup(figure, f"f{next(numbers)}", caption)
        parts.append(f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>")
    for heading, text in section.details:
        parts.append(
            f"<details><summary>{escape(heading)}</summary><pre>{escape(text)}</pre></details>"
        )
    return "\n".join(parts)


def _fact(fact: Fact) -> str:
    note = f"<dd>{escape(fact.note)}</dd>" if fact.note else ""
    return f"<div><dt>{escape(fact.label)}</dt><dd>{escape(fact.value)}</dd>{note}</div>"


def _pair(pair: tuple[str, str]) -> str:
    name, value = map(escape, pair)
    return f"<dt>{name}</dt><dd>{value}</dd>"


def _clip(clip: Clip) -> str:
    parts = [f"<h3>{escape(clip.title)}</h3>"]
    if clip.png:
        alt = f"spectrogram of {clip.title}"
        parts.append(f'<img alt="{escape(alt)}" src="{_inline("image/png", clip.png)}">')
    if clip.flac:
        parts.append(f'<audio controls src="{_inline("audio/flac", clip.flac)}"></audio>')
    parts.append(f"<figcaption>{escape(clip.text)}</figcaption>")
    return "<figure>" + "".join(parts) + "</figure>"


def _inline(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


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
