"""Which layers a method trains, where the config says `layers: auto` or `layers: random`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.finetune.proof import as_eval, compared, comparison_row
from hrembed.config.finetune import FullMethod
from hrembed.errors import ConfigError, ModelError
from hrembed.plots.layers import draw_layers
from hrembed.training.importance import gradient_fisher, representation_change, stack_of, weight_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.commands.finetune.proof import Tasks
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.layers import ChoiceSection
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.plan import TrainingPlan
    from hrembed.types import Encoder, Floats


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        by: `fisher`, `snr`, `change` or `random`.
        chosen: Layers that are trained, 0 the lowest.
        control: A random choice of as many layers, another one; empty where none was asked for.
        scores: Rule to one score per layer, shape (layers,); empty for a random choice.
    """

    by: str
    chosen: tuple[int, ...]
    control: tuple[int, ...]
    scores: Mapping[str, Floats]


def choose_layers(config: FinetuneConfig, model: Any, plan: TrainingPlan, progress: Progress) -> Choice | None:
    """Choose the layers that are trained; None where the config names them.

    The same config, data and model give the same choice, so a resumed run makes it again.

    Args:
        config: Method and seed.
        model: The model before the method is applied; left as it was.
        plan: The planned training, whose losses hold the model.
        progress: Told what advances.

    Raises:
        ConfigError: The model has fewer layers than are asked for, or no other choice for a control.
        ModelError: The scores of the rule are not finite.
    """
    method = config.method
    if isinstance(method, FullMethod) or method.layers not in ("auto", "random"):
        return None
    depth, seed = len(stack_of(model)), config.train.seed
    _check(method.choice, depth)
    if method.layers == "random":
        choice = Choice("random", random_layers(method.choice.count, depth, seed), (), {})
    else:
        scores = _scores(method.choice, model, plan, seed, progress)
        best = rank(scores[method.choice.by])[: method.choice.count]
        chosen = tuple(sorted(best))
        other = random_layers(method.choice.count, depth, seed, but=chosen) if method.choice.control else ()
        choice = Choice(method.choice.by, chosen, other, scores)
    progress.note(f"of {depth} layers {_listed(choice.chosen)} are trained ({choice.by})")
    return choice


def _check(choice: ChoiceSection, depth: int) -> None:
    if choice.count > depth:
        raise ConfigError(f"`method.choice.count` is {choice.count}, but the model has {depth} layers")
    if choice.control and choice.count == depth:
        raise ConfigError(
            f"`method.choice.count` is {choice.count}, which is all layers of the model: there is no other choice for "
            "a control",
            hint="choose fewer, or leave `method.choice.control` out",
        )


def _scores(choice: ChoiceSection, model: Any, plan: TrainingPlan, seed: int, progress: Progress) -> dict[str, Floats]:
    rules: dict[str, Callable[[], Floats]] = {
        "fisher": lambda: gradient_fisher(model, plan, batches=choice.batches),
        "snr": lambda: weight_signal(model),
        "change": lambda: representation_change(model, plan, steps=choice.steps, seed=seed),
    }
    found = {}
    with progress.bar("scoring layers", len(rules)) as advance:
        for name, score in rules.items():
            found[name] = score()
            advance(1, name)
    if not np.isfinite(found[choice.by]).all():
        raise ModelError(
            f"the layers have no finite scores by `{choice.by}`", hint="choose another rule (`method.choice.by`)"
        )
    return found


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


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))


def layers_json(choice: Choice | None) -> dict[str, Any]:
    """Write a choice as it stands in `metrics.json`, under `layers`; nothing where there was none."""
    if choice is None:
        return {}
    found: dict[str, Any] = {"by": choice.by, "chosen": list(choice.chosen)}
    if choice.scores:
        found["scores"] = {name: [float(value) for value in scores] for name, scores in choice.scores.items()}
        found["rank"] = rank(choice.scores[choice.by])
    return {"layers": found}


def draw_choice(run: Run, metrics: Mapping[str, Any]) -> None:
    """Draw the scores, where there are any, into `layers.png`."""
    found = metrics.get("layers", {})
    if "scores" in found:
        draw_layers(run.path / "layers.png", found["scores"], found["chosen"], found["by"])


def compare_control(
    config: FinetuneConfig, tasks: Tasks, chosen: Encoder, control: Encoder, progress: Progress
) -> dict[str, Any]:
    """Compare the chosen layers with the random ones, chosen - control, on the dev task and on the test tasks.

    Args:
        config: Metric, and how intervals are made.
        tasks: What is measured on; the dev task chose the checkpoint of both.
        chosen: The model of the run.
        control: The same recipe on other layers.
        progress: Told what advances.

    Returns:
        `dev`: one row; `tests`: a row for each task, p-values corrected for their number.
    """
    sides = {"control": control, "chosen": chosen}
    with progress.bar("control", 1 + len(tasks.tests)) as advance:
        (dev,) = compared([tasks.dev], sides, as_eval(config), advance)
        return {"dev": dev, "tests": compared(tasks.tests, sides, as_eval(config), advance)}


def layer_tables(metrics: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """What a person reads: the scores of all layers, and what the control showed."""
    found = metrics.get("layers")
    if found is None:
        return {}
    tables = {f"Layers by {found['by']} (trained: {_listed(found['chosen'])})": _score_rows(found)}
    if "control" in metrics:
        control = metrics["control"]
        title = f"Chosen layers against random ones ({_listed(control['layers'])})"
        tables[title] = [
            comparison_row(entry, metrics["delta"], ("control", "chosen"))
            for entry in (control["dev"], *control["tests"])
        ]
    return {title: rows for title, rows in tables.items() if rows}


def _score_rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "rank": str(place),
            "layer": str(layer),
            **{name: f"{scores[layer]:.3g}" for name, scores in found["scores"].items()},
            "trained": "yes" if layer in found["chosen"] else "",
        }
        for place, layer in enumerate(found.get("rank", ()), start=1)
    ]
