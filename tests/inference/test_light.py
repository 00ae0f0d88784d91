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
