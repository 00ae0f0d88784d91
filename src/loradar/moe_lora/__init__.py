"""The mixture of LoRA experts: the method itself. Knows torch alone, nothing of audio.

Works on any model with linear modules. Adapt it, train what `MoeLora.parameters` gives with
`MoeLora.auxiliary_loss` added to the task's loss, and save the adapters:

>>> import torch
>>> from loradar.moe_lora import MoeLoraConfig, inject
>>> model = torch.nn.TransformerEncoderLayer(16, 2, dim_feedforward=32, batch_first=True)
>>> _ = model.requires_grad_(False)
>>> config = MoeLoraConfig(experts=4, rank=2, top_k=2, targets=("linear1",), scope="projection")
>>> clips = torch.randn(2, 10, 16)
>>> mixture = inject(model, config, probe=lambda: model(clips))
>>> mixture.num_parameters() == 4 * 2 * (16 + 32) + 4 * 16
True
>>> frame_mask = torch.arange(10) < torch.tensor([[10], [7]])
>>> with mixture.mask(frame_mask):
...     output = model(clips)
>>> loss, terms = mixture.auxiliary_loss()
>>> sorted(terms)
['balance', 'entropy', 'orthogonality', 'z']
>>> mixture.statistics().positions
{'linear1': 17}
"""

from loradar.moe_lora.config import MoeLoraConfig
from loradar.moe_lora.inject import inject, load
from loradar.moe_lora.layer import MoeLoraLinear
from loradar.moe_lora.listing import Expert, list_experts
from loradar.moe_lora.mixture import MoeLora
from loradar.moe_lora.mixture_linear import MixtureLinear
from loradar.moe_lora.peft_format import export_expert, import_expert
from loradar.moe_lora.router import Router, Routing
from loradar.moe_lora.self_routed import SelfRoutedLinear
from loradar.moe_lora.singular import SingularLinear
from loradar.moe_lora.statistics import RoutingStatistics

__all__ = [
    "Expert",
    "MixtureLinear",
    "MoeLora",
    "MoeLoraConfig",
    "MoeLoraLinear",
    "Router",
    "Routing",
    "RoutingStatistics",
    "SelfRoutedLinear",
    "SingularLinear",
    "export_expert",
    "import_expert",
    "inject",
    "list_experts",
    "load",
]
