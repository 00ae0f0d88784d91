"""``python -m loradar`` is the command."""

import subprocess
import sys

import loradar


def test_the_package_runs_as_a_module():
    ended = subprocess.run(
        [sys.executable, "-m", "loradar", "--version"], capture_output=True, text=True, check=True
    )
    assert loradar.__version__ in ended.stdout
