import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loradar.moe_lora import MoeLoraConfig, Router
from loradar.moe_lora.losses import (
    balance_loss,
    collect,
    entropy_loss,
    orthogonality_loss,
    z_loss,
)


def route(logits, mask=None, **options):
    config = MoeLoraConfig(experts=logits.shape[-1], **options)
    return Router(4, config).route(logits, mask)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_balance_is_1_for_even_routing(top_k):
    # Every expert is the first choice equally often, by cyclic shifts of one row.
    row = torch.tensor([3.0, 1.0, 0.0, -1.0], dtype=torch.float64)
    logits = torch.stack([row.roll(shift) for shift in range(4)]).unsqueeze(0)
    assert balance_loss(route(logits, top_k=top_k)).item() == pytest.approx(1, abs=1e-12)
    uniform = torch.zeros(2, 6, 4, dtype=torch.float64)
    assert balance_loss(route(uniform, top_k=top_k)).item() == pytest.approx(1, abs=1e-12)


def test_balance_is_E_when_one_expert_does_it_all():
    logits = torch.tensor([50.0, 0, 0, 0]).expand(2, 5, 4)
    assert balance_loss(route(logits, top_k=1)).item() == pytest.approx(4)


@given(seed=st.integers(0, 10_000), top_k=st.integers(1, 5))
def test_balance_as_written(seed, top_k):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    mask = torch.arange(7) < torch.tensor([[7], [3]])
    routing = route(logits, mask, top_k=top_k)
    frames = [logits[b, t] for b in range(2) for t in range(7) if mask[b, t]]
    P = torch.stack([f.softmax(-1) for f in frames]).mean(0)
    if top_k == 5:
        f = P
    else:
        chosen = torch.stack([f.topk(top_k).indices for f in frames]).flatten()
        f = torch.bincount(chosen, minlength=5).double() / len(chosen)
    assert balance_loss(routing).item() == pytest.approx(5 * float((f * P).sum()), rel=1e-9)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_descent_on_balance_evens_the_load(top_k):
    torch.manual_seed(0)
    x = torch.randn(4, 50, 8) + 1
    router = Router(8, MoeLoraConfig(experts=4, top_k=top_k))
    with torch.no_grad():
        router.weight[0] += 0.5
    optimizer = torch.optim.Adam(router.parameters(), lr=0.01)
    first = balance_loss(router(x)).item()
    for _ in range(100):
        optimizer.zero_grad()
        balance_loss(router(x)).backward()
        optimizer.step()
    assert first > 1.3
    assert balance_loss(router(x)).item() < 1.05


def test_z_and_entropy_as_written():
    logits = torch.tensor([[[0.0, 0.0], [math.log(3.0), 0.0]]], dtype=torch.float64)
    routing = route(logits)
    expected = (math.log(2) ** 2 + math.log(4) ** 2) / 2
    assert z_loss(routing).item() == pytest.approx(expected)
    entropy = (math.log(2) - (0.75 * math.log(0.75) + 0.25 * math.log(0.25))) / 2
    assert entropy_loss(routing).item() == pytest.approx(entropy)


def test_entropy_is_finite_where_probabilities_vanish():
    logits = torch.tensor([[[0.0, 2000.0]]], requires_grad=True)
    loss = entropy_loss(route(logits))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [balance_loss, z_loss, entropy_loss])
@pytest.mark.parametrize("granularity", ["frame", "utterance"])
def test_padding_never_counts(loss, granularity):
    torch.manual_seed(0)
    logits = torch.randn(2, 9, 4, dtype=torch.float64)
    mask = torch.arange(9) < torch.tensor([[6], [6]])
    alone = loss(route(logits[:, :6], granularity=granularity))
    for junk in (torch.nan, 1e6):
        padded = logits.masked_fill(~mask.unsqueeze(-1), junk)
        assert loss(route(padded, mask, granularity=granularity)).item() == pytest.approx(
            alone.item(), rel=1e-12
        )


def test_orthogonality_between_0_and_1():
    basis = torch.eye(12, dtype=torch.float64)
    assert orthogonality_loss(basis[:8] * 3, 4).item() == 0
    assert orthogonality_loss(basis[:2].repeat(4, 1) * 5, 4).item() == pytest.approx(1)
    assert orthogonality_loss(torch.zeros(8, 12), 4).item() == 0
    A = torch.randn(6, 12, dtype=torch.float64)
    rows = A / A.norm(dim=1, keepdim=True)
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    overlaps = [
        float((rows[2 * i : 2 * i + 2] @ rows[2 * j : 2 * j + 2].T).square().sum()) / 2
        for i, j in pairs
    ]
    assert orthogonality_loss(A, 3).item() == pytest.approx(sum(overlaps) / len(pairs))


def test_descent_on_orthogonality_separates_experts():
    torch.manual_seed(0)
    A = (torch.ones(4, 16) + 0.1 * torch.randn(4, 16)).requires_grad_()
    optimizer = torch.optim.Adam([A], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        orthogonality_loss(A, 2).backward()
        optimizer.step()
    assert orthogonality_loss(A, 2).item() < 1e-2


def test_the_collector_sums_over_routers_and_weighs():
    weights = {"balance": 0.5, "z": 0.25, "orthogonality": 2.0, "entropy": -0.125}
    config = MoeLoraConfig(
        experts=4, rank=2, **{f"{name}_weight": value for name, value in weights.items()}
    )
    routings = [route(torch.randn(1, 5, 4, requires_grad=True)) for _ in range(3)]
    matrices = [torch.randn(8, 10, requires_grad=True) for _ in range(2)]
    total, terms = collect(routings, matrices, config)
    losses = {"balance": balance_loss, "z": z_loss, "entropy": entropy_loss}
    for name, loss in losses.items():
        assert terms[name].item() == pytest.approx(sum(loss(r).item() for r in routings))
    overlap = sum(orthogonality_loss(matrix, 4).item() for matrix in matrices)
    assert terms["orthogonality"].item() == pytest.approx(overlap)
    expected = sum(weights[name] * terms[name].item() for name in weights)
    assert total.item() == pytest.approx(expected)
    assert total.requires_grad
    assert not any(term.requires_grad for term in terms.values())


def test_a_weight_of_0_is_off():
    config = MoeLoraConfig(experts=4, balance_weight=0.0)
    routing = route(torch.randn(1, 5, 4, requires_grad=True))
    total, terms = collect([routing], [torch.randn(8, 10, requires_grad=True)], config)
    assert total.item() == 0
    assert not total.requires_grad
    assert terms["balance"].item() > 0
