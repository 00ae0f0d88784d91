"""``loradar corpus list``, ``info``, ``prepare``, ``check``, ``shard``: corpora as they are had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from loradar.evaluation.corpus.check import CorpusReport


def list_corpora(
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table."),
) -> None:
    """List the public corpora that can be read by name.

    Example: `loradar corpus list`
    """
    import json
    from dataclasses import asdict

    from loradar.cli.console import OUTPUT, write_output
    from loradar.corpora.protocols import CORPORA

    abouts = [about for about, _ in CORPORA.values()]
    if as_json:
        write_output(json.dumps([asdict(about) for about in abouts], ensure_ascii=False))
        return
    from rich.table import Table

    columns = ("name", "corpus", "clips", "hours", "size", "licence")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for about in abouts:
        row = (about.title, about.clips, about.hours or "-", about.size or "-", about.licence)
        table.add_row(about.name, *row)
    OUTPUT.print(table)


def info(
    name: str = typer.Argument(..., help="A name that `loradar corpus list` shows."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say where a corpus is to be had, its licence and size, and the folder layout expected.

    Example: `loradar corpus info asvspoof2021_la`
    """
    import json
    from dataclasses import asdict

    from loradar.cli.console import write_output
    from loradar.corpora.protocols import CORPORA
    from loradar.errors import ConfigError

    name = name.partition(":")[0]
    if name not in CORPORA:
        raise ConfigError(f"no corpus is called {name!r}; there are {', '.join(CORPORA)}")
    about, _ = CORPORA[name]
    if as_json:
        write_output(json.dumps(asdict(about), ensure_ascii=False))
        return
    subsets = ", ".join((*about.subsets, "all")) if about.subsets else ""
    unchecked = "nothing but trees that the tests make: the corpus was not at hand"
    rows = {
        "paper": about.paper,
        "get it": about.url,
        "licence": about.licence,
        "clips": about.clips,
        "hours": about.hours,
        "size": about.size,
        "classes": about.classes,
        "layout": about.layout,
        "subsets": f"{subsets} (unless named: {about.default})" if subsets else "",
        "rules": about.rules,
        "layout from": about.facts,
        "figures": about.figures,
        "checked": about.checked or unchecked,
    }
    write_output(f"{about.title} ({about.name})")
    for key, text in rows.items():
        for place, line in enumerate(text.splitlines()):
            write_output(f"  {'' if place else key:<12}{line}")
    named = f"{name}:SUBSET" if about.subsets else name
    write_output(f"  {'read it':<12}loradar corpus prepare {named} PATH -o manifest.csv")


def prepare(
    name: str = typer.Argument(
        ..., help="A name that `loradar corpus list` shows, or NAME:SUBSET.", metavar="NAME"
    ),
    path: Path = typer.Argument(..., help="The corpus's folder."),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="FILE", help="Manifest to write (.csv, .parquet)."
    ),
    subset: str | None = typer.Option(None, "--subset", help="As NAME:SUBSET."),
    existing: bool = typer.Option(
        False, "--existing", help="Leave out clips whose audio is not there."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as JSON."),
) -> None:
    """Write a manifest of a corpus, by its official lists.

    Example: `loradar corpus prepare asvspoof2021_la:eval ASVspoof2021/ -o la21.csv`
    """
    import json
    from collections import Counter

    from loradar.cli.console import note, write_output
    from loradar.cli.sources import tell_subset
    from loradar.cli.trials import check_target
    from loradar.corpora.manifest import Manifest, write_manifest
    from loradar.corpora.protocols import read_corpus
    from loradar.errors import ConfigError, InputError

    check_target(out, ".csv", ".parquet", ".pq")
    if not path.exists():
        raise InputError(f"{path}: no such folder")
    if subset is not None:
        if ":" in name:
            raise ConfigError(f"{name} names a subset already: leave out --subset")
        name = f"{name}:{subset}"
    manifest = read_corpus(name, path)
    missing = set(manifest.check_files())
    if missing and existing:
        kept = manifest.table[~manifest.table["path"].isin(missing)]
        if kept.empty:
            raise InputError(f"{path}: none of {len(missing)} clips is there, e.g. {min(missing)}")
        manifest = Manifest(kept, source=manifest.source)
    write_manifest(manifest, out)
    tell_subset(name, manifest)
    pairs = zip(manifest.table["split"], manifest.table["label"], strict=True)
    counts = Counter(f"{split or 'no split'}/{label or 'unknown'}" for split, label in pairs)
    if as_json:
        record = {"manifest": str(out), "clips": len(manifest), "counts": dict(counts)}
        write_output(json.dumps({**record, "missing": len(missing)}))
    shown = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    note(f"wrote {out}: {len(manifest):,} clips ({shown})")
    if missing:
        left = "left out" if existing else "listed all the same; --existing leaves them out"
        note(f"{len(missing)} clips are not there ({left}), first: {min(missing)}")


def check(
    source: Path = typer.Argument(..., help="Manifest (CSV, Parquet) or corpus folder."),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read the folder as this corpus, NAME or NAME:SUBSET."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COL=V[,V...]", help="Check only such rows; may be repeated."
    ),
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="FILE", help="Write the problems, clip by clip (.csv)."
    ),
    min_seconds: float = typer.Option(0.5, "--min-seconds", min=0.0, help="Report shorter clips."),
    rate: int | None = typer.Option(
        None, "--rate", min=1, help="Report other sample rates. Default: the commonest."
    ),
    workers: int | None = typer.Option(
        None, "--workers", min=1, help="Processes. Default: the cores."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of tables."),
) -> None:
    """Read every file once: what is missing, damaged, doubled or leaks, and shortcuts.

    A shortcut is a trivial feature that tells the classes apart: duration, level, format, spectrum.
    Exit code 1: some files are missing or cannot be read; 2: all of them.

    Example: `loradar corpus check manifest.csv -o problems.csv`
    """
    import json
    import os

    from loradar.cli.console import reporting, write_output
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.cli.trials import check_target
    from loradar.evaluation.corpus.check import check_corpus

    check_target(out, ".csv")
    manifest = read_source(source, corpus)
    if where:
        manifest = manifest.where(parse_where(where))
    with reporting("clips") as progress:
        report = check_corpus(
            manifest,
            min_seconds=min_seconds,
            sample_rate=rate,
            # Starting processes takes as long as reading a hundred clips.
            workers=workers or (1 if len(manifest) < 200 else os.cpu_count() or 1),
            progress=progress,
        )
    if out is not None:
        _write_problems(out, report)
    if as_json:
        write_output(json.dumps(report.to_dict(), ensure_ascii=False))
    else:
        _show(report)
    if report.readable < report.clips:
        raise typer.Exit(1 if report.readable else 2)


def shard(
    source: str = typer.Argument(
        ..., help="Manifest, corpus folder, or hub:OWNER/NAME[:SPLIT] (a dataset of the hub)."
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to make."),
    corpus: str | None = typer.Option(
        None, "--corpus", help="Read the folder as this corpus, NAME or NAME:SUBSET."
    ),
    where: list[str] = typer.Option(
        [], "--where", metavar="COL=V[,V...]", help="Take only such rows; may be repeated."
    ),
    form: str = typer.Option("tar", "--format", help="`tar` (WebDataset) or `parquet`."),
    size: int = typer.Option(512, "--size", min=1, metavar="MIB", help="Audio a shard."),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the clips' order."),
    ordered: bool = typer.Option(False, "--ordered", help="Keep the order instead of shuffling."),
) -> None:
    """Copy a corpus into a few large files, with a manifest that every command takes.

    Example: `loradar corpus shard manifest.csv -o shards/`
    """
    from importlib.util import find_spec

    from loradar.cli.console import note, reporting
    from loradar.cli.filters import parse_where
    from loradar.cli.sources import read_source
    from loradar.corpora.hub import PREFIX, hub_clips
    from loradar.corpora.shards import write_samples, write_shards

    with reporting("clips") as progress:
        if source.startswith(PREFIX) and not where and not corpus and find_spec("datasets"):
            samples = hub_clips(source.removeprefix(PREFIX))
            made = write_samples(samples, out, form=form, shard_bytes=size * 1024**2)
        else:
            manifest = read_source(Path(source), corpus)
            if where:
                manifest = manifest.where(parse_where(where))
            made = write_shards(
                manifest,
                out,
                form=form,
                shard_bytes=size * 1024**2,
                seed=None if ordered else seed,
                progress=progress,
            )
    note(
        f"wrote {out / 'manifest.csv'}: {len(made.manifest):,} clips in {made.shards} shards, "
        f"{made.size / 1024**2:,.1f} MiB"
    )


def _write_problems(out: Path, report: CorpusReport) -> None:
    import csv

    from loradar.files import atomic_path

    with (
        atomic_path(out) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "problem", "detail"])
        writer.writerows((each.path, each.problem, each.detail) for each in report.problems)


def _show(report: CorpusReport) -> None:
    from rich.table import Table

    from loradar.cli.console import OUTPUT, write_output

    write_output(f"{report.clips:,} clips, {report.readable:,} readable, {report.hours:.2f} hours")
    for title, counts in (("clips", report.balance), ("native rates", report.rates)):
        write_output(f"{title}: " + ", ".join(f"{key} {n:,}" for key, n in counts.items()))
    write_output(
        "problems: " + (", ".join(f"{key} {n:,}" for key, n in report.counts.items()) or "none")
    )
    examples = {problem.problem: problem for problem in reversed(report.problems)}
    for kind, problem in examples.items():
        write_output(f"  {kind}, e.g. {problem.path} {problem.detail}")
    leaks = report.speaker_leaks
    shown = ", ".join(f"{name} ({'+'.join(splits)})" for name, splits in list(leaks.items())[:5])
    write_output(f"speakers in several splits: {len(leaks):,}" + (f": {shown}" if leaks else ""))
    if not report.shortcuts:
        write_output("shortcuts: not looked for (fewer than ten readable clips of a class)")
        return
    table = Table("trivial feature", "AUC", "at least", "bona fide", "spoof", "", box=None)
    for each in report.shortcuts:
        flag = "shortcut" if each.suspicious else ""
        row = (f"{each.auc:.3f}", f"{each.low:.3f}", each.bonafide, each.spoof, flag)
        table.add_row(each.feature, *row)
    OUTPUT.print(table)
