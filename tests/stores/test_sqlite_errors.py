"""Each error of SQLite or the file system is told as the condition that somebody can act on."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from aftertide.domain.errors import (
    NotADatabase,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from aftertide.stores.sqlite_errors import translated, unwritable
from tests.stores.unprivileged import unprivileged_folder


def raised(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
        return error
    raise LookupError("nothing was raised")


def coded(code: int, name: str) -> sqlite3.Error:
    """An error as sqlite3 raises it, for a code that a test can't bring about."""
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a NOT NULL)")
    return path


@pytest.mark.parametrize(
    ("code", "name", "condition", "text"),
    [
        (sqlite3.SQLITE_NOTADB, "SQLITE_NOTADB", NotADatabase, "Choose another path"),
        (sqlite3.SQLITE_FULL, "SQLITE_FULL", StoreFull, "Free some space"),
        (sqlite3.SQLITE_BUSY, "SQLITE_BUSY", StoreLocked, "try again"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT", StoreLocked, "try again"),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, "SQLITE_LOCKED_SHAREDCACHE", StoreLocked, "try again"),
        (
            sqlite3.SQLITE_READONLY_DIRECTORY,
            "SQLITE_READONLY_DIRECTORY",
            StoreReadOnly,
            "permissions",
        ),
        (sqlite3.SQLITE_PERM, "SQLITE_PERM", StoreReadOnly, "permissions"),
        (sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN", StoreReadOnly, "permissions"),
        (
            sqlite3.SQLITE_CORRUPT_INDEX,
            "SQLITE_CORRUPT_INDEX",
            StoreUnavailable,
            "the file is damaged",
        ),
        (sqlite3.SQLITE_TOOBIG, "SQLITE_TOOBIG", StoreUnavailable, "too large"),
        (sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC", StoreUnavailable, "disk failed"),
        (sqlite3.SQLITE_INTERRUPT, "SQLITE_INTERRUPT", StoreUnavailable, "interrupted"),
        (sqlite3.SQLITE_NOMEM, "SQLITE_NOMEM", StoreUnavailable, "quick_check"),
    ],
)
def test_each_code_is_a_condition_with_the_file_the_code_and_a_next_step(
    path: str, code: int, name: str, condition: type[Exception], text: str
) -> None:
    found = translated(coded(code, name), path)
    assert type(found) is condition
    assert str(found).startswith(f"{path}: ")
    assert name in str(found)
    assert text in str(found)


def test_a_damaged_file_is_told_as_such(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 900,)] * 100)
        connection.commit()
    with Path(path).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40_960)
    with closing(sqlite3.connect(path)) as connection:
        error = raised(lambda: connection.execute("SELECT * FROM t").fetchall())
    assert "the file is damaged" in str(translated(error, path))


@pytest.mark.parametrize(
    ("number", "condition"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EACCES, StoreReadOnly),
        (errno.EROFS, StoreReadOnly),
        (errno.EIO, StoreUnavailable),
    ],
)
def test_errors_of_the_file_system_are_conditions_too(
    path: str, number: int, condition: type[Exception]
) -> None:
    found = translated(OSError(number, os.strerror(number)), path)
    assert type(found) is condition
    assert os.strerror(number) in str(found)


def test_mistakes_of_our_own_pass_as_they_are(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for mistake in (
            lambda: connection.execute("INSERT INTO t VALUES (NULL)"),
            lambda: connection.execute("SELECT ?", (1, 2)),
            lambda: connection.execute("SELECT ?", (2**70,)),
            lambda: connection.execute("SELECT ?", (object(),)),
        ):
            error = raised(mistake)
            assert translated(error, path) is error
    error = KeyError("anything else")
    assert translated(error, path) is error


def test_what_can_not_be_written_says_why(tmp_path: Path, path: str) -> None:
    assert unwritable(path) is None
    assert unwritable(str(tmp_path / "new.db")) is None
    assert "it is a folder" in str(unwritable(str(tmp_path)))
    assert "Create the folder" in str(unwritable(str(tmp_path / "no" / "a.db")))
    with unprivileged_folder() as folder:
        file = folder / "a.db"
        file.touch(0o400)
        assert "may not read and write the file" in str(unwritable(str(file)))
        folder.chmod(0o500)
        assert "may not write in the folder" in str(unwritable(str(folder / "new.db")))
        folder.chmod(0o700)


def test_a_name_without_a_folder_is_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert unwritable("a.db") is None
