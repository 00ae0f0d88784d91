import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a test must not fail because the machine is busy.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's shared folder (fixtures, real speech); the test skips where it is absent."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("LORADAR_SHARED", root.parent / "shared"))
    if not (folder / "fixtures").is_dir():
        pytest.skip("the shared fixtures are not here (set LORADAR_SHARED)")
    return folder
