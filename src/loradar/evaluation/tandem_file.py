"""Speaker verification scores from a file, and what a countermeasure is worth before them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from loradar.errors import InputError
from loradar.evaluation.det import FloatArray, eer
from loradar.evaluation.tandem import (
    A_DCF_DEFAULT,
    ASVSPOOF5,
    AsvErrors,
    min_a_dcf,
    min_t_dcf,
    min_t_dcf_2019,
)
from loradar.evaluation.tandem_eer import concurrent_t_eer

KINDS = ("target", "nontarget", "spoof")


def read_asv_scores(path: Path | str) -> dict[str, FloatArray]:
    """Read the scores of a speaker verification (ASV) system.

    Parameters
    ----------
    path : Path or str
        CSV with the columns ``key`` (target, nontarget, spoof) and ``score``; or the text of the
        ASVspoof packages: columns apart by blanks, one of them the key, the last the score.

    Returns
    -------
    dict
        ``target``, ``nontarget`` and ``spoof``: scores, none empty.

    Raises
    ------
    InputError
        The file cannot be read, or a kind of trial is missing.
    """
    path = Path(path)
    plain = path.name.removesuffix(".gz").endswith(".txt")
    try:
        if plain:
            table = pd.read_csv(path, sep=r"\s+", header=None, dtype=str)
            keys = [name for name in table if set(table[name]) <= set(KINDS)]
            if not keys:
                raise InputError(f"{path}: no column holds target, nontarget and spoof alone")
            key, score = table[keys[0]], table[table.columns[-1]]
        else:
            table = pd.read_csv(path, dtype=str)
            missing = {"key", "score"} - set(table.columns)
            if missing:
                raise InputError(f"{path}: no column '{min(missing)}' (needs key,score)")
            key, score = table["key"], table["score"]
        numbers = np.asarray(score.astype(np.float64), dtype=np.float64)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file of ASV scores") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read ASV scores: {error}") from None
    kinds = {name: numbers[(key == name).to_numpy()] for name in KINDS}
    for name, scores in kinds.items():
        if scores.size == 0:
            raise InputError(f"{path}: no {name} trial (keys: {', '.join(sorted(set(key)))})")
    return kinds


def tandem_report(
    bonafide: ArrayLike, spoof: ArrayLike, asv: dict[str, FloatArray]
) -> dict[str, float]:
    """Compute the tandem figures of a countermeasure before an ASV system.

    Parameters
    ----------
    bonafide, spoof : array_like
        Countermeasure scores.
    asv : dict
        From `read_asv_scores`.

    Returns
    -------
    dict
        ``asv_eer``; ``min_t_dcf`` (ASVspoof 2021 and 5, this ASV system at its EER threshold),
        ``min_t_dcf_2019``; ``min_t_dcf_fixed_asv``: before the fixed ASV system of ASVspoof 5;
        ``t_eer``; ``asv_a_dcf`` (costs of the a-DCF paper) and ``asv_a_dcf_asvspoof5``: the ASV
        system alone, with no countermeasure.

    Raises
    ------
    InputError
        When a kind of trial is missing or a score is not finite.
    ConfigError
        When the ASV system is so poor that no countermeasure could help.
    """
    # Sorted once: the stable sorts of each figure then merely merge.
    target, nontarget, spoofed = (np.sort(asv[name]) for name in KINDS)
    bonafide, spoof = (np.sort(np.asarray(part, np.float64)) for part in (bonafide, spoof))
    errors = AsvErrors.at_eer(target, nontarget, spoofed)
    return {
        "asv_eer": eer(target, nontarget),
        "min_t_dcf": min_t_dcf(bonafide, spoof, errors).value,
        "min_t_dcf_2019": min_t_dcf_2019(bonafide, spoof, errors).value,
        "min_t_dcf_fixed_asv": min_t_dcf(bonafide, spoof).value,
        "t_eer": concurrent_t_eer(bonafide, spoof, target, nontarget, spoofed).value,
        "asv_a_dcf": min_a_dcf(target, nontarget, spoofed, A_DCF_DEFAULT).value,
        "asv_a_dcf_asvspoof5": min_a_dcf(target, nontarget, spoofed, ASVSPOOF5).value,
    }
