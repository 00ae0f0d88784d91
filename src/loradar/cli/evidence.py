"""``loradar vocoder evidence``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas as pd

    from loradar.evaluation.copies.clips import Clip
    from loradar.vocoders.attacks import Attack

THREADS = 2
# Licences under which recordings may be passed on, changed too, with credit.
_SYNTHETIC = (
    "A synthetic voice (that of `loradar corpus make sandbox`): nobody's recording. The figures "
    "above are of real speech."
)
_FREE = {"CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/"}


def evidence(
    source: Path = typer.Argument(
        ..., help="Real speech: manifest, corpus folder or folder of audio.", metavar="SOURCE"
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    attacks: str = typer.Option(
        "all", "--attacks", metavar="LIST", help="Attacks or families, with commas; or `all`."
    ),
    clips: int = typer.Option(50, "--clips", min=1, help="Clips to copy, speakers in turn."),
    where: list[str] = typer.Option(
        [], "--where", metavar="COLUMN=VALUE,...", help="Use these rows only."
    ),
    without: list[str] = typer.Option(
        [], "--without", metavar="COLUMN=VALUE,...", help="Leave these rows out."
    ),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read SOURCE as this public corpus, e.g. librispeech."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Equal seeds give equal copies."),
    docs: Path | None = typer.Option(
        None, "--docs", metavar="FOLDER", help="Also write evidence.md, pictures and sounds here."
    ),
    credit: str | None = typer.Option(
        None,
        "--credit",
        metavar="TEXT",
        help="Whose recordings, and their licence. --docs gets no sounds without, except of "
        "public corpora under CC BY 4.0.",
    ),
    synthetic: bool = typer.Option(
        False,
        "--synthetic",
        help="--docs shows and plays a synthetic voice (that of the sandbox corpus), copied once "
        "more, in place of the recordings. The figures stay those of the recordings.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """Copy real clips through each attack; measure how close they are and what gives them away.

    Writes a page with a table, spectrograms and sounds, and the same as Markdown, JSON and CSV.
    Rows of the dev split are used where it has five speakers or more, else all.

    Example: `loradar vocoder evidence manifest.csv -o evidence/ --attacks world,gan`
    """
    import json

    from loradar import __version__
    from loradar.cli.console import OUTPUT, complain, note, reporting, write_output
    from loradar.evaluation.copies.about import Run, Shown
    from loradar.evaluation.copies.clips import choose_clips
    from loradar.evaluation.copies.folder import Examples, claim, run_json, write_docs, write_folder
    from loradar.evaluation.copies.gather import copies_to_show, gather, offers
    from loradar.evaluation.copies.table import evidence_frame, evidence_json
    from loradar.evaluation.table import rich_table
    from loradar.files import check_writable

    names = _names(attacks)
    rows = _rows(source, corpus, where, without)
    claim(out)
    if docs is not None:
        check_writable(docs / "evidence.md")
    with reporting() as progress:
        chosen = choose_clips(rows, clips, seed=seed, progress=progress)
        for line in chosen.unreadable:
            complain(line)
        for line in chosen.without_speech:
            note(f"passed over: {line}")
        able, skipped = _attacks(names, offers(chosen.clips))
        for line in skipped:
            note(f"left out: {line}")
        examples = Examples({})
        found = gather(chosen.clips, able, seed=seed, keep=examples.keep, progress=progress)
        for failure in (line for findings in found for line in findings.failures):
            complain(failure)
        run = Run(
            chosen.clips,
            source=_corpus(rows) or source.absolute().name,
            command=_command(
                source,
                out,
                attacks,
                clips,
                where,
                without,
                corpus,
                seed,
                docs,
                credit,
                synthetic,
            ),
            seed=seed,
            threads=THREADS,
            version=__version__,
            skipped=skipped,
            credit=_credit(rows) if credit is None else credit.strip(),
        )
        write_folder(out, run, found, examples.copies, progress=progress)
        if docs is not None:
            if synthetic:
                voices = _voices(seed)
                shown = Shown(voices[0], _SYNTHETIC, audible=True)
                write_docs(docs, run, found, copies_to_show(voices, able, seed=seed), shown)
            else:
                write_docs(docs, run, found, examples.copies)
    if as_json:
        write_output(json.dumps({"run": run_json(run), "attacks": evidence_json(found)}))
    else:
        OUTPUT.print(rich_table(evidence_frame(found, intervals=False), caption=run.summary))
    note(f"wrote {out / 'index.html'}")
    failed = any(findings.failures for findings in found)
    if chosen.unreadable or failed:
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    """Split names and check them, before anything is read or written."""
    from loradar.errors import InputError
    from loradar.vocoders.attacks import choose

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("--attacks: name at least one attack or family, or all")
    choose(names, have=frozenset())
    return names


def _rows(source: Path, corpus: str | None, where: list[str], without: list[str]) -> pd.DataFrame:
    """Read the rows that may be sources; rows named on purpose are not narrowed to dev."""
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.evaluation.copies.clips import candidates

    conditions, excluded = parse_where(where), parse_where(without, "--without")
    manifest = read_source(source, corpus)
    if conditions:
        manifest = manifest.where(conditions)
    if excluded:
        manifest = manifest.without(excluded)
    return candidates(manifest, prefer_dev=not conditions)


def _corpus(rows: pd.DataFrame) -> str:
    return ", ".join(sorted(set(rows["corpus"]) - {""}))


def _credit(rows: pd.DataFrame) -> str:
    """Return the credit that public corpora ask for; empty where one of them may not be shown."""
    from loradar.corpora import CORPORA

    credits = []
    for name in sorted(set(rows["corpus"])):
        about = CORPORA[name][0] if name in CORPORA else None
        if about is None or about.licence not in _FREE:
            return ""
        credits.append(f"{about.title}, {about.url}, {about.licence} ({_FREE[about.licence]})")
    return "; ".join(credits)


def _voices(seed: int) -> list[Clip]:
    """Return utterances of two synthetic speakers."""
    import numpy as np

    from loradar.corpora.voice import draw_speaker, speak
    from loradar.evaluation.copies.clips import SECONDS, Clip

    rng = np.random.default_rng(seed)
    return [
        Clip(name, name, speak(draw_speaker(rng), SECONDS, rng).astype(np.float32))
        for name in ("synthetic voice", "another")
    ]


def _attacks(names: list[str], have: frozenset[str]) -> tuple[list[Attack], list[str]]:
    """Return the attacks that can run, and one line for each attack or measure that cannot."""
    from loradar.errors import InputError
    from loradar.evaluation.copies import world
    from loradar.vocoders.attacks import choose

    able, skipped = choose(names, have=have)
    if not able:
        raise InputError(f"no attack can run here: {'; '.join(skipped)}")
    if any(attack.kind == "neural" for attack in able):
        import torch

        torch.set_num_threads(THREADS)
    reason = world.missing()
    return able, [*skipped, *([reason] if reason else [])]


def _command(
    source: Path,
    out: Path,
    attacks: str,
    clips: int,
    where: list[str],
    without: list[str],
    corpus: str | None,
    seed: int,
    docs: Path | None,
    credit: str | None,
    synthetic: bool,
) -> str:
    """Write the command line again, with names in place of this machine's paths."""
    words = ["loradar", "vocoder", "evidence", source.absolute().name, "-o", out.absolute().name]
    if corpus is not None:
        words += ["--corpus", corpus]
    for option, texts in (("--where", where), ("--without", without)):
        for text in texts:
            words += [option, text]
    words += ["--attacks", attacks, "--clips", str(clips), "--seed", str(seed)]
    if docs is not None:
        words += ["--docs", docs.absolute().name]
    if credit is not None:
        words += ["--credit", credit]
    if synthetic:
        words.append("--synthetic")
    return shlex.join(words)
