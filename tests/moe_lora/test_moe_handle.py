"""Masks, records, gradient checkpointing, threads: the handle around a model's forward."""

import threading

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from loradar.errors import InputError, LoradarError
from loradar.moe_lora import MoeLoraConfig, inject


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
def test_a_padded_batch_gives_each_clip_what_it_gets_alone(make_encoder, stir, granularity, scope):
    model = make_encoder().eval()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=3, granularity=granularity, scope=scope))
    stir(mixture)
    lengths = [9, 5, 2]
    clips = [torch.randn(1, length, 8) for length in lengths]
    batch = torch.randn(3, 9, 8) * 5  # what stands in the padding does not matter
    for n, clip in enumerate(clips):
        batch[n, : lengths[n]] = clip
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    with mixture.mask(mask):
        together = model(batch, mask)
    together_gates = mixture.gates()
    together_loss, _ = mixture.auxiliary_loss()
    for n, clip in enumerate(clips):
        alone = model(clip)
        torch.testing.assert_close(together[n, : lengths[n]], alone[0], rtol=0, atol=1e-5)
        for name, gates in mixture.gates().items():
            torch.testing.assert_close(together_gates[name][n], gates[0], rtol=0, atol=1e-5)
    with mixture.mask(mask):
        model(batch.masked_fill(~mask.unsqueeze(-1), 0), mask)
    torch.testing.assert_close(mixture.auxiliary_loss()[0], together_loss)
    if granularity == "utterance":
        model(batch, mask)
        assert not torch.allclose(mixture.auxiliary_loss()[0], together_loss)


def test_masks_nest_and_end(make_encoder):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=2))
    x = torch.randn(1, 4, 8)
    with mixture.mask(torch.tensor([[True, True, False, False]])):
        with mixture.mask(None):
            model(x)
        assert mixture.statistics().positions["layers.0"] == 4
        model(x)
        assert mixture.statistics().positions["layers.0"] == 6
    with pytest.raises(InputError, match="frame mask"), mixture.mask(torch.ones(1, 3) > 0):
        model(x)
    model(x)
    assert mixture.statistics().positions["layers.0"] == 10


def test_before_a_forward_there_is_nothing_to_report(make_encoder):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=2), lambda: model(torch.randn(1, 4, 8)))
    for call in (mixture.auxiliary_loss, mixture.gates):
        with pytest.raises(LoradarError, match="has not run yet"):
            call()


def test_the_auxiliary_loss_trains_the_routers(make_encoder):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=4, balance_weight=1.0, orthogonality_weight=1.0))
    model(torch.randn(2, 6, 8))
    total, terms = mixture.auxiliary_loss()
    total.backward()
    for router in mixture.routers.values():
        assert router.weight.grad.norm() > 1e-4
    for adapter in mixture.adapters.values():
        assert adapter.A.grad.norm() > 1e-4
    assert mixture.adapters["layers.1.q_proj"].B.grad is None
    assert total.item() == pytest.approx((terms["balance"] + terms["orthogonality"]).item())


@pytest.mark.parametrize("granularity", ["frame", "utterance"])
@pytest.mark.parametrize("scope", ["block", "projection"])
def test_gradient_checkpointing_changes_nothing(make_encoder, stir, granularity, scope):
    model = make_encoder().train()
    config = MoeLoraConfig(
        experts=4, rank=3, granularity=granularity, scope=scope, noise=0.3, dropout=0.2
    )
    mixture = inject(model, config)
    stir(mixture)
    x = torch.randn(2, 6, 8)
    mask = torch.arange(6) < torch.tensor([[6], [3]])

    def step():
        torch.manual_seed(1)
        model.zero_grad()
        mixture.reset_statistics()
        with mixture.mask(mask):
            output = model(x, mask)
        # Outside of the mask's block, where checkpointing runs the blocks again.
        (output[mask].square().sum() + mixture.auxiliary_loss()[0]).backward()
        return mixture.statistics(), [p.grad.clone() for p in mixture.parameters()]

    plain_statistics, plain = step()
    model.checkpoint = lambda *args: checkpoint(*args, use_reentrant=False)
    statistics, gradients = step()
    for a, b in zip(plain, gradients, strict=True):
        torch.testing.assert_close(a, b)
    assert statistics.positions == plain_statistics.positions
    assert statistics.to_dict() == plain_statistics.to_dict()


def test_checkpointing_without_a_mask_after_a_masked_forward(make_encoder, stir):
    model = make_encoder(blocks=1).train()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=3, granularity="utterance"))
    stir(mixture)
    x = torch.randn(2, 6, 8)
    wanted = list(mixture.parameters())
    expected = torch.autograd.grad(model(x).square().sum(), wanted)
    with mixture.mask(torch.arange(6) < torch.tensor([[6], [1]])):
        model(x)
    model.checkpoint = lambda *args: checkpoint(*args, use_reentrant=False)
    for a, b in zip(torch.autograd.grad(model(x).square().sum(), wanted), expected, strict=True):
        torch.testing.assert_close(a, b)


def test_reentrant_checkpointing_warns_about_lost_auxiliary_losses(make_encoder, stir):
    model = make_encoder().train()
    mixture = inject(model, MoeLoraConfig(experts=2))
    stir(mixture)
    x = torch.randn(2, 6, 8, requires_grad=True)
    model(x).sum().backward()
    plain = [p.grad.clone() for p in mixture.parameters()]
    model.zero_grad()
    model.checkpoint = lambda *args: checkpoint(*args, use_reentrant=True)
    output = model(x)
    with pytest.warns(RuntimeWarning, match="use_reentrant=False"):
        mixture.auxiliary_loss()
    output.sum().backward()
    for a, b in zip(plain, mixture.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad)


def test_inference_and_training_may_take_turns(make_encoder, stir):
    model = make_encoder()
    mixture = inject(model, MoeLoraConfig(experts=2))
    stir(mixture)
    x = torch.randn(2, 6, 8)
    expected = model(x)
    with torch.inference_mode():
        assert torch.equal(model(x), expected)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(x), expected)
    total, _ = mixture.auxiliary_loss()
    assert not total.requires_grad
    (model(x).sum() + mixture.auxiliary_loss()[0]).backward()
    assert mixture.statistics().positions["layers.1"] == 4 * 12


def test_threads_do_not_see_each_others_gates(make_encoder, stir):
    model = make_encoder().eval()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=3, granularity="utterance"))
    stir(mixture)
    batches = [torch.randn(2, length, 8) for length in (3, 5, 7, 9)]
    masks = [torch.rand(batch.shape[:2]) < 0.7 for batch in batches]
    expected = []
    for batch, mask in zip(batches, masks, strict=True):
        with torch.no_grad(), mixture.mask(mask):
            expected.append(model(batch))
    wrong: list[int] = []

    def work(n: int) -> None:
        for _ in range(30):
            with torch.no_grad(), mixture.mask(masks[n]):
                if not torch.allclose(model(batches[n]), expected[n], atol=1e-6):
                    wrong.append(n)
            if mixture.gates()["layers.0"].shape != (2, 4):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert mixture.statistics().positions["layers.0"] > 4 * 30


def test_the_model_trains_as_a_whole(make_encoder):
    torch.manual_seed(0)
    model = make_encoder().train()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=2))
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.Adam(mixture.parameters(), lr=0.02)
    x, target = torch.randn(4, 6, 8), torch.randn(4, 6, 8)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(x) - target).square().mean()
        (loss + mixture.auxiliary_loss()[0]).backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    for name, value in frozen.items():
        assert torch.equal(model.get_parameter(name), value)


def test_block_of_another_width_is_refused():
    class Wide(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze, self.q_proj = torch.nn.Linear(6, 4), torch.nn.Linear(4, 4)

        def forward(self, x):
            return self.q_proj(self.squeeze(x))

    model = Wide()
    inject(model, MoeLoraConfig(targets=("q_proj",)))
    with pytest.raises(LoradarError, match="4 features; use scope='projection'"):
        model(torch.randn(1, 5, 6))


@pytest.mark.parametrize("scope", ["block", "projection"])
def test_torch_export_gives_the_same_and_leaves_no_trace(make_encoder, stir, scope):
    model = make_encoder(blocks=1).eval()
    mixture = inject(model, MoeLoraConfig(experts=4, rank=2, scope=scope))
    stir(mixture)
    x = torch.randn(2, 6, 8)
    with torch.no_grad():
        expected = model(x)
        exported = torch.export.export(model, (x,)).module()
        torch.testing.assert_close(exported(x), expected)
    assert set(mixture.statistics().positions.values()) == {12}


def test_the_balance_loss_has_its_whole_gradient(make_encoder):
    model = make_encoder(blocks=1)
    mixture = inject(model, MoeLoraConfig(experts=4, balance_weight=1.0))
    x = torch.randn(2, 6, 8)
    model(x)
    router = mixture.routers["layers.0"]
    (ours,) = torch.autograd.grad(mixture.auxiliary_loss()[0], router.weight)
    weight = router.weight.detach().clone().requires_grad_()
    logits = (model.norm(x) @ weight.T).flatten(0, 1)
    chosen = logits.topk(2).indices.flatten().bincount(minlength=4) / 24
    (expected,) = torch.autograd.grad(4 * (chosen * logits.softmax(-1).mean(0)).sum(), weight)
    torch.testing.assert_close(ours, expected)
    assert expected.abs().max() > 1e-3
