import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import EvalPrediction

from loradar.errors import ConfigError, LoradarError
from loradar.training.pretrain.figures import Figures, masked
from loradar.training.pretrain.masking import masked_input, span_mask
from loradar.training.pretrain.model import masked_loss
from loradar.training.pretrain.quantiser import RandomQuantiser, SpectrumTargets
from loradar.training.pretrain.recipe import ObjectiveConfig, parse_pretrain_recipe
from loradar.training.pretrain.run import build_model
from loradar.training.pretrain.trainer import UNMASKED


@given(
    frames=st.integers(1, 300),
    share=st.floats(0.01, 0.9),
    span=st.integers(1, 40),
    seed=st.integers(0, 1_000),
)
def test_masks_are_stretches(frames, share, span, seed):
    mask = span_mask(
        3, frames, share=share, span=span, generator=torch.Generator().manual_seed(seed)
    )
    assert mask.shape == (3, frames)
    least = min(span, frames)
    for row in mask.int():
        edges = torch.diff(row, prepend=row.new_zeros(1), append=row.new_zeros(1))
        lengths = (edges == -1).nonzero() - (edges == 1).nonzero()
        assert len(lengths) >= 1
        assert int(lengths.min()) >= least


def test_masks_cover_about_the_share_asked_for():
    torch.manual_seed(0)
    for share in (0.1, 0.4, 0.7):
        mask = span_mask(200, 400, share=share, span=5)
        assert abs(float(mask.float().mean()) - share) < 0.04


def test_the_vector_stands_in_for_masked_frames_alone():
    seen = []
    stack = torch.nn.Identity()
    stack.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    hidden, mask = torch.randn(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 2:4] = True
    vector = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with masked_input(stack, mask, vector):
        out = stack(hidden)
    assert torch.equal(out[~mask], hidden[~mask])
    assert torch.equal(out[mask], vector.expand(2, 3))
    out.sum().backward()
    assert vector.grad.tolist() == [2.0, 2.0, 2.0]
    assert torch.equal(stack(hidden), hidden)  # the hook is gone


def test_codes_are_those_of_the_nearest_unit_vector():
    quantiser = RandomQuantiser(6, codes=11, code_size=3, codebooks=2, seed=5)
    frames = torch.randn(2, 4, 6)
    codes = quantiser(frames)
    assert codes.shape == (2, 4, 2)
    for book in range(2):
        projected = torch.nn.functional.normalize(frames @ quantiser.projections[book], dim=-1)
        distances = torch.cdist(projected, quantiser.codes[book].expand(2, -1, -1))
        assert torch.equal(codes[..., book], distances.argmin(-1))
    again = RandomQuantiser(6, codes=11, code_size=3, codebooks=2, seed=5)
    assert torch.equal(again(frames), codes)
    assert not torch.equal(
        RandomQuantiser(6, codes=11, code_size=3, codebooks=2, seed=6)(frames), codes
    )
    assert not list(quantiser.parameters())


def test_targets_ignore_the_level_and_follow_the_sound():
    targets = SpectrumTargets(320, codes=64, code_size=8, codebooks=1, seed=0)
    torch.manual_seed(0)
    clip = torch.randn(1, 16_000) * torch.linspace(0.3, 3, 16_000)
    codes = targets(clip, 48)
    assert codes.shape == (1, 48, 1)
    assert (targets(0.7 * clip, 48) == codes).float().mean() > 0.95
    assert len(codes.unique()) > 10
    # A frame that reaches beyond the last spectrum takes that twice.
    assert targets(clip, 50).shape == (1, 50, 1)
    assert torch.equal(targets(clip, 50)[:, :48], codes)


def test_an_encoder_with_odd_frames_has_no_targets():
    with pytest.raises(ConfigError, match="every 160 samples or a multiple of it, not every 200"):
        SpectrumTargets(200, codes=4, code_size=2, codebooks=1, seed=0)


def model(values, **objective):
    recipe = parse_pretrain_recipe({**values, "objective": objective})
    return build_model(recipe, attacks=2)


def test_what_a_masked_frame_held_does_not_reach_its_guess(pretrain_values):
    """But for the stem's view of its neighbours, the guess comes from around the mask."""
    made = model(pretrain_values, masked={"codes": 8, "span_seconds": 0.2, "share": 0.2}).eval()
    clip = torch.randn(1, 6_000)
    mask = made.masked.mask(1, made.encoder.frames(6_000))
    with torch.no_grad():
        first = made.encoder.layers(clip, None)[0]
        with masked_input(made.encoder.model.encoder, mask, made.masked.vector):
            layers = made.encoder.layers(clip, None)
    assert torch.equal(layers[0][mask], made.masked.vector.expand(int(mask.sum()), -1))
    assert torch.equal(layers[0][~mask], first[~mask])


def test_both_objectives_share_a_pass_in_training_and_not_in_evaluation(pretrain_values):
    made = model(pretrain_values, masked={"codes": 8}, artifact={})
    passes = []
    made.encoder.model.register_forward_hook(lambda *call: passes.append(1))
    clips = torch.randn(4, 6_000)
    found = made.train()(clips)
    assert len(passes) == 1
    assert found["attack"].shape == (4, 3)
    assert found["real"].shape == (4, 2)
    masks = int(found["mask"].sum())
    assert found["guesses"].shape == (masks, 1, 8)
    assert found["codes"].shape == (masks, 1)
    loss = masked_loss(found) + found["attack"].square().sum() + found["real"].square().sum()
    loss.backward()
    unused = {n for n, p in made.named_parameters() if p.grad is None}
    assert unused == {
        "encoder.model.encoder.layer_norm.weight",
        "encoder.model.encoder.layer_norm.bias",
    }
    with torch.no_grad():
        one, two = made.eval()(clips), made(clips)
    assert len(passes) == 5
    assert torch.equal(one["mask"], two["mask"])
    alone = model(pretrain_values, artifact={}).eval()
    alone.load_state_dict(made.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(alone(clips)["real"], one["real"])


@pytest.mark.parametrize("pooling", ["attentive", "mean"])
def test_pooling(pretrain_values, pooling):
    made = model(pretrain_values, artifact={"pooling": pooling}).eval()
    features = torch.randn(2, 5, 16)
    attack, real = made.artifact(features)
    weights = torch.full((2, 5, 1), 0.2)
    if pooling == "attentive":
        weights = made.artifact.score(features).softmax(1)
    pooled = (weights * features).sum(1)
    assert torch.allclose(attack, made.artifact.attack(pooled), atol=1e-6)
    assert torch.allclose(real, made.artifact.real(pooled), atol=1e-6)


def test_masked_figures():
    codes = np.full((2, 3, 2), UNMASKED)
    codes[0, :2] = [[1, 5], [1, 6]]
    codes[1, 2] = [2, 5]
    guesses = codes.copy()
    guesses[0, 0, 0] = 3
    found = masked(codes, guesses)
    assert found["masked_accuracy"] == pytest.approx(5 / 6)
    assert found["masked_chance"] == pytest.approx(2 / 3)


def test_artifact_figures_hold_attacks_left_out_apart():
    names = np.array(["", "", "", "", "x", "x", "y", "z"], object)
    classes = np.array([0, 0, 0, 0, 1, 1, 2, 3])
    scores = np.array([5.0, 4, 3, 2, 1, 2.5, -1, 4.5])
    guesses = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    figures = Figures(ObjectiveConfig(artifact={}), ("x", "y"), names)
    found = figures(EvalPrediction(predictions=(guesses, scores), label_ids=classes))
    assert found["attack_accuracy"] == pytest.approx((0.75 + 1 + 0) / 3)
    assert found["attack_chance"] == pytest.approx(1 / 3)
    assert set(found["eer_by_attack"]) == {"x", "y", "z"}
    assert found["eer_by_attack"]["y"] == 0
    assert found["eer_left_out"] == found["eer_by_attack"]["z"] > 0.5
    assert 0 < found["eer"] < 0.5
    scores[0] = np.nan
    with pytest.raises(LoradarError, match="diverged"):
        figures(EvalPrediction(predictions=(guesses, scores), label_ids=classes))
