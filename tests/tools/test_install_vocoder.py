import hashlib

import pytest

from loradar.errors import CheckpointError, LoradarError
from loradar.vocoders.neural import shipped
from loradar.vocoders.neural.config import build_vocoder
from loradar.vocoders.neural.istft import IstftConfig
from loradar.vocoders.neural.weights import load_vocoder, save_vocoder

CONFIG = IstftConfig(bands=20, n_fft=128, hop=32, width=8, hidden=16, blocks=1)
INFO = {"hours": 3.918, "steps": 4967, "minutes": 60.0, "mel_distance": 0.15456}


@pytest.fixture(scope="module")
def installer(tool):
    return tool("install_vocoder")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "weights")
    return tmp_path / "weights"


def run_folder(path, info):
    save_vocoder(build_vocoder(CONFIG), path / "vocoder.safetensors", info)
    return path


def test_weights_hashes_and_table(installer, folder, tmp_path):
    run = run_folder(tmp_path / "run", INFO)
    assert installer.install([run]) == [folder / "istft.safetensors"]
    data = (folder / "istft.safetensors").read_bytes()
    assert data == (run / "vocoder.safetensors").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert (folder / "SHA256SUMS").read_text() == f"{digest}  istft.safetensors\n"
    size = sum(p.numel() for p in load_vocoder("istft").parameters())
    page = (folder / "README.md").read_text()
    assert f"| `istft` | {size:,} | 3.92 | 4,967 | 60 | 0.155 |" in page
    assert "CC BY 4.0" in page
    # Without a run, what is there is written anew.
    (folder / "README.md").unlink()
    assert installer.install([]) == []
    assert (folder / "README.md").read_text() == page


def test_a_run_without_weights_changes_nothing(installer, folder, tmp_path):
    good = run_folder(tmp_path / "good", INFO)
    with pytest.raises(CheckpointError, match="no such file"):
        installer.install([good, tmp_path / "none"])
    assert not list(folder.iterdir())


def test_weights_that_do_not_say_how_they_were_made(installer, folder, tmp_path):
    with pytest.raises(LoradarError, match="does not say its hours, mel_distance"):
        installer.install([run_folder(tmp_path / "run", {"steps": 3, "minutes": 1})])


def test_the_page_that_ships_is_of_the_weights_that_ship(installer):
    page = (shipped.SHIPPED / "README.md").read_text(encoding="utf-8")
    for path in shipped.SHIPPED.glob("*.safetensors"):
        assert installer._row(path) in page
