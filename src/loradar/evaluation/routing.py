"""Do experts go with attacks? Mutual information between a clip's class and its experts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from loradar.errors import InputError
from loradar.evaluation.det import FloatArray


@dataclass(frozen=True)
class Information:
    """Mutual information, and what chance gives.

    Attributes
    ----------
    bits : float
        Between class and expert.
    chance : float
        Its mean when the classes are dealt out anew: with few clips it is well above 0.
    chance_high : float
        95 % of such deals stay below.
    p : float
        Share of deals, this one among them, that reach ``bits``.
    limit : float
        The most there can be: the entropy of the classes, or ``log2 E`` where that is less.
    """

    bits: float
    chance: float
    chance_high: float
    p: float
    limit: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def expert_shares(gates: ArrayLike) -> FloatArray:
    """Return how much of each clip's gates is whose: ``|g_e| / sum |g|``, [N, E].

    A clip with no gate open gets even shares.

    Examples
    --------
    >>> expert_shares([[0.5, 0.5, -1.0], [0.0, 0.0, 0.0]]).round(2).tolist()
    [[0.25, 0.25, 0.5], [0.33, 0.33, 0.33]]
    """
    sizes = np.abs(np.asarray(gates, dtype=np.float64))
    total = sizes.sum(1, keepdims=True)
    even = np.full_like(sizes, 1 / sizes.shape[1])
    return np.where(total > 0, sizes / np.where(total > 0, total, 1), even)


def mutual_information(classes: ArrayLike, shares: ArrayLike) -> float:
    """Return the mutual information between class and expert in bits.

    Of the joint distribution that draws a clip and then one of its experts by its shares.

    Parameters
    ----------
    classes : array_like
        [N], a name or number a clip.
    shares : array_like
        [N, E], rows that add up to 1.

    Examples
    --------
    >>> mutual_information(["a", "a", "b", "b"], [[1, 0], [1, 0], [0, 1], [0, 1]])
    1.0
    >>> mutual_information(["a", "b"], [[0.5, 0.5], [0.5, 0.5]])
    0.0
    """
    rows, codes = np.asarray(shares, dtype=np.float64), _codes(classes)
    return float(_bits(codes, rows, int(codes.max()) + 1))


def information(
    classes: ArrayLike, shares: ArrayLike, *, deals: int = 200, seed: int = 0
) -> Information:
    """Return the mutual information together with its permutation baseline.

    Parameters
    ----------
    classes, shares
        See `mutual_information`.
    deals : int
        How often the classes are dealt out anew.
    seed : int
        Of the deals.

    Raises
    ------
    InputError
        There are fewer than two classes.
    """
    rows, codes = np.asarray(shares, dtype=np.float64), _codes(classes)
    kinds = int(codes.max()) + 1
    if kinds < 2:
        raise InputError("mutual information needs clips of two classes or more")
    bits = _bits(codes, rows, kinds)
    rng = np.random.default_rng(seed)
    dealt = np.array([_bits(rng.permutation(codes), rows, kinds) for _ in range(deals)])
    reached = int((dealt >= bits - 1e-12).sum())
    return Information(
        bits=float(bits),
        chance=float(dealt.mean()),
        chance_high=float(np.quantile(dealt, 0.95)),
        p=(1 + reached) / (1 + deals),
        limit=float(min(_entropy(np.bincount(codes) / len(codes)), np.log2(rows.shape[1]))),
    )


def _codes(classes: ArrayLike) -> np.ndarray:
    return np.unique(np.asarray(classes).astype(str), return_inverse=True)[1]


def _bits(codes: np.ndarray, shares: FloatArray, kinds: int) -> float:
    joint = np.zeros((kinds, shares.shape[1]))
    np.add.at(joint, codes, shares / len(codes))
    return max(0.0, _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint.ravel()))


def _entropy(probabilities: FloatArray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())
