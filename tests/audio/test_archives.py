import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf

from loradar.audio.archives import is_clip, member_bytes, members, split_shard
from loradar.audio.reading import load_audio, probe
from loradar.audio.streams import stream_audio
from loradar.errors import InputError

SAMPLES = {f"{n}.flac": np.full(1_600 * n, n, "int16") for n in (1, 2, 3)}


def _flac(samples) -> bytes:
    held = io.BytesIO()
    sf.write(held, samples, 16_000, format="FLAC", subtype="PCM_16")
    return held.getvalue()


def _tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture(params=["tar", "parquet"])
def shard(request, tmp_path) -> Path:
    files = {name: _flac(samples) for name, samples in SAMPLES.items()} | {"bad.wav": b"no audio"}
    path = tmp_path / f"s.{request.param}"
    if request.param == "tar":
        return _tar(path, files)
    audio = pa.array([{"bytes": data, "path": name} for name, data in files.items()])
    pq.write_table(pa.table({"audio": audio}), path, row_group_size=2)
    return path


def test_members_are_read_as_files(shard):
    assert members(shard) == [*SAMPLES, "bad.wav"]
    for name, samples in SAMPLES.items():
        assert is_clip(shard / name)
        np.testing.assert_array_equal(load_audio(shard / name), samples / np.float32(32_768))
        assert probe(shard / name).path == str(shard / name)


def test_complaints_name_the_clip(shard):
    for name, part in (("bad.wav", "cannot be read as audio"), ("9.flac", "no such clip")):
        with pytest.raises(InputError, match=part) as caught:
            load_audio(shard / name)
        assert str(shard / name) in str(caught.value) and "/loradar-" not in str(caught.value)
    assert not is_clip(shard / "9.flac")


def test_a_shard_written_anew(tmp_path):
    path = _tar(tmp_path / "s.tar", {"a.txt": b"one"})
    assert members(path) == ["a.txt"]
    _tar(path, {"b.txt": b"another"})
    assert members(path) == ["b.txt"]


def test_damaged_shards(tmp_path):
    path = _tar(tmp_path / "s.tar", {"a.bin": bytes(4_000)})
    with pytest.raises(InputError, match="above the limit of 100"):
        member_bytes(path, "a.bin", max_bytes=100)
    for name in ("t.tar", "t.parquet"):
        (tmp_path / name).write_bytes(b"nothing" * 200)
        with pytest.raises(InputError, match="not a"):
            load_audio(tmp_path / name / "a.wav")


def test_other_paths(tmp_path):
    (tmp_path / "x.tar").mkdir()
    sf.write(tmp_path / "x.tar" / "a.wav", np.zeros(100), 8_000)
    assert split_shard(tmp_path / "x.tar" / "a.wav") is None
    assert is_clip(tmp_path / "x.tar" / "a.wav")
    assert probe(tmp_path / "x.tar" / "a.wav").sample_rate == 8_000


def test_members_are_streamed_too(shard):
    blocks = [block.samples for block in stream_audio(shard / "3.flac")]
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(shard / "3.flac"))
    with pytest.raises(InputError, match=r"s\.[a-z]+/bad\.wav: cannot be read"):
        list(stream_audio(shard / "bad.wav"))
