"""Which layers a method trains, where the config says `layers: auto` or `layers: random`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.config.finetune import FullMethod
from hrembed.errors import ConfigError, ModelError
from hrembed.records.finetune import LayerChoice
from hrembed.training.importance import gradient_fisher, representation_change, stack_of, weight_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.layers import ChoiceSection
    from hrembed.progress import Progress
    from hrembed.records.finetune import LayerRule
    from hrembed.training.plan import TrainingPlan
    from hrembed.types import Floats


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        layers: The choice, with the scores behind it.
        control: A random choice of as many layers, another one; empty where none was asked for.
    """

    layers: LayerChoice
    control: tuple[int, ...] = ()


def choose_layers(config: FinetuneConfig, model: Any, plan: TrainingPlan, progress: Progress) -> Choice | None:
    """Choose the layers that are trained; None where the config names them.

    The same config, data and model give the same choice, so a resumed run makes it again.

    Args:
        config: Method and seed.
        model: The model before the method is applied; left as it was.
        plan: The planned training, whose losses hold the model.
        progress: Receives progress updates.

    Raises:
        ConfigError: The model has fewer layers than are asked for, or no other choice for a control.
        ModelError: The scores of the rule are not finite.
    """
    method = config.method
    if isinstance(method, FullMethod) or method.layers not in ("auto", "random"):
        return None
    depth, seed, section = len(stack_of(model)), config.train.seed, method.choice
    _check(section, depth)
    if method.layers == "random":
        drawn = random_layers(section.count, depth, seed)
        choice = Choice(LayerChoice(by="random", chosen=drawn, scores={}, rank=()))
    else:
        scores = _scores(section, model, plan, seed, progress)
        ranked = rank(scores[section.by])
        chosen = tuple(sorted(ranked[: section.count]))
        layers = LayerChoice(
            by=section.by,
            chosen=chosen,
            scores={rule: tuple(values.tolist()) for rule, values in scores.items()},
            rank=tuple(ranked),
        )
        control = random_layers(section.count, depth, seed, but=chosen) if section.control else ()
        choice = Choice(layers, control)
    progress.note(f"training layers {listed(choice.layers.chosen)} of {depth} ({choice.layers.by})")
    return choice


def _check(section: ChoiceSection, depth: int) -> None:
    if section.count > depth:
        raise ConfigError(f"`method.choice.count` is {section.count}, but the model has {depth} layers")
    if section.control and section.count == depth:
        raise ConfigError(
            (
                f"`method.choice.count` is {section.count}, which is every layer of the model, so there is no "
                "other selection to compare with"
            ),
            hint="lower it, or remove `method.choice.control`",
        )


def _scores(
    section: ChoiceSection, model: Any, plan: TrainingPlan, seed: int, progress: Progress
) -> dict[LayerRule, Floats]:
    rules: dict[LayerRule, Callable[[], Floats]] = {
        "fisher": lambda: gradient_fisher(model, plan, batches=section.batches),
        "snr": lambda: weight_signal(model),
        "change": lambda: representation_change(model, plan, steps=section.steps, seed=seed),
    }
    scores = {}
    with progress.bar("scoring layers", len(rules)) as advance:
        for rule, score in rules.items():
            scores[rule] = score()
            advance(1, rule)
    if not np.isfinite(scores[section.by]).all():
        raise ModelError(
            f"`{section.by}` gives no finite scores for the layers", hint="use another criterion (`method.choice.by`)"
        )
    return scores


def rank(scores: Floats) -> list[int]:
    """Order layers from the highest score to the lowest; of equal ones the upper first, which is faster to train."""
    return sorted(range(len(scores)), key=lambda layer: (-scores[layer], -layer))


def random_layers(count: int, depth: int, seed: int, *, but: Sequence[int] = ()) -> tuple[int, ...]:
    """Draw layers; another draw where they are exactly those of `but`."""
    rng = np.random.default_rng(seed)
    while True:
        drawn = tuple(sorted(int(layer) for layer in rng.choice(depth, count, replace=False)))
        if drawn != tuple(but):
            return drawn


def listed(layers: Sequence[int]) -> str:
    """Write layers for people."""
    return ", ".join(map(str, layers))
