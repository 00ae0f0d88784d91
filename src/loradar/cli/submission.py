"""``loradar submission``."""

from __future__ import annotations

from pathlib import Path

import typer


def submission(
    scores: Path = typer.Argument(..., help="Score file of all trials.", metavar="SCORES"),
    out: Path = typer.Option(..., "-o", "--out", metavar="FOLDER", help="Folder to write into."),
    dataset: str = typer.Option(
        ..., "--dataset", metavar="OWNER/NAME", help="Data set on the hub."
    ),
    revision: str = typer.Option(..., "--revision", help="The data set's commit."),
    model_repo: str = typer.Option(
        ..., "--model-repo", metavar="OWNER/NAME", help="Where the scores will be uploaded."
    ),
    name: str = typer.Option(..., "--name", help="The system's name."),
    slug: str | None = typer.Option(None, "--slug", help="Default: made from the name."),
    on: Path | None = typer.Option(
        None, "--on", metavar="MANIFEST", help="Labels, where the score file has none."
    ),
    split: str = typer.Option("test", "--split", help="The split that was scored."),
    meta: Path | None = typer.Option(
        None,
        "--meta",
        metavar="YAML",
        help="Further fields: description, code, checkpoint, arxiv_id, paper_url, bibtex, "
        "hf_username, contact, notes.",
    ),
) -> None:
    """Write a submission for the Speech Anti-Spoofing Arena: scores, and their hashes.

    The scores go to your model's repository, the YAML as a pull request to the data set's, with
    COMMIT replaced by that of your upload. Nothing is uploaded.

    Example: `loradar submission scores.csv -o arena --dataset Org/InTheWild --revision a957f25
    --model-repo me/detector --name "My detector"`
    """
    from datetime import UTC, datetime

    from loradar import __version__
    from loradar.cli.console import note
    from loradar.cli.sources import read_source
    from loradar.cli.trials import file_trials
    from loradar.errors import InputError
    from loradar.evaluation.submission import Submission, missing_fields, write_submission

    table = file_trials(scores, on, None if on is None else read_source(on))
    if "label" not in table or set(table["label"]) != {"bonafide", "spoof"}:
        raise InputError(
            f"{scores}: every trial needs a label (bonafide, spoof): give --on MANIFEST"
        )
    said = Submission(
        name=name,
        slug=slug or _slug(name),
        dataset=dataset,
        revision=revision,
        model_repo=model_repo,
        split=split,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        **_fields(meta),
    )
    for path in write_submission(out, table, said, __version__):
        note(f"wrote {path}")
    empty = missing_fields(said)
    if empty:
        note(f"still empty, and wanted by the benchmark: {', '.join(empty)} (--meta)")


def _slug(name: str) -> str:
    import re

    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _fields(path: Path | None) -> dict[str, str]:
    """Read the further fields of a submission."""
    import yaml

    from loradar.errors import InputError

    allowed = {"description", "code", "checkpoint", "arxiv_id", "paper_url", "bibtex"}
    allowed |= {"hf_username", "contact", "notes"}
    if path is None:
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict) or set(values) - allowed:
        wrong = ", ".join(sorted(map(str, set(values) - allowed))) if values else "nothing"
        raise InputError(f"{path}: {wrong}: give any of {', '.join(sorted(allowed))}")
    return {key: str(value) for key, value in values.items()}
