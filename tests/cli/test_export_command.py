import json
import shutil

import numpy as np
import pytest

from loradar.inference import onnx_engine


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "tiny"
    shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("checkpoints"))
    return folder


def test_export_then_detect_gives_torchs_answers(loradar, model, tiny_corpus):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ended = loradar("export", model, "--to", "onnx", "--on", tiny_corpus)
    assert ended.code == 0, ended.err
    float32, int8 = ended.out.splitlines()
    assert float32.startswith("model.onnx: float32")
    assert "EER" in int8
    assert "torch" in int8
    clips = [tiny_corpus.parent / "00.wav", tiny_corpus.parent / "01.wav"]
    answers = {}
    for engine in ("torch", "onnx", "onnx-int8"):
        ended = loradar("detect", "--model", model, "--engine", engine, "--json", *clips)
        assert ended.code == 0, ended.err
        answers[engine] = [json.loads(line) for line in ended.out.splitlines()]
    for engine, tolerance in (("onnx", 1e-4), ("onnx-int8", 0.3)):
        for found, wanted in zip(answers[engine], answers["torch"], strict=True):
            assert found["model"] == wanted["model"]
            assert found["experts"].keys() == wanted["experts"].keys()
            np.testing.assert_allclose(found["score"], wanted["score"], atol=tolerance)
            np.testing.assert_allclose(found["llr"], wanted["llr"], atol=5 * tolerance)


@pytest.mark.parametrize("arguments", [["export"], ["detect", "--engine", "onnx"]])
def test_without_onnx_runtime_one_line_and_exit_code_2(
    loradar, model, tiny_corpus, monkeypatch, arguments
):
    monkeypatch.setattr(onnx_engine, "find_spec", lambda name: None)
    command, *options = arguments
    where = ["--model", model, tiny_corpus.parent / "00.wav"] if options else [model]
    ended = loradar(command, *options, *where)
    assert ended.code == 2
    assert ended.err.strip() == f"loradar: {onnx_engine.MISSING}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "tflite"], "--to tflite: give onnx"),
        (["--where", "split=dev"], "give --on MANIFEST"),
    ],
)
def test_usage_errors_are_one_line(loradar, model, options, message):
    ended = loradar("export", model, *options)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
