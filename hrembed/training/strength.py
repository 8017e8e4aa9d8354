"""Between the base and the tuned model: how much of the training is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Blend:
    """A model whose weights are base + strength · (tuned - base).

    For merged adapters this is the same as scaling the adapter (with DoRA it is not: that is no sum). One working model
    is overwritten again and again.

    Args:
        base: A Sentence Transformers model.
        tuned: The same architecture; becomes the working model.

    Raises:
        ModelError: The two have other weights, so nothing lies between them.

    Source:
        Wortsman et al. (2022), Robust fine-tuning of zero-shot models (WiSE-FT), arXiv:2109.01903.
    """

    def __init__(self, base: Any, tuned: Any) -> None:
        self._base: Mapping[str, Any] = base.state_dict()
        self._tuned = {name: value.clone() for name, value in tuned.state_dict().items()}
        self._model = tuned
        shapes = [{name: value.shape for name, value in side.items()} for side in (self._base, self._tuned)]
        if shapes[0] != shapes[1]:
            raise ModelError("base and tuned model have other weights, so there is no strength between them")

    def at(self, strength: float) -> Any:
        """Return the working model at a strength: 0 is the base, 1 the tuned model, both to the bit."""
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
