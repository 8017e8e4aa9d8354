"""The command line: parses, prints and exits; everything else is in `commands`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from hrembed.cli import (
    compare,
    configs,
    data,
    doctor,
    encode,
    finetune,
    index,
    init,
    match,
    runs,
    schema,
    select,
    serve_check,
)
from hrembed.cli.common import AsJson, Config, Quiet, RunsDir, Set, Verbose, run_command
from hrembed.cli.groups import GroupedCommands
from hrembed.cli.line_breaks import filled
from hrembed.cli.streams import discard_rest, guarded
from hrembed.errors import HrembedError
from hrembed.progress import quiet_libraries
from hrembed.version import __version__

app = typer.Typer(
    cls=GroupedCommands,
    help="Choose, fine-tune, evaluate and bias-audit text-embedding models for hiring.\n\n"
    "Every command reads one YAML file (or its built-in default) and writes one folder below `runs/`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Command: its function as "module:function", what it does in short, the rest of it, an example.
COMMANDS = {
    "eval": (
        "hrembed.commands.eval.run:run_evaluate",
        "Score models on your tasks, and say which differences are real.",
        "Search, reranking, similarity, classification and clustering; BM25 and TF-IDF beside the models; slices, "
        "changed queries, worst cases and what was lost outside of hiring in the run folder. Vectors are kept.",
        "hrembed eval --set models.1.ref=run:latest",
    ),
    "bias-audit": (
        "hrembed.commands.bias_audit.run:run_bias_audit",
        "Score the same résumés under different names.",
        "Score gaps and impact ratios between groups of names are judged: pass, fail (exit code 5) or inconclusive.",
        "hrembed bias-audit --set model.ref=run:latest --set fail_on=never",
    ),
    "decision": (
        "hrembed.commands.decision:run_decision",
        "Weigh a pre-trained, a fine-tuned and a from-scratch model.",
        "Two trainings, one evaluation with BM25 beside them, one comparison; the table is also `decision.md`.",
        "hrembed decision --runs-dir decision-runs",
    ),
    "gate": (
        "hrembed.commands.gate.run:run_gate",
        "Let a model through, or not, against a baseline.",
        "Quality, retention, fairness, latency and size in one file; exit code 0 pass, 5 fail, 6 inconclusive. Writes "
        "JUnit XML, a Markdown summary and JSON; refuses runs on other data, other stimuli or with edited files.",
        "hrembed gate --set candidate.eval=latest --set inconclusive=pass",
    ),
    "retrain": (
        "hrembed.commands.retrain.run:run_retrain",
        "Look for drift; retrain, gate and register if it is worth it.",
        "Continues from the model in use or restarts from the base by rule, writes runs/registry.json, and measures "
        "how much of the gain survives on old document vectors.",
        "hrembed retrain --set pairs=new-pairs.jsonl",
    ),
    "export": (
        "hrembed.commands.export.run:run_export",
        "Write a model for other servers: OpenVINO, ONNX, int8.",
        "Each export is read back and compared with its source; one that gives other vectors, or int8 that ranks worse "
        "(exit code 5), is removed.",
        "hrembed export --set model.ref=run:latest",
    ),
    "demo": (
        "hrembed.commands.demo:run_demo",
        "See select, finetune, eval and bias-audit on shipped data.",
        "About four minutes on two cores; ends in one table.",
        "hrembed demo --runs-dir demo-runs",
    ),
}


def _add_command(name: str, function: str, summary: str, more: str, example: str) -> None:
    """All commands take the same arguments; only what they run differs."""

    def command(
        config: Config = None,
        overrides: Set = None,
        runs_dir: RunsDir = Path("runs"),
        as_json: AsJson = False,
        quiet: Quiet = False,
        verbose: Verbose = False,
    ) -> None:
        run_command(name, function, config, overrides or [], runs_dir, as_json=as_json, quiet=quiet, verbose=verbose)

    app.command(name, help=f"{summary}\n\n{more}", short_help=summary, epilog=f"Example: {example}")(command)


select.add_to(app)
finetune.add_to(app)
encode.add_to(app)
compare.add_to(app)
match.add_to(app)
for _name, _row in COMMANDS.items():
    _add_command(_name, *_row)
serve_check.add_to(app)
app.add_typer(data.app, name="data")
app.add_typer(index.app, name="index")
app.add_typer(runs.app, name="runs")
configs.add_to(app)
init.add_to(app)
schema.add_to(app)
doctor.add_to(app)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"hrembed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Declare what belongs to no command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; what it raises is a fault of hrembed's own."""
    _prepare()
    with guarded():
        return _run(argv)


@cache
def _command_line() -> Callable[..., object]:
    """Put the commands together, which takes longer than a short one runs."""
    return typer.main.get_command(app)


def _run(argv: Sequence[str] | None) -> int:
    try:
        _command_line()(args=None if argv is None else list(argv), prog_name="hrembed")
    except HrembedError as err:
        if str(err):  # empty in a process of a launch that ends since another one, which says why, did
            print(filled(f"hrembed: error: {err}"), file=sys.stderr)
        if err.hint:
            print(filled(f"hint: {err.hint}"), file=sys.stderr)
        return err.exit_code
    except KeyboardInterrupt:
        print("hrembed: interrupted; the run folder says so", file=sys.stderr)
        return 130
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    return 0


# A fault of ours is no sentence for the user: the traceback is what its report needs.
_REPORT = (
    "hrembed: this is a bug in hrembed. Please report it with the traceback above, the command, and `config.yaml`, "
    "`manifest.json` and `log.txt` of the run folder."
)


def entry_point() -> None:
    """Console script."""
    _fill_closed_streams()
    try:
        status = main()
    except Exception:
        status = 1
        with guarded():
            print(f"{traceback.format_exc()}\n{_REPORT}", file=sys.stderr)
    discard_rest()
    sys.exit(status)


def _fill_closed_streams() -> None:
    """Open the null device where the shell closed a stream: the next file would take its number, and get its words."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one


def _prepare() -> None:
    """Make SIGTERM end like Ctrl-C, and keep the libraries' own chatter off the terminal."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, _terminate)
    logging.raiseExceptions = False  # a log that cannot be written must not hide the error that matters
    log = logging.getLogger("hrembed")
    log.setLevel(logging.INFO)
    log.propagate = False
    quiet_libraries()


def _terminate(number: int, frame: object) -> None:
    raise KeyboardInterrupt
