"""The evidence as one page of HTML, beside the pictures and sounds it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from html import escape

from loradar.evaluation.copies.about import COLUMNS, TITLE, VERDICTS, Run
from loradar.evaluation.copies.gather import REFERENCE, Findings
from loradar.evaluation.copies.table import evidence_frame
from loradar.evaluation.report import STYLE

EXAMPLES = 2
_NARROW = re.compile(r" \((.*)\)$")  # the interval goes below its mean
_WIDER = """
body { max-width: 78rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
td:last-child, th:last-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
tr.fault td:last-child { color: var(--fault); font-weight: 600; }
td small { display: block; color: var(--muted); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.2rem; }
dt { font-weight: 600; }
dd { margin: 0; }
.players { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; }
.players label { color: var(--muted); font-size: .88rem; }
audio { display: block; width: 20rem; height: 2.2rem; }
"""


def audio_path(name: str, place: int) -> str:
    """Return where, inside the folder, a clip (``source``) or an attack's copy of it is heard."""
    return f"audio/{name}-{place + 1}.flac"


def picture_path(name: str, place: int) -> str:
    """Return where, inside the folder, an attack's copy of a clip is seen."""
    return f"spectrograms/{name}-{place + 1}.png"


def page(run: Run, findings: Sequence[Findings], made: Set[tuple[str, int]]) -> str:
    """Write the page.

    Parameters
    ----------
    run : Run
        How the findings were made.
    findings : sequence of Findings
        Of `gather.gather`.
    made : set of (str, int)
        (attack, place of the clip) that have a picture and a sound.
    """
    parts = [f"<p>{escape(run.summary)}</p>", _table(findings), _meaning()]
    if run.skipped:
        lines = "".join(f"<li>{escape(line)}</li>" for line in run.skipped)
        parts.append(f"<h2>Left out</h2><ul>{lines}</ul>")
    parts.append(f"<h2>To see and to hear</h2><p>{escape(run.rights)}</p>")
    parts += [_example(run, found, made) for found in findings]
    parts.append(f"<h2>To make it again</h2><p><code>{escape(run.command)}</code></p>")
    body = "\n".join(parts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<style>{STYLE}{_WIDER}</style>
</head>
<body>
<h1>{TITLE}</h1>
{body}
</body>
</html>
"""


def _table(findings: Sequence[Findings]) -> str:
    frame = evidence_frame(findings)
    head = "".join(f"<th>{escape(name)}</th>" for name in frame.columns)
    rows = []
    for found, row in zip(findings, frame.itertuples(index=False), strict=True):
        name, *figures, said = (escape(str(cell)) for cell in row)
        figures = [_NARROW.sub(r"<small>\1</small>", figure) for figure in figures]
        cells = [f'<a href="#{name}">{name}</a>', *figures, said]
        faulty = found.attack is not REFERENCE and said != "ok"
        fault = ' class="fault"' if faulty else ""
        rows.append(f"<tr{fault}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return (
        f'<figure><div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div></figure>"
    )


def _meaning() -> str:
    both = {**COLUMNS, **VERDICTS}
    return (
        "<h2>What the columns mean</h2><dl>"
        + "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text.replace('`', ''))}</dd>"
            for name, text in both.items()
        )
        + "</dl>"
    )


def _example(run: Run, found: Findings, made: Set[tuple[str, int]]) -> str:
    name = found.attack.name
    parts = [f'<h3 id="{escape(name)}">{escape(name)}</h3>']
    for place, clip in enumerate(run.clips[:EXAMPLES]):
        if (name, place) not in made:
            continue
        settings = _settings(found.copies[place].settings)
        caption = f"speaker {clip.speaker}, clip {clip.name}; {settings}"
        alt = f"spectrograms of clip {clip.name} and of its copy by {name}"
        parts.append(
            f'<figure><img alt="{escape(alt)}" src="{picture_path(name, place)}" width="990">'
            f"<figcaption>{escape(caption)}</figcaption>"
            f'<div class="players">{_player("source", audio_path("source", place))}'
            f"{_player('copy', audio_path(name, place))}</div></figure>"
        )
    if len(parts) == 1:
        parts.append("<p>No copy of the first clips could be made.</p>")
    return "\n".join(parts)


def _player(what: str, path: str) -> str:
    return f'<label>{what}<audio controls preload="metadata" src="{escape(path)}"></audio></label>'


def _settings(settings: Mapping[str, object]) -> str:
    """Write settings as ``bands 80, iterations 12``."""
    pairs = [
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in settings.items()
        if value not in ({}, None)
    ]
    return ", ".join(pairs) or "no settings"
