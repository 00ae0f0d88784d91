import json
import tarfile

import pandas as pd
import pyarrow.parquet as pq
import pytest

from loradar.audio.archives import split_shard
from loradar.corpora import Manifest, read_corpus, read_manifest
from loradar.corpora.shards import shard_names, shards_of, write_shards
from loradar.errors import ConfigError, InputError


@pytest.fixture
def source(tiny_corpus):
    return read_manifest(tiny_corpus)


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_shards_hold_the_same_clips(source, tmp_path, form):
    out = tmp_path / "shards"
    made = write_shards(source, out, form=form, shard_bytes=200_000)
    assert made.shards == len(shards_of(out)) > 2
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    again = read_manifest(out / "manifest.csv")
    assert all(split_shard(path) for path in again.table["path"])
    assert again.check_files() == []
    for manifest in (again, read_corpus("shards", out), made.manifest):
        found = manifest.table.set_index("source_path").sort_index()
        wanted = source.table.set_index("path").sort_index()
        for column in ("label", "attack", "speaker", "split", "corpus"):
            assert found[column].tolist() == wanted[column].tolist()


def test_order_hangs_on_the_seed_alone(source, tmp_path):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_shards(source, tmp_path / name, seed=seed)
        hashes.append((tmp_path / name / "shard-000000.tar").read_bytes())
    assert hashes[0] == hashes[1] != hashes[2]
    kept = write_shards(source, tmp_path / "d", seed=None).manifest
    assert kept.table["source_path"].tolist() == source.table["path"].tolist()


def test_the_layouts_that_others_read(source, tmp_path):
    few = source.where({"split": "dev"})
    write_shards(few, tmp_path / "tar")
    with tarfile.open(tmp_path / "tar" / "shard-000000.tar") as tar:
        names = tar.getnames()
        row = json.load(tar.extractfile("00000000.json"))
    assert names[:2] == ["00000000.wav", "00000000.json"]
    assert row["split"] == "dev" and row["label"] in ("bonafide", "spoof")
    write_shards(few, tmp_path / "parquet", form="parquet")
    schema = pq.read_schema(tmp_path / "parquet" / "shard-000000.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["audio"] == {"_type": "Audio"}
    assert {field.name for field in schema.field("audio").type} == {"bytes", "path"}


def test_shards_of_shards(source, tmp_path):
    first = write_shards(source.where({"split": "dev"}), tmp_path / "a", form="parquet")
    second = write_shards(first.manifest, tmp_path / "b")
    assert len(second.manifest) == len(first.manifest)


def test_complaints(source, tmp_path):
    with pytest.raises(ConfigError, match="no shard format is called 'zip'"):
        write_shards(source, tmp_path, form="zip")
    with pytest.raises(InputError, match="no shards"):
        read_corpus("shards", tmp_path)
    write_shards(source.where({"split": "dev"}), tmp_path / "a")
    with pytest.raises(InputError, match="holds shards already"):
        write_shards(source, tmp_path / "a")
    gone = Manifest(pd.DataFrame({"path": ["gone.wav"]}), folder=tmp_path)
    with pytest.raises(InputError, match=r"gone\.wav: no such file"):
        write_shards(gone, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_where_clips_lie():
    paths = ["/c/s-1.tar/a.wav", "/c/s-1.tar/b/c.wav", "/c/t.parquet/0.flac", "/d/e/f.wav"]
    assert shard_names(paths) == ["/c/s-1.tar", "/c/s-1.tar", "/c/t.parquet", "/d/e"]


@pytest.mark.parametrize("form", ["tar", "parquet"])
def test_training_and_scoring_read_shards(source, tiny_recipe, tmp_path, form):
    from loradar.inference.model import load_model
    from loradar.scoring.scores import score_manifest
    from loradar.training.recipe import parse_recipe
    from loradar.training.run import train

    out = tmp_path / "shards"
    write_shards(source, out, form=form, shard_bytes=200_000)
    data = {**tiny_recipe["data"], "path": str(out / "manifest.csv"), "buffer": 10, "workers": 0}
    recipe = {**tiny_recipe, "data": data}
    recipe["training"] = {**recipe["training"], "steps": 2, "evaluate_every": 2}
    train(parse_recipe(recipe), tmp_path / "run")
    clips = read_manifest(out / "manifest.csv").where({"split": "eval"})
    scores = score_manifest(load_model(tmp_path / "run"), clips)
    assert scores["verdict"].ne("ERROR").all() and scores["score"].notna().all()
