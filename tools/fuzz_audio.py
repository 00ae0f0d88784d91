"""Judge mutated audio files, and find the one that crashes, hangs or gets no reasoned answer.

    python tools/fuzz_audio.py
    python tools/fuzz_audio.py --count 300 --seed 7 --keep broken/ --json
    python tools/fuzz_audio.py --model runs/demo/moe_lora

Generated sound (no human voice) in every container that can be written here is cut, flipped,
relabelled and so on (`tools/audio_mutations.py`), and each file judged as ``loradar detect`` does,
in a child process. A file fails when the child dies, takes more than ``--limit`` seconds of the
processor (or six times that on the clock), or more memory than ``--memory`` above what it holds
idle, when an exception gets out, or when the answer has no reason. Exit code 1 then.

Without ``--model`` a stand-in scores the windows, which needs no weights and no torch: the files
are what is tried.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from audio_mutations import Mutator

from loradar.errors import LoradarError
from loradar.inference.judging import detect
from loradar.inference.model import Model, load_model

COUNT, LIMIT_S, MEMORY_MIB = 2000, 10.0, 256
#: A machine with other work to do gives a process no more than a share of each second.
PATIENCE = 6
VERDICTS = frozenset({"BONAFIDE", "SPOOF", "UNCERTAIN", "NOT_APPLICABLE", "ERROR"})
LONGEST_REASON = 400
_STATUS = Path("/proc/self/status")


class StandIn:
    """Scores a window by its level: finite for whatever is finite."""

    window = 64_600

    def score_windows(self, batch: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return scores [B] of windows [B, S], and no gates."""
        power = np.square(batch, dtype=np.float64).mean(axis=1)
        return np.log10(power + 1e-12), {}


def judge(model: Model, path: str) -> tuple[str, str]:
    """Judge a file; return its verdict and what is wrong with the answer, or nothing."""
    try:
        (verdict,) = detect(model, [path])
        told = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    except MemoryError:
        return "memory", "it needs more memory than it may have"
    except Exception as error:  # whatever gets out is what is looked for
        return "exception", f"{type(error).__name__}: {error}"
    return told["verdict"], fault(told, path)


def fault(told: dict[str, Any], path: str) -> str:
    """Return why an answer is none that a person could use; empty when it is one."""
    name, reasons = told["verdict"], told["reasons"]
    if name not in VERDICTS:
        return f"a verdict {name!r}"
    if name in ("ERROR", "NOT_APPLICABLE", "UNCERTAIN") and not all([reasons, *reasons]):
        return f"{name} without a reason"
    text = "; ".join(reasons)
    if len(text.replace(path, "")) > LONGEST_REASON or not text.isprintable():
        return f"a reason that is no line of text: {text[:200]!r}"
    if name == "ERROR":
        return "" if path in text else f"an error that does not name the file: {text}"
    if "allocate" in text:
        return f"out of memory: {text}"
    numbers = [told[key] for key in ("p_spoof", "llr", "score")]
    return "" if all(map(math.isfinite, numbers)) else f"{name} with the numbers {numbers}"


def work(folder: str, memory_mib: int) -> None:
    """Be the child: read paths from standard input, write an answer a line."""
    # What a C library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()
    model = load_model(folder) if folder else Model(StandIn(), None, "stand-in")
    idle = 0
    for line in sys.stdin:
        path = line.rstrip("\n")
        if path == "idle":
            # Everything is loaded now; what a file takes counts from here.
            idle = _resident_kib("VmRSS")
            _limit_addresses(2 * memory_mib)
            answers.write(json.dumps({"idle_mib": idle / 1024}) + "\n")
            continue
        _forget_peak()
        started = time.process_time()
        verdict, wrong = judge(model, path)
        peak = max(_resident_kib("VmHWM") - idle, 0) / 1024 if idle else 0.0
        if not wrong and peak > memory_mib:
            verdict, wrong = "memory", f"{peak:.0f} MiB, where {memory_mib} are allowed"
        answer = {"verdict": verdict, "wrong": wrong, "mib": peak}
        answer["seconds"] = time.process_time() - started
        answers.write(json.dumps(answer) + "\n")


def _resident_kib(name: str) -> int:
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(x.split()[1]) for x in _STATUS.read_text().splitlines() if x.startswith(name))


def _forget_peak() -> None:
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")


def _limit_addresses(more_mib: int) -> None:
    """Stop what runs away before the machine suffers; the cap itself is told by what is used."""
    if _STATUS.exists():
        held = _resident_kib("VmSize") * 1024
        resource.setrlimit(resource.RLIMIT_AS, (held + more_mib * 2**20, resource.RLIM_INFINITY))


class Child:
    """The judging process; begun anew whenever it died or was killed.

    Parameters
    ----------
    model : str
        Folder; empty for the stand-in.
    memory_mib : int
        What a file may take above the idle process.
    limit_s : float
        Longest time a file may take.
    warm_up : list of Path
        Sound files that load what is loaded at first use.
    """

    def __init__(self, model: str, memory_mib: int, limit_s: float, warm_up: list[Path]) -> None:
        self.idle_mib = 0.0
        self._limit_s = limit_s
        self._warm_up = warm_up
        self._command = [sys.executable, __file__, "--child", model, str(memory_mib)]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this is
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path) -> dict[str, Any]:
        """Have a file judged: ``{"verdict", "wrong", "seconds", "mib"}``."""
        if self._process is None:
            self._begin()
        answer = self._ask(str(path), PATIENCE * self._limit_s)
        if not answer["wrong"] and answer["seconds"] > self._limit_s:
            seconds = f"{answer['seconds']:.1f} s of the processor"
            answer |= {"verdict": "hang", "wrong": f"{seconds}, where {self._limit_s:g} may be"}
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        for path in self._warm_up:
            answer = self._ask(str(path), 120.0)
            if answer["wrong"]:
                raise LoradarError(f"{path.name}, which is whole: {answer['wrong']}")
        self.idle_mib = self._ask("idle", 120.0)["idle_mib"]

    def _ask(self, line: str, limit_s: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("there is no child")
        started = time.perf_counter()
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], limit_s)
        told = process.stdout.readline() if ready else b""
        if told.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(told)
            return answer
        if not ready:
            verdict, wrong = "hang", f"no answer within {limit_s:g} s"
        else:
            verdict, wrong = "crash", f"the process died: {process.wait()}; {self._last_words()}"
        self.close()
        return {
            "verdict": verdict,
            "wrong": wrong,
            "mib": 0.0,
            "seconds": time.perf_counter() - started,
        }

    def _last_words(self) -> str:
        self._log.seek(0)
        return " ".join(self._log.read().decode(errors="replace")[-300:].split())


def fuzz(
    count: int,
    seed: int,
    *,
    model: str = "",
    limit_s: float = LIMIT_S,
    memory_mib: int = MEMORY_MIB,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Judge ``count`` mutated files.

    Parameters
    ----------
    count, seed : int
        How many; the same seed and libraries make the same files.
    model : str
        Folder; empty for the stand-in.
    limit_s, memory_mib
        See `Child`.
    keep : Path, optional
        Folder that gets the files that failed.

    Returns
    -------
    dict
        ``{"files", "failures": [...], "by_mutation": {name: {verdict: files}}, "containers",
        "slowest", "largest", "idle_mib", ...}``.

    Raises
    ------
    LoradarError
        A file as it was before any mutation gets no answer.
    """
    failures: list[dict[str, Any]] = []
    by_mutation: dict[str, Counter[str]] = {}
    slowest: dict[str, Any] = {"seconds": 0.0}
    largest: dict[str, Any] = {"mib": 0.0}
    with tempfile.TemporaryDirectory(prefix="loradar-fuzz-") as name:
        folder = Path(name)
        mutator = Mutator(seed, folder)
        child = Child(model, memory_mib, limit_s, mutator.write_originals())
        try:
            for number in range(count):
                path, what, how = mutator.write(number)
                answer = child.ask(path)
                answer |= {"file": path.name, "mutation": how}
                by_mutation.setdefault(what, Counter())[answer["verdict"]] += 1
                slowest = max(slowest, answer, key=lambda a: a["seconds"])
                largest = max(largest, answer, key=lambda a: a["mib"])
                if answer["wrong"]:
                    failures.append(answer)
                    print(f"{path.name} ({how}): {answer['wrong']}", file=sys.stderr, flush=True)
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / path.name).write_bytes(path.read_bytes())
                path.unlink()
                if number % 100 == 99:
                    done = f"{number + 1}/{count} files, {len(failures)} failed"
                    print(done, file=sys.stderr, flush=True)
        finally:
            child.close()
    return {
        "files": count,
        "seed": seed,
        "failures": failures,
        "by_mutation": {name: dict(found) for name, found in sorted(by_mutation.items())},
        "containers": mutator.containers,
        "slowest": slowest,
        "largest": largest,
        "idle_mib": child.idle_mib,
        "limit_s": limit_s,
        "memory_mib": memory_mib,
    }


def table(found: dict[str, Any]) -> str:
    """Lay the counts out for a person."""
    names = sorted({name for row in found["by_mutation"].values() for name in row})
    lines = [f"{'':10}" + "".join(f"{name:>16}" for name in names)]
    for what, row in found["by_mutation"].items():
        lines.append(f"{what:10}" + "".join(f"{row.get(name, 0):16}" for name in names))
    slow, large = found["slowest"], found["largest"]
    lines += [
        f"{found['files']} files of {len(found['containers'])} containers and codecs",
        f"slowest: {slow['seconds']:.2f} s, {slow.get('mutation')} (limit {found['limit_s']:g} s)",
        f"largest: {large['mib']:.0f} MiB, {large.get('mutation')}, above {found['idle_mib']:.0f} "
        f"MiB idle (limit {found['memory_mib']} MiB)",
        f"failed: {len(found['failures'])}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run from the command line."""
    if sys.argv[1:2] == ["--child"]:
        work(sys.argv[2], int(sys.argv[3]))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=COUNT, help=f"files (default {COUNT})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="", help="model folder; default: a stand-in")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds a file")
    parser.add_argument("--memory", type=int, default=MEMORY_MIB, help="MiB a file, above idle")
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    options = parser.parse_args()
    try:
        found = fuzz(
            options.count,
            options.seed,
            model=options.model,
            limit_s=options.limit,
            memory_mib=options.memory,
            keep=options.keep,
        )
    except (LoradarError, OSError) as error:
        print(f"fuzz_audio: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found) if options.json else table(found))
    return int(bool(found["failures"]))


if __name__ == "__main__":
    sys.exit(main())
