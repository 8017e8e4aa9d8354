"""`hrembed configs`: a config that ships, as a file of one's own begins."""

from __future__ import annotations

from hrembed.config.starters import starter


def starter_text(name: str) -> str:
    """Return the text of a config that ships; the line for editors names the schema as a file beside it.

    `hrembed schema eval > eval.config.json` writes that file.

    Raises:
        ConfigError: No config of that name ships.
    """
    head, _, rest = starter(name).path.read_text(encoding="utf-8").partition("\n")
    before, equals, schema = head.partition("$schema=")
    return f"{before}{equals}{schema.rpartition('/')[2]}\n{rest}"
