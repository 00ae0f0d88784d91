"""Score files for a public benchmark: ``scores.txt`` and the YAML that vouches for it.

The layout is version 4 of the Speech Anti-Spoofing Arena (github.com/lab260ru/speech_spoof_bench):
one line ``UTTERANCE SCORE`` a trial, higher is more bona fide; a YAML file with the system, the
data set's pinned revision, the EER, and the SHA-256 of the scores at a pinned address.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from loradar.errors import InputError
from loradar.evaluation.det import eer_tie_safe
from loradar.files import write_text

SCHEMA = 4
# The Arena refuses a run that left out more.
MOST_SKIPPED = 0.05
SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
# No part begins with a dot: the name becomes a folder.
DATASET = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*")
# To be filled in by the submitter: the commit of the upload is not known before it is made.
COMMIT = "COMMIT"


@dataclass(frozen=True)
class Submission:
    """What a submission says beside its scores.

    Attributes
    ----------
    name, slug, description : str
        The system; the slug of small letters, digits and hyphens.
    dataset, revision, split : str
        ``OWNER/NAME`` on the hub, its commit, and the split that was scored.
    model_repo : str
        ``OWNER/NAME`` of the hub repository the scores will be uploaded to.
    code, checkpoint : str
        Addresses.
    arxiv_id, paper_url, bibtex : str
        The paper.
    hf_username, contact : str
        Who submits.
    date : str
        ``YYYY-MM-DD``.
    notes : str
        Free text.
    """

    name: str
    slug: str
    dataset: str
    revision: str
    model_repo: str
    date: str
    split: str = "test"
    description: str = ""
    code: str = ""
    checkpoint: str = ""
    arxiv_id: str = ""
    paper_url: str = ""
    bibtex: str = ""
    hf_username: str = ""
    contact: str = ""
    notes: str = ""


def scores_text(trials: pd.DataFrame) -> str:
    """Write ``UTTERANCE SCORE`` a line, in the order of the trials; unscored ones are left out.

    The utterance is what a column ``utterance_id`` says, else the file's name without folder and
    suffix.

    Raises
    ------
    InputError
        Two trials have the same name, or a name holds a blank.
    """
    scored = trials[trials["score"].notna()]
    names = scored["path"].astype(str).map(lambda path: Path(path).stem)
    if "utterance_id" in scored:
        told = scored["utterance_id"].fillna("").astype(str)
        names = told.where(told != "", names)
    double = names[names.duplicated()]
    if len(double):
        raise InputError(f"two trials are called {double.iloc[0]}: utterances need names apart")
    blank = names[names.str.contains(r"\s", regex=True)]
    if len(blank):
        raise InputError(f"{blank.iloc[0]!r}: an utterance's name may hold no blank")
    rows = zip(names, scored["score"].to_numpy(np.float64), strict=True)
    return "".join(f"{name} {score:.6f}\n" for name, score in rows)


def submission_yaml(trials: pd.DataFrame, submission: Submission, text: str, version: str) -> str:
    """Write the YAML beside the scores.

    Parameters
    ----------
    trials : DataFrame
        ``path``, ``label``, ``score``.
    submission : Submission
        What it says.
    text : str
        `scores_text` of the trials.
    version : str
        Of the program that made the scores.

    Returns
    -------
    str
        ``eer_percent`` is that of the rounded scores in the file, interpolated between ties as
        the Arena does; ``scores_url`` still lacks the commit of the upload (`COMMIT`).

    Raises
    ------
    InputError
        A name, slug or data set is malformed, a class has no score, or too many trials lack one.
    """
    if not SLUG.fullmatch(submission.slug):
        raise InputError(
            f"the slug {submission.slug!r} must be small letters, digits and hyphens, "
            "e.g. loradar-moe"
        )
    for what, value in (("data set", submission.dataset), ("model", submission.model_repo)):
        if not DATASET.fullmatch(value):
            raise InputError(f"the {what} {value!r} must be OWNER/NAME, as the hub writes it")
    skipped = int(trials["score"].isna().sum())
    if skipped > MOST_SKIPPED * len(trials):
        raise InputError(
            f"{skipped} of {len(trials)} trials have no score: a submission may leave out "
            f"{MOST_SKIPPED:.0%}"
        )
    scored = trials[trials["score"].notna()]
    real = (scored["label"] == "bonafide").to_numpy()
    fake = (scored["label"] == "spoof").to_numpy()
    values = np.round(scored["score"].to_numpy(np.float64), 6)
    rate = eer_tie_safe(values[real], values[fake])
    folder = f".eval_results/{submission.dataset}"
    content: dict[str, Any] = {
        "schema_version": SCHEMA,
        "system": {
            "name": submission.name,
            "slug": submission.slug,
            "description": submission.description,
            "code": submission.code,
            "checkpoint": submission.checkpoint,
            "paper": {
                "arxiv_id": submission.arxiv_id,
                "url": submission.paper_url,
                "bibtex": submission.bibtex,
            },
        },
        "dataset": {
            "id": submission.dataset,
            "revision": submission.revision,
            "split": submission.split,
        },
        "scores": {
            "eer_percent": 100 * rate,
            "n_trials": int(real.sum() + fake.sum()),
            "n_skipped": skipped,
        },
        "artifact": {
            "scores_url": f"https://huggingface.co/{submission.model_repo}/resolve/{COMMIT}/"
            f"{folder}/scores.txt",
            "scores_sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
            "bench_version": f"loradar=={version}",
        },
        "reproduction": {},
        "submitter": {"hf_username": submission.hf_username, "contact": submission.contact},
        "submitted_at": submission.date,
        "notes": submission.notes,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def missing_fields(submission: Submission) -> list[str]:
    """Name the fields that the benchmark wants filled and that are empty."""
    wanted = ("description", "code", "checkpoint", "arxiv_id", "paper_url", "bibtex")
    return [name for name in (*wanted, "hf_username", "contact") if not getattr(submission, name)]


def write_submission(
    folder: Path, trials: pd.DataFrame, submission: Submission, version: str
) -> list[Path]:
    """Write ``.eval_results/OWNER/NAME/scores.txt`` and ``submissions/SLUG.yaml`` into a folder.

    Returns
    -------
    list of Path
        What was written. Nothing is when something is wrong.

    Raises
    ------
    InputError
        As `scores_text` and `submission_yaml`, or a file cannot be written.
    """
    text = scores_text(trials)
    page = submission_yaml(trials, submission, text, version)
    paths = [
        folder / ".eval_results" / submission.dataset / "scores.txt",
        folder / "submissions" / f"{submission.slug}.yaml",
    ]
    for path, content in zip(paths, (text, page), strict=True):
        write_text(path, content)
    return paths
