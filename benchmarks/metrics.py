"""Time of the metrics on 1,000,000 trials, one thread.

Run it alone with ``python benchmarks/metrics.py``; ``make bench`` calls `measure`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

from loradar.evaluation.evaluate import evaluate
from loradar.evaluation.tandem_file import tandem_report

TRIALS = 1_000_000
ROUNDS = 3
TARGET_S = 2.0


def measure() -> list[dict[str, Any]]:
    """Return the rows for results.json."""
    random = np.random.default_rng(0)
    real = random.random(TRIALS) < 0.3
    score = random.normal(size=TRIALS) + np.where(real, 1.5, -1.5)
    label = np.where(real, "bonafide", "spoof")
    table = pd.DataFrame({"score": score, "llr": 2 * score, "label": label})
    half = np.arange(TRIALS) < TRIALS // 2
    means = {"target": 2.0, "nontarget": -2.0, "spoof": 0.5}
    asv = {kind: random.normal(mean, 1, TRIALS // 6) for kind, mean in means.items()}

    jobs = {
        "metrics of 1,000,000 trials": (
            lambda: evaluate(table, resamples=0),
            "three EERs, minDCF, actDCF, Cllr, min-Cllr and AUC; no intervals",
        ),
        "tandem metrics of 1,000,000 trials": (
            lambda: tandem_report(score[half & real], score[half & ~real], asv),
            "three t-DCFs, t-EER, two a-DCFs and the ASV EER; half of the trials are the ASV's",
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, (job, _) in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return [
        {
            "name": name,
            "value": round(min(seconds[name]), 3),
            "unit": "s",
            "target": TARGET_S,
            "better": "lower",
            "ok": min(seconds[name]) <= TARGET_S,
            "how": f"{how}; least wall time of {ROUNDS} interleaved rounds, one process",
        }
        for name, (_, how) in jobs.items()
    ]


if __name__ == "__main__":
    for row in measure():
        print(f"{row['name']:40} {row['value']:.3f} s (target {row['target']:g} s)")
