"""What SQLite's errors mean to whoever must act: from result codes to `domain/errors.py`.

Only conditions of the file and its disk are translated. A broken constraint or a wrong parameter is
a mistake in our own statement and passes as it is.
"""

import errno
import os
import sqlite3
from pathlib import Path

from ..domain.errors import (
    NotADatabase,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)

PRIMARY_CODE = 0xFF
"""SQLite's extended result codes keep the plain one in their lowest byte."""

_OURS = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
    }
)
_NO_TEXT = "Could not decode to UTF-8"
"""How Python's module begins what it says of a column with other bytes; it gives that no code."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def translated(error: Exception, path: str) -> Exception:
    """The condition that an error of sqlite3 or of the file system stands for; else the error.

    Raise the result `from` the error. Looks at the file system, so it belongs on the connection's
    thread.
    """
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, path)
    if isinstance(error, OSError):
        return _of_system(error, path)
    if isinstance(error, UnicodeDecodeError):
        # Python's module, about a column, or about the text of an error of SQLite's own.
        return damaged(path, f"a text in it is none: {error}")
    return error


def damaged(path: str, how: str) -> StoreUnavailable:
    """The condition of a file whose content can't be what was written."""
    return StoreUnavailable(
        path,
        f"the file is damaged; {how}",
        "Stop, copy the file with its -wal, restore a backup or try sqlite3's .recover.",
    )


def unwritable(path: str) -> StoreReadOnly | None:
    """Why a database can't be created or written at `path`; None where nothing is against it."""
    folder = Path(path).parent
    if not folder.is_dir():
        return StoreReadOnly(
            path,
            f"its folder {folder} does not exist",
            "Create the folder, or choose a path in one that exists.",
        )
    if os.path.isdir(path):
        return StoreReadOnly(path, "it is a folder", "Name a file inside it.")
    if not _may(folder, os.W_OK | os.X_OK):
        # The log beside the file (-wal) is created and removed with every opening.
        return StoreReadOnly(
            path,
            f"this process may not write in the folder {folder}",
            "Give the process permission, or choose another folder.",
        )
    if os.path.exists(path) and not _may(path, os.R_OK | os.W_OK):
        return StoreReadOnly(
            path,
            "this process may not read and write the file",
            "Give the process permission, or choose another file.",
        )
    return None


def _may(path: str | Path, mode: int) -> bool:
    # By the rights it has now, where the system can tell: a service may have given up some.
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _of_sqlite(error: sqlite3.Error, path: str) -> Exception:
    # Errors of the Python module itself, as for a wrong number of parameters, carry no code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return damaged(path, str(error)) if str(error).startswith(_NO_TEXT) else error
    primary = code & PRIMARY_CODE
    if primary in _OURS:
        return error
    said = f"SQLite says {str(error)!r} ({error.sqlite_errorname})"
    match primary:
        case sqlite3.SQLITE_NOTADB:
            return NotADatabase(
                path,
                f"it is not an SQLite database, or an encrypted one; {said}",
                "It was not changed. Choose another path.",
            )
        case sqlite3.SQLITE_FULL:
            return _full(path, said)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(
                path,
                f"another connection holds its lock; {said}",
                "Find the process that keeps a transaction open (fuser, lsof), or try again.",
            )
        case sqlite3.SQLITE_CANTOPEN if not os.path.exists(path) and unwritable(path) is None:
            return StoreReadOnly(
                path,
                f"the file does not exist and was opened for reading only; {said}",
                "Open it for writing first, which creates it.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return unwritable(path) or StoreReadOnly(
                path,
                f"it can't be opened or written; {said}",
                "Look at the permissions of the file, of its -wal and -shm, and of the folder.",
            )
        case sqlite3.SQLITE_CORRUPT:
            return damaged(path, said)
        case sqlite3.SQLITE_TOOBIG:
            return damaged(path, f"or a value is too large to be stored; {said}")
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailable(
                path,
                f"the disk failed to read or write; {said}",
                "Look at the disk and the system's log, then open it again.",
            )
        case sqlite3.SQLITE_INTERRUPT:
            return StoreUnavailable(
                path,
                f"the call was interrupted; {said}",
                "It changed nothing: call again.",
            )
    return StoreUnavailable(
        path, said, "Look at the file with the sqlite3 shell: PRAGMA quick_check."
    )


def _of_system(error: OSError, path: str) -> Exception:
    said = f"the system says {error.strerror or str(error)!r}"
    if error.errno in _NO_SPACE:
        return _full(path, said)
    if error.errno in _NO_PERMISSION:
        return unwritable(path) or StoreReadOnly(
            path,
            f"it can't be opened or written; {said}",
            "Look at the permissions of file and folder.",
        )
    return StoreUnavailable(path, said, "Look at the disk and the path, then open it again.")


def _full(path: str, said: str) -> StoreFull:
    return StoreFull(
        path,
        f"no space left on its disk, or a quota is reached; {said}",
        "Nothing of this transaction was written. Free some space and try again.",
    )
