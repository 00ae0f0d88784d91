import numpy as np

from loradar.corpora.manifest import read_manifest
from loradar.inference.judging import detect
from loradar.inference.model import load_model
from loradar.scoring.scores import score_manifest


def test_a_folder_score_is_the_detect_score(tiny_model, tiny_corpus):
    model = load_model(tiny_model, "cpu")
    manifest = read_manifest(tiny_corpus)
    table = score_manifest(model, manifest, batch_size=5)
    assert list(table["path"]) == list(manifest.table["path"])
    singly = [v.score for v in detect(model, table["path"][:5])]
    np.testing.assert_allclose(table["score"][:5], singly, atol=1e-4)
    gates = [column for column in table if column.startswith("gate:")]
    assert len(gates) == 4 * len(model.detector.mixture.routers)


def test_one_bad_file_is_a_row_and_the_rest_go_on(tiny_model, tiny_corpus, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    good = read_manifest(tiny_corpus).table["path"].iloc[:3].tolist()
    listed = tmp_path / "list.csv"
    listed.write_text("path\n" + "\n".join([good[0], str(bad), *good[1:]]) + "\n")
    seen = []
    table = score_manifest(
        load_model(tiny_model, "cpu"),
        read_manifest(listed),
        progress=lambda done, total, what: seen.append((done, total)),
    )
    assert list(table["verdict"] == "ERROR") == [False, True, False, False]
    assert "bad.wav" in table["reason"][1]
    assert np.isnan(table["score"][1])
    assert table["score"].drop(1).notna().all()
    assert seen[-1] == (4, 4)


def test_first_window_mode_scores_the_first_window(tiny_model, tiny_corpus):
    model = load_model(tiny_model, "cpu")
    manifest = read_manifest(tiny_corpus)
    first = score_manifest(model, manifest, windows="first")
    both = score_manifest(model, manifest, windows="all")
    assert not np.allclose(first["score"], both["score"])
    assert first["seconds"].iloc[0] == 0.5  # of the clip, not of the window
