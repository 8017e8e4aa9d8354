"""A database query in slices: read in the order of its ids, and entered behind the id of the row before.

The query is a part of ours and must be a SELECT; it runs in a transaction that only reads, where the database knows
such a thing.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hrembed.data.cells import Row
from hrembed.data.columns import Names, track_columns, with_names
from hrembed.data.slices import Place
from hrembed.errors import ConfigError, DataError, HrembedError, raised_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.data.slices import Span, Wanted
    from hrembed.records.encode import PartKind

_PAGE = 10_000
_NEEDS = "`pip install 'hrembed[db]'`"


def is_database(reference: str) -> bool:
    """Whether a reference is a URL of SQLAlchemy, such as `sqlite:///FILE` or `postgresql+psycopg://USER@HOST/NAME`."""
    scheme = reference.partition("://")[0] if "://" in reference else ""
    return scheme.partition("+")[0] in _DATABASES


_DATABASES = {"sqlite", "postgresql", "postgres", "mysql", "mariadb", "oracle", "mssql", "duckdb", "snowflake"}


def has_password(reference: str) -> bool:
    """Whether a URL holds a password, which would then stand in the files of a run."""
    authority = reference.partition("://")[2].partition("/")[0]
    return ":" in authority.rpartition("@")[0] or "password=" in reference.partition("?")[2]


def open_database(url: str, query: str, password_env: str, wanted: Wanted) -> QueryTable:
    """Open a query.

    Args:
        url: URL of SQLAlchemy, without a password.
        query: A SELECT that gives an id and a text.
        password_env: Environment variable that may hold the password.
        wanted: Which columns are read.

    Raises:
        ConfigError: A package is missing, or the URL is none.
    """
    try:
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        from sqlalchemy.pool import NullPool
    except ImportError:
        raise ConfigError("reading a database requires SQLAlchemy, which is not installed", hint=_NEEDS) from None
    try:
        address = make_url(url.replace("postgres://", "postgresql://", 1))
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        secret = os.environ.get(password_env)
        shown = address.render_as_string(hide_password=True)
        # No connection outlives a slice: a worker that waits must not hold a snapshot.
        engine = create_engine(address.set(password=secret) if secret else address, poolclass=NullPool)
    except ImportError as err:
        raise ConfigError(f"the driver of the database is not installed: {err.name}", hint=_NEEDS) from None
    except Exception as err:
        raise ConfigError(
            f"the URL of the database cannot be used: {type(err).__name__}",
            hint="for example sqlite:///profiles.db or postgresql+psycopg://user@host/database",
        ) from None
    return QueryTable(engine, shown, query.strip().rstrip(";"), wanted)


class QueryTable:
    """The rows of a query, in the order of their ids."""

    kind: PartKind = "database"

    def __init__(self, engine: Any, name: str, query: str, wanted: Wanted) -> None:
        self.name = name
        self._engine, self._query, self._wanted = engine, query, wanted
        self._numeric = False

    def sha256(self) -> str | None:
        """Nothing is hashed: the rows of a database have no bytes of their own."""
        return None

    def rows(self) -> Iterator[Row]:
        """Stream all rows in one snapshot.

        Raises:
            DataError: The database or the query fails, or an id is missing or no text and no number.
        """
        yield from track_columns(self._from(Place(0)), _named(self.name), self._wanted.used)  # type: ignore[misc]

    def places(self, spans: Sequence[Span]) -> list[Place]:
        """Say behind which id each slice begins."""

        def key(before: str | None) -> str | int | None:
            return int(before) if before is not None and self._numeric else before

        return [Place(span.first, after=key(span.before)) for span in spans]

    def slice(self, place: Place, span: int) -> Iterator[Row]:
        """Stream rows behind an id."""
        return self._from(place, span)

    def _from(self, place: Place, most: int | None = None) -> Iterator[Row]:
        from sqlalchemy import text

        names = Names(self.name, self._wanted.columns, self._wanted.form.columns, self._wanted.known_as)
        at, after = place.first, place.after
        with self._connected() as connection:
            renamed, id_column = self._columns(connection, names)
            quoted = self._engine.dialect.identifier_preparer.quote(id_column)
            while most is None or at < place.first + most:
                page = _PAGE if most is None else min(_PAGE, place.first + most - at)
                behind = f"WHERE q.{quoted} > :after " if after is not None else ""
                select = f"SELECT * FROM ({self._query}) AS q {behind}ORDER BY q.{quoted} LIMIT :page"
                given = {"page": page} | ({"after": after} if after is not None else {})
                found = connection.execute(text(select), given).mappings().all()
                for values in found:
                    at, after = at + 1, _key(values[id_column], self.name, at + 1, after)
                    self._numeric = isinstance(after, int)
                    row = Row(at, dict(values))
                    yield with_names(row, renamed) if renamed else row
                if len(found) < page:
                    return

    def _columns(self, connection: Any, names: Names) -> tuple[dict[str, str], str]:
        from sqlalchemy import text

        present = list(connection.execute(text(f"SELECT * FROM ({self._query}) AS q WHERE 1 = 0")).keys())
        renamed = names.need(present, self.name)
        return renamed, renamed.get("id", "id")

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        reads = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        options = reads if self._engine.dialect.name == "postgresql" else {}
        try:
            with self._engine.connect().execution_options(**options) as connection:
                yield connection
        except HrembedError:
            raise
        except Exception as err:  # each driver has errors of its own
            if raised_here(err):
                raise
            said = str(getattr(err, "orig", None) or err).strip().splitlines() or [type(err).__name__]
            raise DataError(
                f"the query on '{self.name}' failed: {said[0][:200]}",
                hint="the query must be one SELECT with an id and a text; the password comes from the environment",
            ) from None


def _key(value: object, name: str, row: int, before: str | int | None) -> str | int:
    """Give an id by which the next page is found.

    Raises:
        DataError: It is missing, of another type, or stands twice, so that no page could begin behind it.
    """
    if value is None:
        raise DataError(f"{name}: row {row} has no id", hint="leave such rows out with WHERE")
    key = value if isinstance(value, int) and not isinstance(value, bool) else str(value)
    if key == before:
        raise DataError(f"{name}: rows {row - 1} and {row} have the same id", hint="an id must name one row")
    return key


def _named(name: str) -> Path:
    from pathlib import Path

    return Path(name)
