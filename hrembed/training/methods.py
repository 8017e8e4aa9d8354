"""What is trained: adapters or layers; everything else is frozen."""

from __future__ import annotations

import copy
from typing import Any

from hrembed.errors import ConfigError

_ATTENTION = ["query", "key", "value", "q_proj", "k_proj", "v_proj", "q", "k", "v"]


def apply_lora(model: Any, *, rank: int, alpha: float, dropout: float, targets: str) -> None:
    """Put low-rank adapters on a Sentence Transformers model, in place.

    Source:
        Hu et al. (2022), LoRA, arXiv:2106.09685.
    """
    from peft import LoraConfig

    modules = "all-linear" if targets == "all-linear" else _present(model, _ATTENTION)
    model.add_adapter(
        LoraConfig(
            task_type="FEATURE_EXTRACTION", r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=modules
        )
    )


def _present(model: Any, names: list[str]) -> list[str]:
    ends = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    found = [name for name in names if name in ends]
    if not found:
        raise ConfigError("`method.targets: attention` finds no attention layers in this model; use all-linear")
    return found


def apply_top_layers(model: Any, *, layers: int) -> None:
    """Freeze all but the last layers of the encoder and what stands after it (a projection), in place.

    Raises:
        ConfigError: The model has no such stack of layers, or fewer of them.
    """
    stack = _layer_stack(model[0])
    if layers > len(stack):
        raise ConfigError(f"`method.layers` is {layers}, but the model has {len(stack)} layers")
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    for layer in list(stack)[-layers:]:
        for parameter in layer.parameters():
            parameter.requires_grad = True


def _layer_stack(module: Any) -> Any:
    """Return the longest list of equal blocks: the encoder's layers in every transformer we know."""
    from torch.nn import ModuleList

    stacks = [part for part in module.modules() if isinstance(part, ModuleList) and len({type(b) for b in part}) == 1]
    if not stacks:
        raise ConfigError("`method.name: top-layers` needs a transformer with a stack of layers; use lora")
    return max(stacks, key=len)


def count_parameters(model: Any) -> tuple[int, int]:
    """Return (trainable, all) parameters."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def plain_copy(model: Any) -> Any:
    """Copy a model with its adapters merged into the weights, so that any tool can load it.

    Sentence Transformers puts adapters into the model itself, which then has no `merge_and_unload`;
    every adapted layer is merged and replaced by its base layer.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(model)
    backbone = plain[0].model
    for name, layer in [item for item in backbone.named_modules() if isinstance(item[1], BaseTunerLayer)]:
        layer.merge(safe_merge=True)
        parent, _, attribute = name.rpartition(".")
        setattr(backbone.get_submodule(parent), attribute, layer.get_base_layer())
    if getattr(backbone, "_hf_peft_config_loaded", False):
        backbone._hf_peft_config_loaded = False
        del backbone.peft_config
    return plain.eval()
