"""What is trained: adapters, layers or everything; the rest is frozen."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import ConfigError, ModelError
from hrembed.records.finetune import ParameterCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

Layers = int | tuple[int, ...] | None
"""How many of the last layers, or which ones (0 is the first), or None for all."""

_ATTENTION = {"query", "key", "value", "q_proj", "k_proj", "v_proj", "q", "k", "v", "qkv", "Wqkv"}


def transformer_of(model: Any) -> Any:
    """Return the module whose backbone is trained: the first one, or the first of a router's queries.

    Raises:
        ModelError: The model does not start with a transformer.
    """
    first = model[0]
    if hasattr(first, "sub_modules"):
        first = first.sub_modules["query"][0]
    if not hasattr(first, "model"):
        raise ModelError(f"this model starts with {type(first).__name__}, not with a trainable transformer")
    return first


def apply_lora(
    model: Any,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: str,
    layers: Layers = None,
    rslora: bool = False,
    dora: bool = False,
) -> None:
    """Put low-rank adapters on the encoder layers of a Sentence Transformers model, in place.

    Args:
        model: The model.
        rank: Rank of the adapters.
        alpha: The update is multiplied by alpha / rank, or by alpha / sqrt(rank) with rsLoRA.
        dropout: Dropout in front of the adapters.
        targets: `all-linear`, or `attention` for its input projections only.
        layers: Which layers get adapters. No gradient flows below the lowest of them.
        rslora: Scale by the square root of the rank.
        dora: Learn the length of each weight row apart from its direction.

    Raises:
        ConfigError: The model has fewer layers, or no such targets.

    Source:
        Hu et al. (2022), arXiv:2106.09685; rsLoRA arXiv:2312.03732; DoRA arXiv:2402.09353.
    """
    from peft import LoraConfig

    backbone = transformer_of(model).model
    names = _linear_names(backbone, targets, layers)
    sizes = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout, "use_rslora": rslora, "use_dora": dora}
    backbone.add_adapter(LoraConfig(task_type="FEATURE_EXTRACTION", target_modules=names, **sizes))


def _linear_names(backbone: Any, targets: str, layers: Layers) -> list[str]:
    from torch.nn import Linear

    chosen = {id(part) for block in pick(blocks(backbone), layers) for part in block.modules()}
    names = [
        name
        for name, part in backbone.named_modules()
        if isinstance(part, Linear)
        and id(part) in chosen
        and (targets == "all-linear" or name.rpartition(".")[2] in _ATTENTION)
    ]
    if not names:
        raise ConfigError(f"`method.targets: {targets}` matches no layers of this model; use all-linear")
    return names


def apply_partial(
    model: Any, *, layers: Layers, only: Literal["all", "layernorm", "bias"] = "all", names: Sequence[str] = ()
) -> None:
    """Train some layers of the encoder and what stands after it (a projection), freeze the rest, in place.

    Args:
        model: The model.
        layers: Which layers.
        only: In these layers, train everything, the layer norms, or the biases (BitFit).
        names: Also train parameters whose names match one of these patterns, for example `embeddings.*`.

    Raises:
        ConfigError: The model has no such stack of layers, fewer of them, or a pattern matches nothing.

    Source:
        Ben Zaken et al. (2022), BitFit, arXiv:2106.10199.
    """
    transformer = transformer_of(model)
    chosen = pick(blocks(transformer.model), layers)
    for parameter in transformer.parameters():
        parameter.requires_grad = False
    for block in chosen:
        _unfreeze(block, only)
    for pattern in names:
        matching = [p for name, p in transformer.model.named_parameters() if fnmatchcase(name, pattern)]
        if not matching:
            some = ", ".join(name for name, _ in list(transformer.model.named_parameters())[:3])
            raise ConfigError(
                f"`method.names: {pattern}` matches no parameter", hint=f"parameter names look like {some}"
            )
        for parameter in matching:
            parameter.requires_grad = True


def _unfreeze(block: Any, only: str) -> None:
    for name, part in block.named_modules():
        for key, parameter in part.named_parameters(recurse=False):
            norm = "norm" in type(part).__name__.lower() or "norm" in name.rpartition(".")[2].lower()
            if only == "all" or (only == "layernorm" and norm) or (only == "bias" and key == "bias"):
                parameter.requires_grad = True


def apply_full(model: Any) -> None:
    """Train every parameter, in place."""
    for parameter in model.parameters():
        parameter.requires_grad = True


def split_sides(model: Any) -> Any:
    """Give queries an encoder of their own: a copy that can be trained, while that of documents is frozen.

    An index of documents stays valid, whatever the queries' encoder learns.

    Args:
        model: A Sentence Transformers model with one encoder for both sides.

    Returns:
        A model with a router in front; both sides give the vectors they gave before.

    Raises:
        ModelError: It has one encoder for each side already.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router

    if hasattr(model[0], "sub_modules"):
        raise ModelError("this model already has separate query and document encoders", hint="set `sides: both`")
    documents = list(model.children())
    router = Router.for_query_document(query_modules=copy.deepcopy(documents), document_modules=documents)
    for route in router.sub_modules["document"]:
        for parameter in route.parameters():
            parameter.requires_grad = False
    prompts, name = model.prompts, model.default_prompt_name
    return SentenceTransformer(modules=[router], prompts=prompts, default_prompt_name=name, device=str(model.device))


def freeze_documents(model: Any) -> None:
    """Freeze the documents' side of a model with a router, after a method chose what is trained."""
    for route in model[0].sub_modules["document"]:
        for parameter in route.parameters():
            parameter.requires_grad = False


def blocks(backbone: Any) -> list[Any]:
    """Return the layers of an encoder, lowest first: its longest list of equal modules.

    Raises:
        ConfigError: There is none.
    """
    from torch.nn import ModuleList

    lists = [list(part) for part in backbone.modules() if isinstance(part, ModuleList)]
    stack = max((layers for layers in lists if len({type(layer) for layer in layers}) == 1), key=len, default=[])
    if not stack:
        raise ConfigError("cannot find the layers of this model; use a transformer")
    return stack


def pick(stack: Sequence[Any], layers: Layers) -> list[Any]:
    """Choose layers of a stack.

    Raises:
        ConfigError: There are fewer.
    """
    if layers is None:
        return list(stack)
    if isinstance(layers, int):
        layers = tuple(range(len(stack) - layers, len(stack)))
        if layers[0] < 0:
            raise ConfigError(f"`method.layers` is {len(layers)}, but the model has {len(stack)} layers")
    if not all(0 <= layer < len(stack) for layer in layers):
        raise ConfigError(
            f"`method.layers` contains layer {max(layers)}, but the model has {len(stack)} layers, counted from 0"
        )
    return [stack[layer] for layer in sorted(set(layers))]


def count_parameters(model: Any) -> ParameterCounts:
    """Count the parameters of a model."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return ParameterCounts(
        trainable=sum(size for size, trained in sizes if trained), all=sum(size for size, _ in sizes)
    )


def plain_copy(model: Any) -> Any:
    """Copy a model with its adapters merged into the weights, so that any tool can load it.

    Sentence Transformers puts adapters into the model itself, which then has no `merge_and_unload`;
    every adapted layer is merged and replaced by its base layer.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(model)
    for name in ("forward", "_original_forward"):  # accelerate's wrapper would embed in bfloat16, with the old weights
        plain.__dict__.pop(name, None)
    backbone = transformer_of(plain).model
    for name, layer in [item for item in backbone.named_modules() if isinstance(item[1], BaseTunerLayer)]:
        layer.merge(safe_merge=True)
        parent, _, attribute = name.rpartition(".")
        setattr(backbone.get_submodule(parent), attribute, layer.get_base_layer())
    if getattr(backbone, "_hf_peft_config_loaded", False):
        backbone._hf_peft_config_loaded = False
        del backbone.peft_config
    return plain.eval()
