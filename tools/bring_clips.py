#!/usr/bin/env python3
"""Bring clips that a table names out of clones of their repositories.

python tools/bring_clips.py results/reserved/clips.csv --clones path/to/clones -o runs/reserved
python tools/bring_clips.py results/further_speech/clips.csv --clones path/to/clones -o runs/further
python tools/bring_clips.py results/pages/clips.csv --clones path/to/clones -o runs/embedded/pages

A table names each clip by its repository and the id of its content there (a git blob), so no
recording is in this one: the first those reserved for evaluation (never for training, calibration
or choosing), the second human speech under free licences (docs/embedded.md, what was tried), the
third people and synthesisers of demo pages to train and choose on. For each repository a clone,
bare or not, is wanted below ``--clones``, at OWNER/NAME, OWNER+NAME or OWNER+NAME/repo. Writes the
clips and ``manifest.csv``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

from loradar.errors import InputError
from loradar.files import atomic_path

#: Columns of a table that its manifest keeps, where it has them.
KEPT = (
    *("label", "attack", "kind", "group", "copy", "speaker", "corpus", "language", "pair_id"),
    *("matched", "licence", "repository"),
)


def bring(table: pd.DataFrame, clones: Path, out: Path) -> pd.DataFrame:
    """Write the clips of ``table`` below ``out`` and return their manifest.

    Parameters
    ----------
    table : DataFrame
        Columns ``repository`` (owner/name), ``blob``, ``path`` (where it goes), those of `KEPT`
        and ``split``; without a split all clips are ``eval`` ones.
    clones : Path
        Where the repositories are.
    out : Path
        The folder.

    Raises
    ------
    InputError
        No clone of a repository is there, or a clip is not in it.
    """
    root = out.resolve()
    for repository, rows in table.groupby("repository", sort=False):
        folder = _clone(str(repository), clones)
        for row in rows.itertuples():
            target = (root / str(row.path)).resolve()
            if not target.is_relative_to(root):
                raise InputError(f"{row.path}: leads out of the folder")
            if not target.exists():
                command = ["git", "-C", str(folder), "cat-file", "blob", str(row.blob)]
                found = subprocess.run(command, capture_output=True)
                if found.returncode:
                    raise InputError(f"{repository}: holds no {row.blob} ({row.path})")
                with atomic_path(target) as temporary:
                    temporary.write_bytes(found.stdout)
    manifest = table[["path", *(name for name in KEPT if name in table)]]
    return manifest.assign(split=table.get("split", "eval"))


def _clone(repository: str, clones: Path) -> Path:
    joined = clones / repository.replace("/", "+")
    for folder in (clones / repository, joined / "repo", joined):
        if (folder / ".git").is_dir() or (folder / "objects").is_dir():
            return folder
    raise InputError(
        f"{clones}: no clone of {repository}: git clone --bare "
        f"https://github.com/{repository} {joined}"
    )


def main(arguments: list[str]) -> int:
    """Run the tool."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--clones", required=True, type=Path)
    parser.add_argument("-o", dest="out", required=True, type=Path)
    given = parser.parse_args(arguments)
    try:
        table = pd.read_csv(given.table, dtype=str, keep_default_na=False)
        manifest = bring(table, given.clones, given.out)
        with atomic_path(given.out / "manifest.csv") as temporary:
            manifest.to_csv(temporary, index=False)
    except (InputError, OSError) as error:
        print(f"bring_clips: {error}", file=sys.stderr)
        return 2
    print(f"{given.out / 'manifest.csv'}: {len(manifest)} clips")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
