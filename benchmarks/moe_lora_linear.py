"""Cost of the MoE-LoRA linear map, forward and backward, in one interleaved run on 2 threads.

Run it alone with ``python benchmarks/moe_lora_linear.py``; ``make bench`` calls `measure`.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from loradar.moe_lora import MoeLoraConfig, MoeLoraLinear
from loradar.moe_lora.context import RoutingContext

THREADS = 2
BATCH, FRAMES, WIDTH = 8, 200, 1024
EXPERTS, RANK, TOP_K = 8, 8, 2
ROUNDS, WARM_UP = 50, 5


class ExpertLoop(nn.Module):
    """The mixture written out expert by expert: each works on the frames that chose it.

    ``dense``: each works on all frames, and its output is scaled by a gate that may be 0.
    """

    def __init__(self, source: MoeLoraLinear, *, dense: bool) -> None:
        super().__init__()
        config = source.config
        self.base, self.router, self.dense = source.base, source.router, dense
        downs = source.A.detach().split(config.rank)
        ups = source.B.detach().split(config.rank, dim=1)
        self.down = nn.ParameterList(nn.Parameter(down.clone()) for down in downs)
        self.up = nn.ParameterList(nn.Parameter(up.clone()) for up in ups)

    def forward(self, inputs: Tensor) -> Tensor:
        assert self.router is not None
        routing = self.router(inputs)
        frames = inputs.flatten(0, 1)
        gates, selected = routing.gates.flatten(0, 1), routing.selected.flatten(0, 1)
        output = self.base(frames)
        for expert, (down, up) in enumerate(zip(self.down, self.up, strict=True)):
            gate = gates[:, expert : expert + 1]
            if self.dense:
                output = output + gate * (frames @ down.t() @ up.t())
            else:
                own = selected[:, expert].nonzero().squeeze(1)
                change = gate[own] * (frames[own] @ down.t() @ up.t())
                output = output.index_add(0, own, change)
        return output.view(*inputs.shape[:-1], -1)


def contenders() -> dict[str, nn.Module]:
    """Return what is compared, all on the same frozen weight and none at zero."""
    torch.manual_seed(0)
    base = nn.Linear(WIDTH, WIDTH).requires_grad_(False)
    config = MoeLoraConfig(experts=EXPERTS, rank=RANK, top_k=TOP_K)
    moe_lora = MoeLoraLinear(base, config)
    moe_lora.join(RoutingContext(), "layer")  # with the statistics it keeps inside a model
    lora = MoeLoraLinear(base, MoeLoraConfig(experts=1, rank=EXPERTS * RANK))
    for layer in (moe_lora, lora):
        nn.init.normal_(layer.B, std=0.02)
    return {
        "frozen": base,
        "lora": lora,
        "moe_lora": moe_lora,
        "loop": ExpertLoop(moe_lora, dense=False),
        "dense_loop": ExpertLoop(moe_lora, dense=True),
    }


def milliseconds(rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Time a forward and backward of each contender, ``rounds`` times in turn."""
    modules = contenders()
    inputs = torch.randn(BATCH, FRAMES, WIDTH, requires_grad=True)
    gradient = torch.randn(BATCH, FRAMES, WIDTH)
    times: dict[str, list[float]] = {name: [] for name in modules}
    for turn in range(-WARM_UP, rounds):
        for name, module in modules.items():
            inputs.grad = None
            module.zero_grad(set_to_none=True)
            gc.disable()
            start = time.perf_counter()
            module(inputs).backward(gradient)
            elapsed = time.perf_counter() - start
            gc.enable()
            if turn >= 0:
                times[name].append(1e3 * elapsed)
    return times


def measure() -> list[dict[str, Any]]:
    """Measure the ratios, as rows for ``benchmarks/results.json``."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        times = milliseconds()
    finally:
        torch.set_num_threads(before)
    how = (
        f"input {BATCH * FRAMES} x {WIDTH}, output {WIDTH}, E {EXPERTS}, r {RANK}, k {TOP_K}, "
        f"frame, own router, forward + backward with the input's gradient, float32, {THREADS} "
        f"threads; least times of {ROUNDS} interleaved rounds"
    )
    ours = "MoE-LoRA linear"
    rank = EXPERTS * RANK
    return [
        _row(f"{ours} / frozen linear", times, "moe_lora", "frozen", None, "lower", how),
        _row(f"{ours} / LoRA of rank {rank}", times, "moe_lora", "lora", 1.05, "lower", how),
        _row(f"loop over experts / {ours}", times, "loop", "moe_lora", 1.5, "higher", how),
        _row(f"dense loop / {ours}", times, "dense_loop", "moe_lora", None, "higher", how),
    ]


def _row(
    name: str,
    times: dict[str, list[float]],
    above: str,
    below: str,
    target: float | None,
    better: str,
    how: str,
) -> dict[str, Any]:
    # Least times, as timeit advises: what else runs on the machine only ever adds.
    value = min(times[above]) / min(times[below])
    middle = statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))
    met = None
    if target is not None:
        met = value <= target if better == "lower" else value >= target
    return {
        "name": name,
        "value": round(value, 4),
        "unit": "ratio",
        "target": target,
        "better": better,
        "ok": met,
        "how": f"{how}; median of the rounds' ratios {middle:.3f}",
    }


def main() -> None:
    """Print the ratios."""
    rows = measure()
    for row in rows:
        goal = {True: "ok", False: "MISSED", None: "no target"}[row["ok"]]
        print(f"{row['name']:40s} {row['value']:7.3f}  {goal:10s} {row['how'].rpartition('; ')[2]}")
    print(rows[0]["how"].rpartition("; ")[0])


if __name__ == "__main__":
    main()
