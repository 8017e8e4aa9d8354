"""Pages of the site that are made from the code, and what MkDocs asks while it builds (`hooks` of mkdocs.yml).

Commands come from the command line itself, records from their classes, messages from the source; none of these pages is
kept, so that they cannot go stale. The glossary is also read on its own, and kept in `docs/` by `tools/write_docs.py`.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # MkDocs knows only the folder of mkdocs.yml

import typer.main
from hrembed.cli.app import app
from hrembed.cli.groups import GROUPS
from hrembed.commands.schema import names
from hrembed.records.commands import record_of
from hrembed.reports.glossary import GLOSSARY, lookup

sys.path.insert(0, str(Path(__file__).resolve().parent))

from message_tour import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_DOCUMENTED = re.compile(r"^    (\w+): (.+(?:\n        .+)*)", re.MULTILINE)  # below `Attributes:` of a docstring
_FILLED_IN = re.compile(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_AREAS = {
    "api": "From Python",
    "audit": "Bias audits",
    "cli": "Command line",
    "commands": "Commands",
    "config": "Settings",
    "data": "Reading data",
    "evaluation": "Evaluation",
    "files": "Files",
    "metrics": "Numbers",
    "models": "Models",
    "plots": "Pictures",
    "records": "Records of runs",
    "registry": "Names in settings",
    "reports": "Pages",
    "runs": "Run folders",
    "scoring": "Scoring",
    "selection": "Selection",
    "training": "Training",
}
# Words that mean something else in ordinary sentences are explained in the glossary alone.
_PLAIN = {
    "4/5", "base", "baseline", "bridge", "control", "corpus", "cue", "detectable", "document", "drift", "excess",
    "fail", "gap", "gate", "group", "inconclusive", "interval", "leak", "margin", "negative", "pass", "positive",
    "precision", "proof", "queries", "query", "recall", "registry", "slice", "strength", "unit", "waiver",
    "would be seen",
}  # fmt: skip


def glossary() -> str:
    """Write the terms of results, part by part."""
    parts = [
        "# Glossary\n\nMade from `hrembed/reports/glossary.py` by `make docs`; pages of runs explain the same words.\n"
    ]
    for title, terms in GLOSSARY.items():
        rows = [f"| **{term.name}**{''.join(f', {other}' for other in term.also)} | {term.meaning} |" for term in terms]
        parts.append(f"## {title}\n\n| word | means |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def commands() -> str:
    """Write every command with its arguments and options, as `--help` has them, in the groups of `hrembed --help`."""
    root: Any = typer.main.get_command(app)
    parts = [
        "# Commands\n\nMade from the command line when this site was built: `hrembed COMMAND --help` says the same. "
        "Settings of each command: [config.md](config.md); what it writes: [records.md](records.md).\n"
    ]
    for title, group in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in group:
            parts += _command(f"hrembed {name}", root.commands[name])
    return "\n".join(parts)


def _command(path: str, command: Any) -> Iterator[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"### `{path}`\n\n{(command.help or '').strip()}\n\n```text\n{usage}\n```\n"
    rows = [param.get_help_record(context) for param in command.get_params(context)]
    cells = [f"| `{left}` | {_cell(right)} |" for left, right in filter(None, rows) if left != "--help"]
    if cells:
        yield "| option | what it does |\n|---|---|\n" + "\n".join(cells) + "\n"
    if command.epilog:
        example = command.epilog.removeprefix("Example: ")
        yield f"```bash\n{example}\n```\n"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(f"{path} {name}", inner)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def records() -> str:
    """Write what each command keeps in `metrics.json`: keys, types and meanings, and the sections that they hold."""
    parts = [
        "# What metrics.json holds\n\nMade from `hrembed/records/` when this site was built; `hrembed schema --metrics "
        "COMMAND` prints the same as JSON Schema. Undefined numbers are null. An *estimate* is a number with its "
        "`interval`, `n`, `unit` and how many items are `undefined`.\n"
    ]
    sections: dict[str, dict[str, Any]] = {}
    for name in names(metrics=True):
        schema = record_of(name).model_json_schema(mode="serialization", by_alias=True)
        sections |= schema.pop("$defs", {})
        words = name.replace("data-import-", "data import ").replace("data-", "data ").replace("index-", "index ")
        parts.append(f"## `hrembed {words}`\n\n{_fields(schema, record_of(name))}\n")
    parts.append("## Sections\n")
    parts += [f"### {name}\n\n{_fields(sections[name])}\n" for name in sorted(sections)]
    return "\n".join(parts)


def _fields(schema: dict[str, Any], record: type | None = None) -> str:
    """What a record is, in a line, and its keys as a table."""
    text = schema.get("description", "")
    bases = record.__mro__[1:] if record else ()
    described = {
        key: " ".join(meaning.split())
        for doc in (*(base.__doc__ or "" for base in reversed(bases)), text)
        for key, meaning in _DOCUMENTED.findall(doc.partition("Attributes:")[2])
    }
    head = " ".join(text.partition("Attributes:")[0].split())
    rows = [
        f"| `{key}` | {_kind(value)} | {_cell(described.get(key, value.get('description', '')))} |"
        for key, value in schema.get("properties", {}).items()
    ]
    table = "\n\n| key | type | meaning |\n|---|---|---|\n" + "\n".join(rows) if rows else ""
    return f"{head}{table}"


def _kind(schema: dict[str, Any]) -> str:
    """A type of JSON Schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "undefined" in schema.get("properties", {}):
        return "estimate"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        inner = schema.get("items") or {"anyOf": schema.get("prefixItems", [{}])}
        return f"list of {_kind(inner)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"by name: {_kind(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def messages() -> str:
    """Write every error of the source, with the hint beside it, so that a search for a message finds what to do."""
    parts = [
        "# Every message\n\nMade from the source when this site was built. `…` stands for what is filled in: a file, "
        "a line, a value. What most people meet first, with causes: [troubleshooting.md](troubleshooting.md).\n"
    ]
    by_area = {area: [*said] for area, said in groupby(sentences(), key=lambda one: one.file.split("/")[0])}
    for area, said in by_area.items():
        rows: dict[str, list[str]] = {}
        last = ""
        for one in said:
            if one.kind == "error":
                last = shown(one.text)
                rows.setdefault(last, [])
            elif one.kind == "hint" and last and shown(one.text) not in rows[last]:
                rows[last].append(shown(one.text))
        title = _AREAS.get(area.removesuffix(".py"), area.removesuffix(".py").capitalize())
        lines = [f"| {error} | {'; '.join(hints)} |" for error, hints in rows.items()]
        if lines:
            parts.append(f"## {title}\n\n| message | what to do |\n|---|---|\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def shown(text: str) -> str:
    """A message as Markdown: what is filled in as `…`, and signs outside of code that Markdown would read escaped."""
    parts = " ".join(_FILLED_IN.sub("…", text).replace("|", "¦").split()).split("`")
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([\\*_\[\]<])", r"\\\1", parts[place])
    return "`".join(parts)


GENERATED = {"commands.md": commands, "records.md": records, "messages.md": messages}
"""Pages that exist on the site alone."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages (called by MkDocs)."""
    from mkdocs.structure.files import File

    for name, write in GENERATED.items():
        files.append(File.generated(config, name, content=write()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Explain words of the glossary where they stand (called by MkDocs)."""
    if page.file.src_uri in {"glossary.md", *GENERATED}:
        return markdown
    known = {word: meaning for word, meaning in lookup().items() if word not in _PLAIN}
    return markdown + "\n\n" + "\n".join(f"*[{word}]: {meaning}" for word, meaning in known.items()) + "\n"
