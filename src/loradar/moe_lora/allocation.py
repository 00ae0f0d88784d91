"""How many experts each block gets."""

from __future__ import annotations

from loradar.errors import ConfigError
from loradar.moe_lora.config import MoeLoraConfig


def experts_of_blocks(config: MoeLoraConfig, blocks: int) -> list[int]:
    """Return the number of experts of each adapted block, from the lowest to the highest.

    ``experts_by_layer`` is spread over equal groups of consecutive blocks, as MoLA writes it (Gao
    et al. 2024, arXiv 2402.08562, "Higher layers need more LoRA experts": its 2-4-6-8 are 2 experts
    in each of the lowest 8 of 32 layers, and so on). Block i of n gets number ``i * m // n`` of m;
    where n is no multiple of m, groups differ by one block.

    Parameters
    ----------
    config : MoeLoraConfig
        ``experts`` or ``experts_by_layer`` is used.
    blocks : int
        How many blocks are adapted (those in ``layers`` alone).

    Raises
    ------
    ConfigError
        When there are more numbers than blocks.

    Examples
    --------
    >>> experts_of_blocks(MoeLoraConfig(experts_by_layer=(2, 4, 8)), 7)
    [2, 2, 2, 4, 4, 8, 8]
    >>> experts_of_blocks(MoeLoraConfig(experts=8), 3)
    [8, 8, 8]
    """
    numbers = config.experts_by_layer or (config.experts,)
    if len(numbers) > blocks:
        raise ConfigError(
            f"moe_lora.experts_by_layer has {len(numbers)} numbers, but {blocks} blocks are adapted"
        )
    return [numbers[block * len(numbers) // blocks] for block in range(blocks)]
