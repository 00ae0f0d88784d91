"""The settings of a mixture of LoRA experts, validated and written as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from loradar.errors import ConfigError

GRANULARITIES = ("frame", "utterance")
SCOPES = ("block", "projection")
ROUTINGS = ("softmax", "self")
KINDS = ("lora", "singular_values", "singular_matrix")

_WEIGHTS = ("noise", "balance_weight", "z_weight", "orthogonality_weight", "selection_weight")

# Left out of what is written where they say nothing, so that settings without them stay readable by
# a Loradar that does not know them, and keep their hash.
_OPTIONAL = {
    "grown": [],
    "frozen": [],
    "shared_down": False,
    "cue_size": 0,
    "experts_by_layer": None,
    "routing": "softmax",
    "selection_weight": 0,
    "kind": "lora",
}

# What has a meaning with routers alone, or is another arrangement of the experts, as it must be
# with routing self.
_BESIDE_SELF = {
    "granularity": "frame",
    "temperature": 1,
    "noise": 0,
    "renormalise": None,
    "cue_size": 0,
    "z_weight": 0,
    "shared_down": False,
    "experts_by_layer": None,
    "kind": "lora",
}


@dataclass(frozen=True, slots=True)
class MoeLoraConfig:
    """Settings of a mixture of LoRA experts (DESIGN section 2).

    Attributes
    ----------
    experts : int
        Number of experts E. With 1 it is plain LoRA, without a router. With ``experts_by_layer``
        it is not looked at, and becomes the largest of them.
    rank : int
        Rank r of each expert.
    alpha : float, optional
        The experts' sum is scaled by ``alpha / rank``. None means ``rank``: a scale of 1.
    top_k : int
        Experts chosen at each position, 1 to ``experts``; ``experts`` makes the mixture dense.
        Has no meaning, and is not looked at, when ``experts`` is 1. With ``routing`` self it is
        how many of the others than the shared expert count as chosen in losses and statistics.
    granularity : {"frame", "utterance"}
        Each time frame chooses its experts, or each clip does by the mean over its valid frames.
    scope : {"block", "projection"}
        One router an attention block, read from the block's input and shared by its projections,
        or one router a projection.
    temperature : float
        The logits are divided by it before the softmax.
    noise : float
        Standard deviation of normal noise on the logits in training (noisy top-k; Shazeer et
        al. 2017, arXiv 1701.06538, with a fixed deviation instead of a learned one).
    renormalise : bool, optional
        Whether the chosen gates are divided by their sum. None means yes for ``top_k > 1`` and no
        for ``top_k == 1``, where they would be the constant 1 and the router without a gradient.
    dropout : float
        Dropout on the experts' input in training (the base's input is untouched).
    targets : tuple of str
        Last parts of the names of the linear modules to adapt.
    layers : tuple of int, optional
        Which of the blocks found, counted from 0 in the model's order; None means all.
    balance_weight : float
        Weight of the load-balance loss.
    z_weight : float
        Weight of the router z-loss.
    orthogonality_weight : float
        Weight of the overlap between experts.
    entropy_weight : float
        Weight of the routing entropy: above 0 makes routing sharper, below 0 more even.
    grown : tuple of int
        Rank of each expert that was added later (`MoeLora.add_expert`). Expert number
        ``experts + j`` is the j-th of them: outside the softmax, with a gate of its own.
    frozen : tuple of int
        Numbers of the experts that train no more (`MoeLora.freeze`).
    shared_down : bool
        One ``A`` for all experts of a layer, each with a ``B`` of its own (HydraLoRA, Tian et al.
        2024, arXiv 2404.19245). Experts added later bring an ``A``.
    cue_size : int
        Numbers of each clip that the routers read beside the hidden state, such as what a filter
        bank hears in its waveform; given with `MoeLora.mask`. 0: the hidden state alone.
    experts_by_layer : tuple of int, optional
        Numbers of experts from the lowest adapted blocks to the highest, each for an equal group
        of consecutive ones (MoLA, Gao et al. 2024, arXiv 2402.08562); see `experts_of_blocks`.
        None: ``experts`` everywhere. Expert number n is there where a block has more than n.
    routing : {"softmax", "self"}
        ``self``: no routers; experts answer by how well the input fits their own direction, and
        fold into the base weight (FURINA, arXiv 2509.14900); see `SelfRoutedLinear`.
    selection_weight : float
        With ``routing`` self: weight of the share of the experts that are not chosen.
    kind : {"lora", "singular_values", "singular_matrix"}
        What an expert is: a LoRA, or a change of the ``rank`` largest singular values of the
        frozen weights, or a matrix between their singular vectors; see `SingularLinear`.

    Raises
    ------
    ConfigError
        For a value outside its range, and for settings that do not go together:
        ``renormalise=True`` with ``top_k == 1 < experts``; an orthogonality loss, which compares
        the experts' ``A``, where they have one or none; growth of a mixture with
        ``experts_by_layer`` or ``routing`` self; and ``routing`` self with anything of a router.

    Examples
    --------
    >>> config = MoeLoraConfig(experts=4, top_k=1)
    >>> config.renormalises
    False
    >>> MoeLoraConfig.from_json(config.to_json()) == config
    True
    """

    experts: int = 8
    rank: int = 8
    alpha: float | None = None
    top_k: int = 2
    granularity: str = "frame"
    scope: str = "block"
    temperature: float = 1.0
    noise: float = 0.0
    renormalise: bool | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "out_proj")
    layers: tuple[int, ...] | None = None
    balance_weight: float = 0.01
    z_weight: float = 0.0
    orthogonality_weight: float = 0.0
    entropy_weight: float = 0.0
    grown: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()
    shared_down: bool = False
    cue_size: int = 0
    experts_by_layer: tuple[int, ...] | None = None
    routing: str = "softmax"
    selection_weight: float = 0.0
    kind: str = "lora"

    def __post_init__(self) -> None:
        self._check_allocation()
        for name in ("experts", "rank", "top_k"):
            value = getattr(self, name)
            if not _is_int(value) or value < 1:
                raise _bad(name, value, "a whole number of at least 1")
        least = min(self.experts_by_layer or (self.experts,))
        if self.experts > 1 and self.top_k > least:
            raise _bad("top_k", self.top_k, f"at most the (least) number of experts, {least}")
        if self.alpha is not None and not (_is_number(self.alpha) and self.alpha > 0):
            raise _bad("alpha", self.alpha, "a number above 0, or null for the rank")
        if self.granularity not in GRANULARITIES:
            raise _bad("granularity", self.granularity, " or ".join(GRANULARITIES))
        if self.scope not in SCOPES:
            raise _bad("scope", self.scope, " or ".join(SCOPES))
        if not (_is_number(self.temperature) and self.temperature > 0):
            raise _bad("temperature", self.temperature, "a number above 0")
        if self.renormalise not in (None, True, False):
            raise _bad("renormalise", self.renormalise, "true, false or null")
        if self.renormalise and self.top_k == 1 < self.experts:
            raise ConfigError(
                "moe_lora.renormalise cannot be true with top_k 1: the gate would be the constant "
                "1 and the router would get no gradient; leave it out or use top_k 2"
            )
        if not (_is_number(self.dropout) and 0 <= self.dropout < 1):
            raise _bad("dropout", self.dropout, "a number from 0 up to but not including 1")
        for name in _WEIGHTS:
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise _bad(name, value, "a number of at least 0")
        if not _is_number(self.entropy_weight):
            raise _bad("entropy_weight", self.entropy_weight, "a number")
        if not _is_int(self.cue_size) or self.cue_size < 0:
            raise _bad("cue_size", self.cue_size, "a whole number of at least 0")
        if self.shared_down not in (True, False):
            raise _bad("shared_down", self.shared_down, "true or false")
        if self.shared_down and self.orthogonality_weight:
            raise ConfigError(
                "moe_lora.orthogonality_weight compares the experts' A, and with shared_down they "
                "have one: set it to 0"
            )
        if self.kind not in KINDS:
            raise _bad("kind", self.kind, " or ".join(KINDS))
        if self.kind != "lora" and (self.shared_down or self.orthogonality_weight):
            raise ConfigError(
                f"moe_lora.shared_down and orthogonality_weight are about the experts' A, and "
                f"experts of kind {self.kind} have none: leave them out"
            )
        self._check_routing()
        self._check_places()
        self._check_growth()

    def _check_allocation(self) -> None:
        """Check ``experts_by_layer``, and let ``experts`` be the largest."""
        numbers = self.experts_by_layer
        if numbers is None:
            return
        listed = isinstance(numbers, (list, tuple)) and len(numbers) > 0
        if not listed or not all(_is_int(n) and n > 1 for n in numbers):
            raise _bad("experts_by_layer", numbers, "a list of numbers of at least 2, or null")
        object.__setattr__(self, "experts_by_layer", tuple(numbers))
        object.__setattr__(self, "experts", max(numbers))

    def _check_routing(self) -> None:
        """Check ``routing``, and that nothing is asked of a router that is not there."""
        if self.routing not in ROUTINGS:
            raise _bad("routing", self.routing, " or ".join(ROUTINGS))
        if self.routing == "softmax":
            if self.selection_weight:
                raise ConfigError("moe_lora.selection_weight is a loss of routing self alone")
            return
        if self.experts < 3:
            raise _bad("experts", self.experts, "at least 3 with routing self: one is shared")
        if self.top_k > self.experts - 1:
            most = f"at most {self.experts - 1} with routing self: one expert is shared"
            raise _bad("top_k", self.top_k, most)
        others = [name for name, value in _BESIDE_SELF.items() if getattr(self, name) != value]
        if others:
            raise ConfigError(f"moe_lora.routing self does not go with {', '.join(others)}")

    def _check_places(self) -> None:
        """Check ``targets`` and ``layers``, and make tuples of the lists JSON and YAML give."""
        targets = self.targets
        if isinstance(targets, str) or not all(isinstance(t, str) and t for t in targets):
            raise _bad("targets", targets, "a list of module names")
        if not targets or len(set(targets)) != len(targets):
            raise _bad("targets", targets, "a list of at least one name, none twice")
        object.__setattr__(self, "targets", tuple(targets))
        layers = self.layers
        if layers is None:
            return
        if isinstance(layers, (str, int)) or not all(_is_int(n) and n >= 0 for n in layers):
            raise _bad("layers", layers, "a list of block numbers from 0, or null for all")
        if not layers or len(set(layers)) != len(layers):
            raise _bad("layers", layers, "a list of at least one number, none twice")
        object.__setattr__(self, "layers", tuple(layers))

    def _check_growth(self) -> None:
        """Check ``grown`` and ``frozen``, and make tuples of lists."""
        grown, frozen = self.grown, self.frozen
        if not isinstance(grown, (list, tuple)) or not all(_is_int(r) and r > 0 for r in grown):
            raise _bad("grown", grown, "a list of ranks, each at least 1")
        object.__setattr__(self, "grown", tuple(grown))
        if grown and self.self_routed:
            raise ConfigError(
                "a mixture with routing self cannot grow: the gate of a new expert changes with "
                "the input, and such a mixture could not be merged any more"
            )
        if grown and self.experts_by_layer is not None:
            raise ConfigError(
                "a mixture with experts_by_layer cannot grow: a new expert would have another "
                "number in each layer"
            )
        if (
            not isinstance(frozen, (list, tuple))
            or not all(_is_int(n) and 0 <= n < self.total for n in frozen)
            or len(set(frozen)) != len(frozen)
        ):
            wanted = f"a list of experts' numbers, 0 to {self.total - 1}, none twice"
            raise _bad("frozen", frozen, wanted)
        object.__setattr__(self, "frozen", tuple(sorted(frozen)))

    @property
    def total(self) -> int:
        """How many experts there are, those added later included."""
        return self.experts + len(self.grown)

    @property
    def downs(self) -> int:
        """How many ``A`` the experts of the softmax have between them."""
        return 1 if self.shared_down or self.kind != "lora" else self.experts

    @property
    def scale(self) -> float:
        """The factor ``alpha / rank`` on the experts' sum."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    @property
    def renormalises(self) -> bool:
        """Whether the chosen gates are divided by their sum, the default resolved."""
        return self.top_k > 1 if self.renormalise is None else self.renormalise

    @property
    def routed(self) -> bool:
        """Whether there are routers at all."""
        return self.experts > 1 and not self.self_routed

    @property
    def self_routed(self) -> bool:
        """Whether experts route themselves; the last one is the shared one then."""
        return self.routing == "self"

    @property
    def mixes(self) -> bool:
        """Whether there is a choice between experts, by routers or by themselves."""
        return self.experts > 1

    @property
    def teaches_choice(self) -> bool:
        """Whether a loss with a weight is about which experts are chosen."""
        return bool(self.balance_weight or self.selection_weight or self.entropy_weight)

    def growing(self, rank: int) -> MoeLoraConfig:
        """Return the settings with one more expert; `ConfigError` where there cannot be one."""
        return replace(self, grown=(*self.grown, rank))

    def at(self, experts: int) -> MoeLoraConfig:
        """Return the settings of a layer with so many experts of the softmax."""
        if self.experts_by_layer is None:
            return self
        frozen = tuple(number for number in self.frozen if number < experts)
        return replace(self, experts=experts, experts_by_layer=None, frozen=frozen)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values (lists for tuples).

        Optional ones (``grown``, ``frozen``, ``shared_down``, ``cue_size``, ``experts_by_layer``,
        ``routing``, ``selection_weight``, ``kind``) are left out at their defaults, so that what
        does not use them can be read by a Loradar that does not know them.
        """
        values = asdict(self)
        for name in ("targets", "layers", "grown", "frozen", "experts_by_layer"):
            values[name] = None if values[name] is None else list(values[name])
        for name, default in _OPTIONAL.items():
            if values[name] == default:
                del values[name]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MoeLoraConfig:
        """Make a configuration of ``values``; what is left out keeps its default.

        Raises
        ------
        ConfigError
            For a key that is not a setting, or a value outside its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"moe_lora has no setting {', '.join(map(repr, unknown))}; "
                f"there are {', '.join(sorted(known))}"
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"moe_lora settings are not valid: {error}") from None

    def to_json(self) -> str:
        """Return the settings as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> MoeLoraConfig:
        """Read what `to_json` wrote.

        Raises
        ------
        ConfigError
            When ``text`` is not a JSON object of valid settings.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"moe_lora settings are not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError("moe_lora settings must be a JSON object")
        return cls.from_dict(values)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _bad(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"moe_lora.{name} is {value!r}; it must be {wanted}")
