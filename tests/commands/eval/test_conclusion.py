"""What `hrembed eval` says at its end."""

from hrembed.commands.eval.conclusion import conclusion_of
from hrembed.config.eval import EvalConfig
from hrembed.records.eval import Comparison, EvalRecord, TaskFacts
from hrembed.types import Estimate

FACTS = TaskFacts(kind="retrieval", items=9, unit="groups")


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, 40, "groups")


def record(models: list[str], verdicts: dict[tuple[str, str], str], retention: tuple[str, ...] = ()) -> EvalRecord:
    """An evaluation of models, the first of which is the reference, with a verdict for each task and model."""
    tasks = list(dict.fromkeys(task for task, _ in verdicts)) or ["a"]
    rows = tuple(
        Comparison(
            task=task, model=model, reference=models[0], metric="map", difference=estimate(0.1), better=1, worse=0,
            p_value=0.01, p_holm=0.01, detectable=0.03, verdict=verdict,
        )
        for (task, model), verdict in verdicts.items()
    )  # fmt: skip
    return EvalRecord(
        confidence=0.95, delta=0.02, kinds=dict.fromkeys(tasks, FACTS),
        retention=retention, headlines=dict.fromkeys(tasks, "map"), facts={}, families={}, slices={}, robustness={},
        scores={task: {model: {"map": estimate(0.5)} for model in models} for task in tasks}, differences=rows,
    )  # fmt: skip


def config(*refs: str) -> EvalConfig:
    return EvalConfig(models=refs, baselines=("bm25",))


def test_one_model_is_told_with_its_score_and_what_comes_next():
    said = conclusion_of(record(["minilm", "bm25"], {("a", "bm25"): "worse"}), config("minilm"))

    assert said[:2] == [
        "minilm reaches map 0.500 on a (95 % interval 0.450 to 0.550).",
        "bm25 is worse than minilm on every task.",
    ]
    assert "  hrembed finetune --set model.ref=minilm" in said


def test_what_has_no_weights_is_not_to_be_trained():
    for ref in ("bm25", "wordllama", "openai:some"):
        said = conclusion_of(record([ref], {}), config(ref))
        assert "  hrembed finetune" in said
        assert f"  hrembed bias-audit --set model.ref={ref}" in said


def test_the_better_model_is_named_and_comes_next():
    verdicts = {("a", "tuned"): "better", ("general", "tuned"): "worse", ("a", "bm25"): "worse"}

    said = conclusion_of(
        record(["minilm", "tuned", "bm25"], verdicts, ("general",)), config("minilm", "run:20260101T000000Z-00000000")
    )

    assert said[0].startswith("tuned against minilm: better on a (+0.100 map")
    assert said[1].startswith("Outside of hiring, tuned against minilm: worse on general")
    assert "  hrembed bias-audit --set model.ref=run:20260101T000000Z-00000000" in said


def test_a_baseline_that_is_not_worse_is_said():
    said = conclusion_of(record(["minilm", "bm25"], {("a", "bm25"): "cannot tell"}), config("minilm"))

    assert "Not worse than minilm, though it only counts words: bm25 on a." in said


def test_a_tuned_model_that_is_not_worse_is_audited_and_gated_rather_than_the_base_trained_again():
    tuned = "run:20260101T000000Z-00000000"
    for verdict in ("cannot tell", "no difference larger than δ"):
        said = conclusion_of(record(["minilm", "tuned"], {("a", "tuned"): verdict}), config("minilm", tuned))
        assert said[-3:] == [
            "Next, audit it, then decide:",
            f"  hrembed bias-audit --set model.ref={tuned}",
            "  hrembed gate",
        ]
    worse = conclusion_of(record(["minilm", "tuned"], {("a", "tuned"): "worse"}), config("minilm", tuned))
    assert "  hrembed finetune --set model.ref=minilm" in worse
