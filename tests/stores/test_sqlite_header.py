"""Whose file it is, is asked before anything is changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from aftertide.domain.errors import NotADatabase, SchemaMismatch
from aftertide.stores.sqlite_header import (
    READ_STORE,
    WRITE_DATABASE,
    Header,
    check_header,
    initialise,
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def create(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (a)")


HEADER = Header(WRITE_DATABASE, 2, create)


def check(connection: sqlite3.Connection, application_id: int = WRITE_DATABASE) -> bool:
    return check_header(connection, "a.db", application_id, HEADER.schema_version)


def test_an_empty_file_becomes_ours_once(connection: sqlite3.Connection) -> None:
    assert check(connection)
    initialise(connection, "a.db", HEADER)
    assert not check(connection)
    initialise(connection, "a.db", HEADER)  # another process was faster: no second CREATE TABLE
    assert not connection.in_transaction


def test_a_failure_leaves_an_empty_file_empty(connection: sqlite3.Connection) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        create(connection)
        raise KeyError

    with pytest.raises(KeyError):
        initialise(connection, "a.db", Header(WRITE_DATABASE, 2, fail))
    connection.execute("ROLLBACK")
    assert check(connection)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (a)", "PRAGMA user_version = 2", "PRAGMA application_id = 9"]
)
def test_other_peoples_files_are_not_ours(connection: sqlite3.Connection, statement: str) -> None:
    connection.execute(statement)
    with pytest.raises(
        NotADatabase, match=r"a\.db: it is an SQLite database of another application"
    ):
        check(connection)


def test_the_other_kind_of_ours_is_told_from_this_kind(connection: sqlite3.Connection) -> None:
    initialise(connection, "a.db", HEADER)
    with pytest.raises(SchemaMismatch, match="a write database of Aftertide, not a read store"):
        check(connection, READ_STORE)


@pytest.mark.parametrize(("version", "text"), [(1, "an older Aftertide"), (3, "a newer Aftertide")])
def test_another_schema_version_is_refused(
    connection: sqlite3.Connection, version: int, text: str
) -> None:
    initialise(connection, "a.db", HEADER)
    connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(SchemaMismatch, match=f"schema version {version}, of {text}"):
        check(connection)


def test_the_ids_read_as_text_in_a_hex_dump() -> None:
    assert WRITE_DATABASE.to_bytes(4, "big") == b"AtW1"
    assert READ_STORE.to_bytes(4, "big") == b"AtR1"
