import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["loradar", "loradar.inference.model"])
def test_judging_needs_no_torch_until_a_torch_model_is_loaded(module):
    program = (
        f"import sys, {module}\nprint(sorted({{'torch', 'transformers'}} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_first_verdict_needs_neither_transformers_nor_scipy_signal():
    """They are half of the time that a person would wait for it."""
    program = (
        "import sys, numpy\n"
        "from loradar.inference.api import Detector\n"
        "noise = numpy.random.default_rng(0).standard_normal(16_000).astype('float32')\n"
        "print(Detector.from_pretrained().detect(noise, 16_000).verdict)\n"
        "heavy = {'transformers', 'scipy.signal', 'scipy.stats', 'torch._dynamo', 'pandas'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split("\n")[1] == "[]", done.stdout + done.stderr
