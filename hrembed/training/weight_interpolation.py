"""Models between models: the mean of several, and points on the line from the base to a tuned model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.training.checkpoints import Tensors


def average(models: Sequence[Any]) -> Any:
    """Mean of the weights of models that were trained from one base; the first of them becomes it.

    Whole numbers (positions, say) stay those of the first.

    Raises:
        ModelError: Their weights have different names or shapes.

    Source:
        Wortsman et al. (2022), Model soups, arXiv:2203.05482.
    """
    import torch

    states = [model.state_dict() for model in models]
    if any({n: v.shape for n, v in state.items()} != {n: v.shape for n, v in states[0].items()} for state in states):
        raise ModelError("cannot average models with different weights")
    with torch.no_grad():
        for name, target in states[0].items():
            if target.is_floating_point():
                target.copy_(torch.stack([state[name].double() for state in states]).mean(dim=0))
    return models[0]


class Blend:
    """A model whose weights are base + strength · (tuned - base).

    For merged adapters this is the same as scaling the adapter, except for DoRA, which is not a sum. One model is
    overwritten at each call.

    Args:
        base: A Sentence Transformers model.
        tuned: The same architecture; this object is the one that is overwritten.

    Raises:
        ModelError: Their weights have different names or shapes, so that nothing lies between them.

    Source:
        Wortsman et al. (2022), Robust fine-tuning of zero-shot models (WiSE-FT), arXiv:2109.01903.
    """

    def __init__(self, base: Any, tuned: Any) -> None:
        self._base: Tensors = base.state_dict()
        self._tuned = {name: value.clone() for name, value in tuned.state_dict().items()}
        self._model = tuned
        shapes = [{name: value.shape for name, value in side.items()} for side in (self._base, self._tuned)]
        if shapes[0] != shapes[1]:
            raise ModelError("base and tuned model have different weights, so they cannot be interpolated")

    def at(self, strength: float) -> Any:
        """Overwrite the model with that of a strength, and return it; 0 is the base, 1 the tuned model, to the bit."""
        import torch

        with torch.no_grad():
            for name, target in self._model.state_dict().items():
                base, tuned = self._base[name], self._tuned[name]
                if strength == 0 or (strength < 1 and not target.is_floating_point()):
                    target.copy_(base)
                elif strength == 1:
                    target.copy_(tuned)
                else:
                    target.copy_(torch.lerp(base, tuned, strength))
        return self._model
