"""`hrembed match`: the argument is the job; settings come from `--config` and `--set`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hrembed.cli.common import AsJson, ConfigFile, Quiet, RunsDir, Set, run_command

_HELP = """Rank the candidates of an index for a job.

JOB is a text, a text file, an id of `--jobs`, or `-` for standard input. Each candidate keeps every score and rank that
made its place: cosine, BM25, reciprocal ranks, the scoring of `eval`, a cross-encoder. Without `--show-text` a
candidate is an id and the columns that the config allows.
"""
_EXAMPLES = """Example: hrembed match "Night nurse, surgical ward" --index IDX

Example: hrembed match job.txt --index IDX --where country=DE,AT --where years>=3 --bm25

Example: hrembed match ad-17 --jobs ads.jsonl --index IDX --why --show-text --out list.html

Example: hrembed match --batch ads.jsonl --index IDX --k 50 --out matches.parquet"""

Job = Annotated[str | None, typer.Argument(metavar="JOB", help="Text, file, id of `--jobs`, or `-`.")]
Index = Annotated[str | None, typer.Option("--index", metavar="DIR", help="Folder that `hrembed index build` wrote.")]
K = Annotated[int | None, typer.Option("--k", metavar="N", help="Number of candidates.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Condition on a filter of the index; repeatable."),
]
Bm25 = Annotated[bool, typer.Option("--bm25", help="Fuse with BM25 by reciprocal ranks.")]
Rerank = Annotated[str | None, typer.Option("--rerank", metavar="REF", help="Cross-encoder for the first candidates.")]
Why = Annotated[bool, typer.Option("--why", help="Name the sentences that carried the score.")]
ShowText = Annotated[bool, typer.Option("--show-text", help="Show texts of candidates, redacted.")]
Jobs = Annotated[str | None, typer.Option("--jobs", metavar="FILE", help="Table of jobs, in which JOB is an id.")]
Batch = Annotated[str | None, typer.Option("--batch", metavar="FILE", help="Rank for every job of a table.")]
Out = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Also write the list: .json, .jsonl, .csv, .parquet, .html.")
]
Groups = Annotated[
    str | None, typer.Option("--groups", metavar="FILE", help="Table of id and group: report what groups get.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    summary = _HELP.partition("\n")[0]
    app.command("match", help=_HELP, short_help=summary, epilog=_EXAMPLES)(_match)


def _match(
    job: Job = None,
    index: Index = None,
    k: K = None,
    where: Where = None,
    bm25: Bm25 = False,
    rerank: Rerank = None,
    why: Why = False,
    show_text: ShowText = False,
    jobs: Jobs = None,
    batch: Batch = None,
    out: Out = None,
    groups: Groups = None,
    config: ConfigFile = None,
    overrides: Set = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    given: dict[str, Any] = {
        "job": job,
        "index": index,
        "k": k,
        "where": where or None,
        "stages.bm25": bm25 or None,
        "stages.cross_encoder": rerank,
        "why.show": why or None,
        "show_text": show_text or None,
        "jobs": batch or jobs,
        "batch": True if batch else None,
        "out": out,
        "groups.file": groups,
    }
    sets = [f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    run_command(
        "match",
        "hrembed.commands.match.run:run_match",
        config,
        [*sets, *(overrides or [])],
        runs_dir,
        as_json=as_json,
        quiet=quiet,
    )
