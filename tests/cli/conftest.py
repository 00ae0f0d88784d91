import sys
from dataclasses import dataclass

import pytest

from loradar.cli.app import main


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def loradar(monkeypatch, capsys):
    """Run a command line in this process; give its exit code and what it printed."""

    def run(*arguments) -> Ended:
        monkeypatch.setattr(sys, "argv", ["loradar", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = 0 if end.value.code is None else int(end.value.code)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ended(code, out, err)

    return run
