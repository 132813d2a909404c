"""Whose file this is: SQLite's application id and schema version, read before anything is changed.

A file of somebody else is refused as it was found; an empty one becomes ours in one transaction.
Both kinds of database, the write database and the read stores, begin here. Functions in this file
run on a connection's thread.
"""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from ..domain.errors import NotADatabase, SchemaMismatch
from .sqlite_errors import damaged

WRITE_DATABASE = 0x41745731
"""Application id of write databases: "AtW1". `file` and `PRAGMA application_id` show it."""

READ_STORE = 0x41745231
"""Application id of read stores: "AtR1"."""

_KINDS = {WRITE_DATABASE: "a write database of Aftertide", READ_STORE: "a read store of Aftertide"}

# One statement, so that all three are of one moment: another process may be initialising the file.
_FOUND = """
    SELECT (SELECT application_id FROM pragma_application_id),
           (SELECT user_version FROM pragma_user_version),
           (SELECT count(*) FROM sqlite_master)
"""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file must say of itself, and how an empty file comes to say it.

    `create` makes the tables, inside the transaction that also writes the header.
    """

    application_id: int
    schema_version: int
    create: Callable[[sqlite3.Connection], object]


def check_header(
    connection: sqlite3.Connection, path: str, application_id: int, schema_version: int
) -> bool:
    """True where the file is empty and may be initialised, False where it is ours. Changes nothing.

    Raises NotADatabase for a file with other content, SchemaMismatch for one of Aftertide's that is
    of the other kind or of another schema version.
    """
    found_id, found_version, tables = connection.execute(_FOUND).fetchone()
    wanted = _KINDS.get(application_id, f"one with application id {application_id:#x}")
    if found_id == application_id:
        _check_version(path, found_version, schema_version)
        return False
    if found_id in _KINDS:
        raise SchemaMismatch(
            path,
            f"it is {_KINDS[found_id]}, not {wanted}",
            "It was not changed. Choose another path.",
        )
    if found_id or found_version or tables:
        raise NotADatabase(
            path,
            f"it is an SQLite database of another application (application id {found_id:#x}, "
            f"user version {found_version}, {tables} table(s) and indexes), not {wanted}",
            "It was not changed. Choose another path.",
        )
    return True


def check_end(path: str) -> None:
    """Raise StoreUnavailable for a file whose last page is cut. Call it before the file is opened.

    SQLite notices missing pages, but fills up half a page with zeros: rows in it would read as NULLs.
    """
    # With a write-ahead log beside it, such an end may be what a full disk left; the log has the page then.
    if not os.path.isfile(path) or (os.path.exists(wal := f"{path}-wal") and os.path.getsize(wal)):
        return
    with open(path, "rb") as file:
        start = file.read(100)
    page_bytes = int.from_bytes(start[16:18], "big")
    if page_bytes == 1:  # the header's way to say 65,536
        page_bytes = 65_536
    if start.startswith(b"SQLite format 3\0") and page_bytes:
        size = os.path.getsize(path)
        if size % page_bytes:
            raise damaged(
                path, f"its end is missing: {size} bytes are no whole pages of {page_bytes}"
            )


def initialise(connection: sqlite3.Connection, path: str, header: Header) -> None:
    """Make an empty file ours, in one transaction. Does nothing where another process was faster.

    A failure leaves the transaction to its caller, SqliteThread, which rolls back.
    """
    connection.execute("BEGIN IMMEDIATE")
    if check_header(connection, path, header.application_id, header.schema_version):
        header.create(connection)
        connection.execute(f"PRAGMA application_id = {header.application_id:d}")
        connection.execute(f"PRAGMA user_version = {header.schema_version:d}")
    connection.execute("COMMIT")


def _check_version(path: str, found: int, schema_version: int) -> None:
    if found > schema_version:
        raise SchemaMismatch(
            path,
            f"it has schema version {found}, of a newer Aftertide; this one knows {schema_version}",
            "It was not changed. Install the newer Aftertide, or choose another path.",
        )
    if found < schema_version:
        raise SchemaMismatch(
            path,
            f"it has schema version {found}, of an older Aftertide; needed is {schema_version}",
            "It was not changed. Open it with the older Aftertide, or choose another path.",
        )
