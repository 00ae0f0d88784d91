"""XLS-R 300M shape (random weights) + AASIST: what the mixture costs, and saves.

Inference is interleaved in one process. A training step's peak memory needs a fresh process a mode,
so each mode is a child that does a warm-up step and then timed steps, the children taking turns.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loradar.detector import Detector

THREADS = 2
SAMPLES = 64_600
TRAIN_BATCH = 4
INFERENCE_BATCH = 4
ROUNDS = 2
MODES = ("full", "full_autocast", "full_frozen_features", "moe_lora", "moe_lora_bfloat16")
# A mode over another; the targets are for the first pair. "bfloat16": the frozen encoder
# is kept and computed in it, what is trained stays float32. "autocast": float32 weights, products
# in bfloat16, so that both sides of the third pair compute alike.
PAIRS = (
    ("moe_lora_bfloat16", "full"),
    ("moe_lora", "full"),
    ("moe_lora_bfloat16", "full_autocast"),
    ("moe_lora", "full_frozen_features"),
)
XLSR_300M = {
    "model_type": "wav2vec2",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


def _detector(mode: str) -> Detector:
    from loradar.detector import DetectorConfig, build_detector

    moe_lora = {"experts": 8, "rank": 8, "top_k": 2}
    config = DetectorConfig.model_validate(
        {
            "encoder": {
                "type": "huggingface",
                "config": XLSR_300M,
                "freeze_feature_encoder": True if mode == "full_frozen_features" else None,
                "frozen_dtype": "bfloat16" if mode.endswith("_bfloat16") else "float32",
            },
            "adaptation": {
                "mode": "full" if mode.startswith("full") else mode.removesuffix("_bfloat16"),
                "moe_lora": moe_lora,
            },
            "backend": {"name": "aasist"},
        }
    )
    return build_detector(config, seed=0)


def _peak_mib() -> float:
    """Peak resident size of this process; not ru_maxrss, which on Linux begins at the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(mode: str) -> None:
    """One fresh process: a warm-up step, two timed steps, and the peak memory after import."""
    import torch

    importlib.import_module("loradar.detector")  # memory is counted from here
    torch.set_num_threads(THREADS)
    before = _peak_mib()
    detector = _detector(mode).train()
    trained = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    waveforms = torch.randn(TRAIN_BATCH, SAMPLES, generator=generator)
    labels = torch.tensor([0, 1] * (TRAIN_BATCH // 2))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "full_autocast"):
            logits = detector(waveforms)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss = loss + detector.auxiliary_loss()[0]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(seconds[1:]), "mib": _peak_mib() - before}))


def _run_child(mode: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run(
        [sys.executable, __file__, mode],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"benchmark child {mode} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def training_rows() -> list[dict]:
    """Step time and peak memory of the mixture over full fine-tuning, pair by pair."""
    results: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    for _ in range(ROUNDS):
        for mode in MODES:
            results[mode].append(_run_child(mode))
    rows = []
    for figure, target in (("seconds", 0.45), ("mib", 0.55)):
        middle = {
            mode: statistics.median(r[figure] for r in runs) for mode, runs in results.items()
        }
        for ours, theirs in PAIRS:
            value = middle[ours] / middle[theirs]
            limit = target if (ours, theirs) == PAIRS[0] else None
            what = "training step time" if figure == "seconds" else "training peak memory"
            rows.append(
                {
                    "name": f"XLS-R 300M + AASIST, {what}: {ours} over {theirs}",
                    "value": round(value, 4),
                    "unit": "ratio",
                    "target": limit,
                    "better": "lower",
                    "ok": None if limit is None else value <= limit,
                    "how": f"batch {TRAIN_BATCH} x {SAMPLES} samples, AdamW, fresh process a "
                    f"mode, median of {ROUNDS} rounds; "
                    f"{middle[ours]:.2f} against {middle[theirs]:.2f} "
                    f"{'s' if figure == 'seconds' else 'MiB'}",
                }
            )
    return rows


def inference_rows() -> list[dict]:
    """Inference with the mixture on q, k, v, o of all layers over the frozen model."""
    import torch

    torch.set_num_threads(THREADS)
    models = {mode: _detector(mode).eval() for mode in ("frozen", "moe_lora")}
    generator = torch.Generator().manual_seed(0)
    waveforms = torch.randn(INFERENCE_BATCH, SAMPLES, generator=generator)
    seconds: dict[str, list[float]] = {mode: [] for mode in models}
    with torch.inference_mode():
        for turn in range(9):
            for mode, model in models.items():
                start = time.perf_counter()
                model(waveforms)
                if turn:
                    seconds[mode].append(time.perf_counter() - start)
    middle = {mode: statistics.median(times) for mode, times in seconds.items()}
    value = middle["moe_lora"] / middle["frozen"]
    return [
        {
            "name": "XLS-R 300M + AASIST, inference: moe_lora over frozen",
            "value": round(value, 4),
            "unit": "ratio",
            "target": 1.10,
            "better": "lower",
            "ok": value <= 1.10,
            "how": f"E 8, r 8, k 2 on q, k, v, o of 24 layers; batch {INFERENCE_BATCH} x {SAMPLES} "
            f"samples, float32, median of 8 interleaved rounds; "
            f"{middle['moe_lora']:.2f} against {middle['frozen']:.2f} s",
        }
    ]


def measure() -> list[dict]:
    """All rows of this file."""
    return inference_rows() + training_rows()


if __name__ == "__main__":
    child(sys.argv[1])
