"""What routers need to know and tell about the forward in progress."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from loradar.moe_lora.grown import Opening
from loradar.moe_lora.router import Routing
from loradar.moe_lora.statistics import OpeningTotals, RoutingTotals


class _ThreadState(threading.local):
    """One thread's forward: threads that share a model must not see each other's gates."""

    def __init__(self) -> None:
        self.mask: Tensor | None = None
        self.cue: Tensor | None = None
        self.assigned: Tensor | None = None
        self.started = False
        self.routings: dict[str, Routing] = {}
        self.openings: dict[str, Opening] = {}


class RoutingContext:
    """The frame mask routers read, and the routings they leave, for one adapted model.

    Each thread has its own mask and records, so one model can serve several.
    """

    def __init__(self) -> None:
        self._thread = _ThreadState()
        self._last_mask: Tensor | None = None
        self._last_cue: Tensor | None = None
        self._last_assigned: Tensor | None = None
        self._lock = threading.Lock()
        self.totals: dict[str, RoutingTotals] = {}
        self.opening_totals: dict[str, OpeningTotals] = {}

    @property
    def started(self) -> bool:
        """Whether the model has run at all in this thread."""
        return self._thread.started

    @property
    def routings(self) -> dict[str, Routing]:
        """The routing of each router in this thread's last forward."""
        return self._thread.routings

    @property
    def openings(self) -> dict[str, Opening]:
        """The gates of grown experts in this thread's last forward."""
        return self._thread.openings

    def begin(self) -> None:
        """Forget the last forward; called as the model starts a new one."""
        self._thread.started = True
        self._thread.routings = {}
        self._thread.openings = {}
        self._last_mask, self._last_cue = self._thread.mask, self._thread.cue
        self._last_assigned = self._thread.assigned

    def forget(self) -> None:
        """Be as new: no forward and no totals (after the injection's own forward)."""
        self._thread.started = False
        self._thread.routings = {}
        self._thread.openings = {}
        self.reset_totals()

    @contextmanager
    def masked(self, mask: Tensor | None, cue: Tensor | None = None) -> Iterator[None]:
        """Let routers see ``mask`` (``[B, T]`` bool) and ``cue`` (``[B, C]``) inside the block."""
        before = self._thread.mask, self._thread.cue
        self._thread.mask = self._last_mask = mask
        self._thread.cue = self._last_cue = cue
        try:
            yield
        finally:
            self._thread.mask, self._thread.cue = before

    @contextmanager
    def assigning(self, numbers: Tensor | None) -> Iterator[None]:
        """Let each clip have the expert of its number (``[B]`` int) inside the block."""
        before = self._thread.assigned
        self._thread.assigned = self._last_assigned = numbers
        try:
            yield
        finally:
            self._thread.assigned = before

    def frame_mask(self) -> Tensor | None:
        """Return the mask of the forward in progress.

        Gradient checkpointing runs blocks again inside the backward, when the ``with`` block may
        be over and, on an accelerator, in another thread: there it is the last forward's mask.
        """
        return self._last_mask if _in_backward() else self._thread.mask

    def cue(self) -> Tensor | None:
        """Return the cue of the forward in progress; see `frame_mask`."""
        return self._last_cue if _in_backward() else self._thread.cue

    def assigned(self) -> Tensor | None:
        """Return the clips' experts in the forward in progress; see `frame_mask`."""
        return self._last_assigned if _in_backward() else self._thread.assigned

    def record(self, name: str, routing: Routing) -> None:
        """Keep a router's decision and add it to the totals, once a forward."""
        if _in_backward() or _in_export():
            return
        self._thread.started = True
        self._thread.routings[name] = routing
        with self._lock:
            if name not in self.totals:
                self.totals[name] = RoutingTotals()
            self.totals[name].add(routing)

    def record_opening(self, name: str, opening: Opening) -> None:
        """Keep how far grown experts' gates stood open, as `record` keeps routings."""
        if _in_backward() or _in_export():
            return
        self._thread.started = True
        self._thread.openings[name] = opening
        with self._lock:
            if name not in self.opening_totals:
                self.opening_totals[name] = OpeningTotals()
            self.opening_totals[name].add(opening)

    def reset_totals(self) -> None:
        """Start the statistics anew."""
        with self._lock:
            self.totals = {}
            self.opening_totals = {}


class BlockGates(threading.local):
    """The gates of a block's experts, from its start to its end, for its projections."""

    def __init__(self) -> None:
        self.current: Tensor | None = None
        self.grown: Tensor | None = None


def _in_backward() -> bool:
    """Whether autograd is running in this thread, as when checkpointing recomputes a block."""
    return bool(torch._C._current_graph_task_id() != -1)


def _in_export() -> bool:
    """Whether `torch.export` or `torch.jit.trace` is at work, whose tensors must not be kept."""
    if torch._C._get_tracing_state() is not None:
        return True
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
