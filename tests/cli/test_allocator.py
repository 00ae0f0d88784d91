"""The allocator is asked only where nobody else has decided."""

import ctypes
import subprocess
import sys

import pytest

from loradar.cli import allocator

HAS_MALLOPT = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallopt")
FAULTS = """
import resource
import numpy as np
from loradar.cli.allocator import keep_freed_memory
if {asked}:
    assert keep_freed_memory()
for _ in range(3):
    np.ones(8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    for name in (*allocator._DECIDED, "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(not HAS_MALLOPT, reason="another C library")
def test_pages_are_not_faulted_in_anew():
    faults = {}
    for asked in (True, False):
        code = [sys.executable, "-c", FAULTS.format(asked=asked)]
        faults[asked] = int(subprocess.run(code, capture_output=True, check=True).stdout)
    assert faults[True] < faults[False] / 10


@pytest.mark.parametrize("name", ["MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_the_environment_goes_first(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert not allocator.keep_freed_memory()


def test_other_systems_and_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    assert not allocator.keep_freed_memory()
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
