"""What is trained: adapters or layers; everything else is frozen."""

from __future__ import annotations

import copy
from typing import Any

from hrembed.errors import ConfigError

_ATTENTION = {"query", "key", "value", "q_proj", "k_proj", "v_proj", "q", "k", "v", "qkv", "Wqkv"}


def apply_lora(model: Any, *, rank: int, alpha: float, dropout: float, targets: str, layers: int | None = None) -> None:
    """Put low-rank adapters on the encoder layers of a Sentence Transformers model, in place.

    Args:
        model: The model.
        rank: Rank of the adapters.
        alpha: The update is multiplied by alpha / rank.
        dropout: Dropout in front of the adapters.
        targets: `all-linear`, or `attention` for its input projections only.
        layers: How many of the last layers get adapters; None for all. No gradient flows below them.

    Raises:
        ConfigError: The model has fewer layers, or no such targets.

    Source:
        Hu et al. (2022), LoRA, arXiv:2106.09685.
    """
    from peft import LoraConfig

    model.add_adapter(
        LoraConfig(
            task_type="FEATURE_EXTRACTION",
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=_linear_names(model[0].model, targets, layers),
        )
    )


def _linear_names(backbone: Any, targets: str, layers: int | None) -> list[str]:
    from torch.nn import Linear

    chosen = {id(part) for block in _last_layers(backbone, layers) for part in block.modules()}
    found = [
        name
        for name, part in backbone.named_modules()
        if isinstance(part, Linear)
        and id(part) in chosen
        and (targets == "all-linear" or name.rpartition(".")[2] in _ATTENTION)
    ]
    if not found:
        raise ConfigError(f"`method.targets: {targets}` finds no such layers in this model; use all-linear")
    return found


def apply_top_layers(model: Any, *, layers: int) -> None:
    """Freeze all but the last layers of the encoder and what stands after it (a projection), in place.

    Raises:
        ConfigError: The model has no such stack of layers, or fewer of them.
    """
    blocks = _last_layers(model[0].model, layers)
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    for block in blocks:
        for parameter in block.parameters():
            parameter.requires_grad = True


def _last_layers(backbone: Any, layers: int | None) -> list[Any]:
    """Return the last blocks of the encoder: of its longest list of equal modules; all for None."""
    from torch.nn import ModuleList

    lists = [list(part) for part in backbone.modules() if isinstance(part, ModuleList)]
    stack = max((blocks for blocks in lists if len({type(b) for b in blocks}) == 1), key=len, default=[])
    if not stack:
        raise ConfigError("this model has no stack of layers that hrembed could train; name a transformer")
    if layers is not None and layers > len(stack):
        raise ConfigError(f"`method.layers` is {layers}, but the model has {len(stack)} layers")
    return stack[-layers:] if layers is not None else stack


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
