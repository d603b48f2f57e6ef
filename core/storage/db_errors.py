"""What a database says when it fails: whose fault it is, and one sentence for people, without the password."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError

from core.platform.errors import Busy, Full, Unusable

MAKE_ROOM = "Make room on it; on SQLite `hub free-space` gives the hub's reserve back first."
#: primary result codes that speak of the file or the disk, not of a statement (sqlite.org/rescode.html)
_SQLITE_TROUBLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
#: SQLSTATE classes: connection, resources, operator intervention, system (postgresql.org, appendix A)
_POSTGRES_TROUBLE = ("08", "53", "57", "58")
_READ_ONLY, _FULL, _TOO_LONG = "25006", "53100", "57014"
#: nothing was done, and the same may go through now: serialization failure, a transaction that was silent for too
#: long, deadlock, a lock that was not had in time
_AGAIN = frozenset({"40001", "25P03", "40P01", "55P03"})
#: data exceptions: `invalid input syntax for type integer: "…"`
_QUOTES_VALUE = "22"


def leave_values_out(context: ExceptionContext) -> None:
    """Cut a server's error to what it says of tables and columns: its details quote the row, and a row may hold a
    password's hash. For SQLAlchemy's `handle_error`; SQLite quotes nothing."""
    import psycopg  # there is a server, so it is loaded already

    error, shown = context.original_exception, context.sqlalchemy_exception
    if not isinstance(error, psycopg.Error) or not error.diag.message_primary:
        return
    said = error.diag.message_primary
    if _state_of(error).startswith(_QUOTES_VALUE):
        said = said.partition(": ")[0]
    error.args = (said,)
    if shown is not None:
        shown.args = (f"({type(error).__name__}) {said}",)


def is_trouble(error: DBAPIError) -> bool:
    """The database's, not the statement's."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_TROUBLE
    state = _state(error)
    lost = error.connection_invalidated or (isinstance(error, OperationalError) and not state)
    return lost or state.startswith(_POSTGRES_TROUBLE) or state == _READ_ONLY or may_go_through(error)


def may_go_through(error: BaseException) -> bool:
    """Whether PostgreSQL gave the whole transaction up for others: nothing is done, and again is the answer."""
    return _state(error) in _AGAIN


def reason(url: URL, error: BaseException) -> Unusable:
    """The error for people; `url` is the database's."""
    orig, shown, state = getattr(error, "orig", None), address(url), _state(error)
    cause = str(orig or error).strip().splitlines()[0]
    code = getattr(orig, "sqlite_errorcode", 0) & 0xFF
    if may_go_through(error):
        return Busy(f"The database {shown} is busy: others hold what this needs. Try again in a moment.")
    if state == _TOO_LONG:
        return Unusable(
            f"The database {shown} took too long for one statement. Try again when it is less busy."
        )
    if code == sqlite3.SQLITE_FULL or state == _FULL:
        return Full(f"The disk of the database {shown} is full; nothing was written. {MAKE_ROOM}")
    if code == sqlite3.SQLITE_READONLY or state == _READ_ONLY or _is_read_only(url):
        return Unusable(f"The database {shown} can only be read. Let the hub's user write to it.")
    return Unusable(_sentence(url, error, cause))


def address(url: URL) -> str:
    """As it may be shown: without the password."""
    return url.database or "in memory" if url.get_backend_name() == "sqlite" else url.render_as_string(True)


def _state(error: BaseException) -> str:
    """The SQLSTATE; empty on SQLite, and where a connection broke without a word."""
    return _state_of(getattr(error, "orig", None))


def _state_of(orig: object) -> str:
    return str(getattr(orig, "sqlstate", None) or "")


def _is_read_only(url: URL) -> bool:
    """A file, or a folder around it, that this user may not write to: SQLite only says that it cannot open it."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return False
    path = Path(url.database).absolute()
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _sentence(url: URL, error: BaseException, cause: str) -> str:
    if "locked" in cause or "busy" in cause:
        return f"The database {address(url)} is busy: another process holds it. Try again in a moment."
    if isinstance(error, DBAPIError) and not error.connection_invalidated and "no such table" in cause:
        return f"The database {address(url)} has no hub tables. Run `hub init` to create them."
    if "not a database" in cause:
        return f"{url.database} is not a SQLite database. Correct HUB_DATABASE_URL or move the file away."
    return f"The database {address(url)} cannot be used ({cause}). Check HUB_DATABASE_URL and that it is running."
