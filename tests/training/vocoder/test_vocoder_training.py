"""Vocoder training: recipes, data, the loop, whole runs."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from loradar.cli.app import app
from loradar.errors import CheckpointError, ConfigError, InputError, LoradarError
from loradar.training.vocoder.data import SpeechStore
from loradar.training.vocoder.loop import VocoderTrainer, schedule
from loradar.training.vocoder.recipe import parse_vocoder_recipe, read_vocoder_recipe
from loradar.training.vocoder.run import train_vocoder
from loradar.vocoders.neural.weights import read_vocoder

CPU = torch.device("cpu")


def buzz(seed, seconds=1.0):
    rng = np.random.default_rng(seed)
    time = np.arange(round(16_000 * seconds)) / 16_000
    harmonics = sum(np.sin(2 * np.pi * k * 120 * (1 + seed / 10) * time) / k for k in range(1, 20))
    return (0.1 * harmonics + 0.003 * rng.standard_normal(len(time))).astype(np.float32)


def recipe(path="none.csv", **training):
    return parse_vocoder_recipe(
        {
            "name": "small",
            "seed": 3,
            "model": {
                "family": "istft",
                "bands": 40,
                "n_fft": 256,
                "hop": 64,
                "width": 24,
                "hidden": 48,
                "blocks": 2,
            },
            "data": {"path": str(path), "segment": 2048, "dev_clips": 1},
            "training": {
                "steps": 6,
                "batch_size": 2,
                "adversarial_after": 2,
                "warmup": 2,
                "log_every": 2,
                "evaluate_every": 3,
                **training,
            },
        }
    )


@pytest.fixture
def store():
    return SpeechStore([buzz(seed) for seed in range(3)])


@pytest.fixture
def manifest(tmp_path):
    lines = ["path,label,speaker,split,corpus"]
    for seed, split in enumerate(("train", "train", "dev")):
        soundfile.write(tmp_path / f"{seed}.wav", buzz(seed), 16_000)
        lines.append(f"{seed}.wav,bonafide,s{seed},{split},buzz")
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def quiet(done, total, what):
    pass


def weights_of(trainer):
    return [p.detach().clone() for p in (*trainer.model.parameters(), *trainer.judges.parameters())]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), step=st.integers(0, 10**6), length=st.integers(64, 40_000))
def test_a_batch_depends_on_seed_and_step_alone(seed, step, length):
    speech = SpeechStore([buzz(0, 0.3), buzz(1, 1.0)])
    batch = speech.batch(seed, step, 2, length)
    assert batch.shape == (2, length)
    assert batch.abs().max() <= 1.0
    assert torch.equal(batch, speech.batch(seed, step, 2, length))
    assert not torch.equal(batch, speech.batch(seed, step + 1, 2, length))


def test_clips_are_brought_to_one_level():
    speech = SpeechStore([0.01 * buzz(0), 3.0 * buzz(0)])
    loud = [float(np.sqrt(np.mean((clip / 32768.0) ** 2))) for clip in speech.clips]
    assert np.allclose(loud, 0.06, rtol=0.02)


@given(st.integers(0, 5000), st.integers(1, 5000), st.integers(0, 500))
def test_the_rate_stays_between_nothing_and_its_peak(step, steps, warmup):
    assert 0 < schedule(step, steps, warmup) <= 1


def test_training_brings_the_copy_nearer(store):
    trainer = VocoderTrainer(
        recipe(steps=40, adversarial_after=None, learning_rate=3e-3), store, CPU
    )
    reports = [trainer.train_step() for _ in range(40)]
    first, last = (np.mean([r["mel"] for r in part]) for part in (reports[:5], reports[-5:]))
    assert last < 0.8 * first


def test_discriminators_join_when_they_should(store):
    trainer = VocoderTrainer(recipe(), store, CPU)
    before = weights_of(trainer)
    reports = [trainer.train_step() for _ in range(4)]
    assert ["judges" in report for report in reports] == [False, False, True, True]
    assert all(not torch.equal(a, b) for a, b in zip(before, weights_of(trainer), strict=True))


@pytest.mark.parametrize("bf16", [False, True])
def test_a_resumed_run_equals_one_never_stopped(store, tmp_path, bf16):
    whole = VocoderTrainer(recipe(bf16=bf16), store, CPU)
    parts = VocoderTrainer(recipe(bf16=bf16), store, CPU)
    for _ in range(3):
        parts.train_step()
    parts.save(tmp_path)
    resumed = VocoderTrainer(recipe(bf16=bf16, minutes=9), store, CPU)
    torch.manual_seed(99)
    resumed.resume(tmp_path)
    for _ in range(3):
        resumed.train_step()
    torch.manual_seed(3)
    for _ in range(6):
        whole.train_step()
    assert resumed.step == whole.step == 6
    for a, b in zip(weights_of(whole), weights_of(resumed), strict=True):
        assert torch.equal(a, b)
    mean, again = whole.mean_model.state_dict(), resumed.mean_model.state_dict()
    assert all(torch.equal(mean[name], again[name]) for name in mean)


def test_a_checkpoint_of_another_recipe_is_refused(store, tmp_path):
    VocoderTrainer(recipe(), store, CPU).save(tmp_path)
    other = VocoderTrainer(recipe(learning_rate=0.5), store, CPU)
    with pytest.raises(ConfigError, match=r"training\.learning_rate"):
        other.resume(tmp_path)
    (tmp_path / "resume.pt").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="cannot be read"):
        other.resume(tmp_path)
    with pytest.raises(CheckpointError, match="nothing to resume"):
        other.resume(tmp_path / "elsewhere")


def test_a_gradient_that_is_not_finite_stops_the_run(store):
    trainer = VocoderTrainer(recipe(), store, CPU)
    with torch.no_grad():
        trainer.model.embed.weight.fill_(float("nan"))
    with pytest.raises(LoradarError, match="diverged"):
        trainer.train_step()


def test_a_segment_below_one_frame_is_refused(store):
    given_recipe = recipe()
    model = given_recipe.model.model_copy(update={"n_fft": 4096, "hop": 2048 + 1024})
    short = given_recipe.model_copy(update={"model": model})
    with pytest.raises(ConfigError, match=r"data\.segment"):
        VocoderTrainer(short, store, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"model": {"family": "organ"}}, "organ"),
        ({"training": {}}, "steps"),
    ],
)
def test_recipes_that_are_not_valid(change, message):
    values = recipe().model_dump(mode="json") | change
    with pytest.raises(ConfigError, match=message):
        parse_vocoder_recipe(values)


def test_a_run_leaves_what_it_promises_and_goes_on(manifest, tmp_path):
    folder = tmp_path / "run"
    train_vocoder(recipe(manifest, minutes=1e-9), folder, progress=quiet)
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 1
    with pytest.raises(ConfigError, match="--resume"):
        train_vocoder(recipe(manifest), folder, progress=quiet)
    result = train_vocoder(recipe(manifest), folder, progress=quiet, resume=True)
    assert result.metrics["steps"] == 6
    assert result.metrics["mel_distance"] > 0
    model = read_vocoder(folder / "vocoder.safetensors")
    assert model.config == recipe().model
    assert read_vocoder_recipe(folder / "recipe.yaml") == recipe(manifest)


def test_a_run_can_start_from_weights(manifest, tmp_path):
    first = train_vocoder(recipe(manifest), tmp_path / "a", progress=quiet)
    start = first.folder / "vocoder.safetensors"
    second = train_vocoder(
        recipe(manifest, minutes=1e-9, learning_rate=1e-9),
        tmp_path / "b",
        progress=quiet,
        start=start,
    )
    assert second.metrics["steps"] == 1
    assert np.isclose(second.metrics["mel_distance"], first.metrics["mel_distance"], rtol=0.05)
    values = recipe(manifest).model_dump(mode="json")
    values["model"]["width"] = 32
    with pytest.raises(ConfigError, match="another model"):
        train_vocoder(parse_vocoder_recipe(values), tmp_path / "c", progress=quiet, start=start)


def test_a_manifest_without_dev_clips_is_told(manifest, tmp_path):
    manifest.write_text(manifest.read_text().replace(",dev,", ",train,"))
    with pytest.raises(InputError, match="dev"):
        train_vocoder(recipe(manifest), tmp_path / "run", progress=quiet)


def test_the_command(manifest, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(manifest).model_dump(mode="json")))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app,
        ["vocoder", "train", str(path), "--set", "training.steps=3", "-o", str(out), "--json"],
    )
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout.strip().splitlines()[-1])
    assert printed["steps"] == 3
    assert (out / "train.log").read_text().count("kept") == 1


@pytest.mark.parametrize("family", ["istft", "gan"])
def test_the_recipes_in_the_repository_are_valid(family, request):
    path = request.config.rootpath / "recipes" / f"vocoder_{family}.yaml"
    assert read_vocoder_recipe(path).model.family == family
