"""The evidence as Markdown: the table alone, and a page for the docs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loradar.evaluation.copies.about import COLUMNS, TITLE, VERDICTS, Run, Shown
from loradar.evaluation.copies.gather import Findings
from loradar.evaluation.copies.table import evidence_frame

_INTERVAL = re.compile(r" (\([^()]*–[^()]*\))$")


def markdown_table(findings: Sequence[Findings]) -> str:
    """Write the findings as a Markdown table, one row an attack, ending in a line break.

    Intervals stand below their means and families are left out: pages are narrow.
    """
    frame = evidence_frame(findings).drop(columns="family")
    left = {"attack", "verdict"}
    lines = [
        _row(list(frame.columns)),
        _row(["---" if name in left else "--:" for name in frame.columns]),
        *(
            _row([_INTERVAL.sub(r"<br>\1", str(cell)) for cell in row])
            for row in frame.itertuples(index=False)
        ),
    ]
    return "\n".join(lines) + "\n"


def docs_page(run: Run, findings: Sequence[Findings], names: Sequence[str], shown: Shown) -> str:
    """Write the page of the docs.

    Parameters
    ----------
    run : Run
        How the findings were made.
    findings : sequence of Findings
        Of `gather.gather`.
    names : sequence of str
        Attacks that have a picture ``evidence/ATTACK.png`` and, where the clip may be heard, a
        sound ``evidence/ATTACK.mp3`` beside ``evidence/source.mp3``.
    shown : Shown
        The clip on the pictures.
    """
    sounds = shown.audible
    parts = [
        "---\nhide:\n  - toc\n---",
        f"# {TITLE}",
        "How close the copies of each attack are to real speech, and whether they give themselves "
        "away. This page is written by",
        f"```\n{run.command}\n```",
        "which also makes a page of its own with more sounds to listen to.",
        run.summary,
        markdown_table(findings).rstrip("\n"),
        "## What the columns mean",
        "\n".join(f"- **{name}**: {text}" for name, text in COLUMNS.items()),
        "Verdicts other than `ok`:",
        "\n".join(f"- **{name}**: {text}." for name, text in VERDICTS.items()),
    ]
    if run.skipped:
        parts += ["Left out:", "\n".join(f"- {line}" for line in run.skipped)]
    if names:
        parts += [
            "## To see and to hear" if sounds else "## To see",
            "The same clip each time: the source on the left, its copy on the right.",
            shown.rights,
        ]
        parts += [f"The source: {_player('source')}"] if sounds else []
        for name in names:
            parts.append(f"![source and copy by {name}](evidence/{name}.png)")
            parts += [f"{name}: {_player(name)}"] if sounds else []
    return "\n\n".join(parts) + "\n"


def _player(name: str) -> str:
    """A player, and a link for readers that show none."""
    # MkDocs serves the page from a folder of its own, and leaves addresses in HTML alone.
    return (
        f'<audio controls preload="none" src="../evidence/{name}.mp3"></audio> '
        f"[{name}.mp3](evidence/{name}.mp3)"
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
