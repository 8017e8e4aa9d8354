"""The Python door: the main commands as functions, and past runs as typed records.

Importing this costs nothing: whatever is heavy is imported by the first call.
"""

from __future__ import annotations

import html
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hrembed.config.bias_audit import AuditConfig
    from hrembed.config.encode import EncodeConfig
    from hrembed.config.eval import EvalConfig
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.index import IndexBuildConfig
    from hrembed.config.match import MatchConfig
    from hrembed.config.section import Section
    from hrembed.config.select import SelectConfig
    from hrembed.records.base import CommandRecord
    from hrembed.records.bias_audit import BiasAuditRecord
    from hrembed.records.encode import EncodeRecord
    from hrembed.records.eval import EvalRecord
    from hrembed.records.finetune import FinetuneRecord
    from hrembed.records.index import IndexBuildRecord
    from hrembed.records.match import MatchRecord
    from hrembed.records.recipe import RecipeRecord
    from hrembed.records.select import SelectRecord
    from hrembed.runs.workspace import Workspace
    from hrembed.types import CommandResult

R_co = TypeVar("R_co", covariant=True)
C = TypeVar("C", bound="Section")


@dataclass(frozen=True)
class Outcome(Generic[R_co]):
    """What a run said, and where it lies.

    Attributes:
        record: All numbers, typed: the content of `metrics.json`.
        folder: The run's folder: rows behind the numbers, pictures, model, manifest.
        status: `ok`, or a verdict such as `pass`.
        tables: What a person wants to read: title to rows of named cells.
        notice: A sentence that belongs below the tables; empty for none.
        failure: The limit that was not met, which the command line would end with; None when all hold.
    """

    record: R_co
    folder: Path
    status: str
    tables: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict, repr=False)
    notice: str = ""
    failure: Exception | None = None

    def __repr__(self) -> str:
        """Say what it is in a line."""
        return f"<{type(self.record).__name__} of {self.folder}: {self.status}>"

    def _repr_html_(self) -> str:
        """Show the tables in a notebook; every text is escaped."""
        parts = [f"<p><b>{html.escape(self.status)}</b>: <code>{html.escape(str(self.folder))}</code></p>"]
        parts += [_table(title, rows) for title, rows in self.tables.items()]
        if self.notice:
            parts.append(f"<p>{html.escape(self.notice)}</p>")
        return "\n".join(parts)


def _table(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row.get(name, ''))}</td>" for name in columns) + "</tr>" for row in rows
    )
    caption = f"<caption style='caption-side: top; text-align: left'><b>{html.escape(title)}</b></caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def select(
    config: SelectConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[SelectRecord]:
    """Shortlist models by facts and leaderboard scores, and measure those at hand; see `evaluate` for the arguments."""
    from hrembed.commands.select.run import run_select
    from hrembed.config.select import SelectConfig

    return _run(run_select, "select", SelectConfig, config, settings, runs_dir, progress)


def finetune(
    config: FinetuneConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[FinetuneRecord]:
    """Adapt a model to pairs, and compare it with its base; see `evaluate` for the arguments."""
    from hrembed.commands.finetune.run import run_finetune
    from hrembed.config.finetune import FinetuneConfig

    return _run(run_finetune, "finetune", FinetuneConfig, config, settings, runs_dir, progress)


def run_recipe(
    recipe: str | Path,
    inputs: Mapping[str, str | Sequence[str]],
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[RecipeRecord]:
    """Run the steps of a recipe, such as `titles`: what comes before a training, the training, and what follows.

    Args:
        recipe: Name of one that ships, or a YAML file.
        inputs: What it needs, by name: `{"onet": "db_29_3_text.zip", "against": ["tasks/titles"]}`.
        runs_dir: Where run folders go.
        progress: Show bars and notes on stderr.
        **settings: Settings of a step that differ: `finetune={"train": {"seed": 14}}`.

    Returns:
        The runs of the steps; `record.model` is the model that was trained.

    Raises:
        HrembedError: An input is missing, settings, data or models are not usable; `hint` says what to do next.
    """
    from hrembed.commands.recipe import run_recipe as run
    from hrembed.config.recipe import load_recipe

    workspace = _workspace(runs_dir, progress)
    given = {name: [value] if isinstance(value, str) else [*value] for name, value in inputs.items()}
    return _outcome(run(load_recipe(str(recipe), given, [*_overrides(settings)], workspace), workspace))


def evaluate(
    config: EvalConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[EvalRecord]:
    """Score models on tasks, and say which differences are real.

    Args:
        config: A config object, a YAML file, `shipped:NAME`, or None for the embedded default.
        runs_dir: Where run folders go.
        progress: Show bars and notes on stderr.
        **settings: Settings that differ from the file: `models=["minilm", "bm25"]`, `bootstrap={"resamples": 500}`.
            A dictionary changes the keys it names and leaves the others; everything else replaces what stood there.

    Returns:
        The record, and the run's folder. A limit that was not met is `failure`, and is not raised.

    Raises:
        HrembedError: Settings, data or models are not usable; `hint` says what to do next.
    """
    from hrembed.commands.eval.run import run_evaluate
    from hrembed.config.eval import EvalConfig

    return _run(run_evaluate, "eval", EvalConfig, config, settings, runs_dir, progress)


def bias_audit(
    config: AuditConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[BiasAuditRecord]:
    """Score the same résumés under different names; see `evaluate` for the arguments."""
    from hrembed.commands.bias_audit.run import run_bias_audit
    from hrembed.config.bias_audit import AuditConfig

    return _run(run_bias_audit, "bias-audit", AuditConfig, config, settings, runs_dir, progress)


def encode(
    config: EncodeConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[EncodeRecord]:
    """Embed a table into a folder of vectors, which `hrembed.shards.reading.open_shards` reads.

    A folder that was begun is gone on with; see `evaluate` for the arguments.
    """
    from hrembed.commands.encode.run import run_encode
    from hrembed.config.encode import EncodeConfig

    return _run(run_encode, "encode", EncodeConfig, config, settings, runs_dir, progress)


def build_index(
    config: IndexBuildConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[IndexBuildRecord]:
    """Build an index of encoded documents, and measure its recall; see `evaluate` for the arguments."""
    from hrembed.commands.index.build import run_build
    from hrembed.config.index import IndexBuildConfig

    return _run(run_build, "index-build", IndexBuildConfig, config, settings, runs_dir, progress)


def match(
    config: MatchConfig | str | Path | None = None,
    *,
    runs_dir: str | Path = "runs",
    progress: bool = False,
    **settings: object,
) -> Outcome[MatchRecord]:
    """Rank the candidates of an index for a job; see `evaluate` for the arguments."""
    from hrembed.commands.match.run import run_match
    from hrembed.config.match import MatchConfig

    return _run(run_match, "match", MatchConfig, config, settings, runs_dir, progress)


def load_run(reference: str | Path, *, runs_dir: str | Path = "runs") -> Outcome[CommandRecord]:
    """Read what a past run said, every file by its hash.

    Warns where `latest` means a run after which another one of its command did not end well.

    Args:
        reference: `COMMAND/ID`, an id, the folder, or `COMMAND/latest`.
        runs_dir: Folder of all runs.

    Raises:
        DataError: There is no such run, it did not end well, it was edited, or another version wrote it.
    """
    from hrembed.records.commands import record_of
    from hrembed.reports.estimates import estimate_rows
    from hrembed.runs.past import find_run, finished, overtaking

    run = finished(find_run(Path(runs_dir), str(reference)))
    for newer in overtaking(Path(runs_dir), str(reference), run):
        warnings.warn(f"'{reference}' resolves to {run.in_words}, but {newer.in_words} was started later", stacklevel=2)
    record = run.record(record_of(run.command))
    return Outcome(record, run.path, run.status, {"Numbers with their intervals": estimate_rows(record)})


def _run(
    command: Callable[[C, Workspace], CommandResult[R_co]],
    name: str,
    schema: type[C],
    config: C | str | Path | None,
    settings: Mapping[str, object],
    runs_dir: str | Path,
    progress: bool,
) -> Outcome[R_co]:
    from hrembed.config.project import load_settings
    from hrembed.errors import ConfigError

    workspace = _workspace(runs_dir, progress)
    if isinstance(config, schema):
        if settings:
            raise ConfigError(f"a config object cannot be combined with keyword settings: {', '.join(settings)}")
        chosen = config
    else:
        file = f"shipped:{name}" if config is None else str(config)
        chosen = load_settings(name, file, [*_overrides(settings)], workspace)
    return _outcome(command(chosen, workspace))


def _workspace(runs_dir: str | Path, progress: bool) -> Workspace:
    from hrembed.progress import Silent, quiet_libraries
    from hrembed.runs.workspace import Workspace

    quiet_libraries()
    shown: Any = Silent()
    if progress:
        from hrembed.cli.render import Terminal

        shown = Terminal(as_json=False, quiet=False)
    return Workspace(Path(runs_dir), shown)


def _outcome(result: CommandResult[R_co]) -> Outcome[R_co]:
    return Outcome(result.metrics, Path(result.run), result.status, result.tables, result.notice, result.failure)


def _overrides(settings: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Write settings as the command line takes them: JSON is YAML."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _overrides(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value, default=_plain)}"


def _plain(value: Any) -> Any:
    """Sections and paths inside of settings."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
