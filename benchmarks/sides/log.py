"""The events table of a file that the runtime made, opened bare: the limit, and long logs.

The runtime makes the file, its streams and its first events, so schema, widths of values and
indexes are the store's own; the rows that follow are copies of what it wrote, with the next
positions and versions.
"""

import itertools
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..figures import Figures
from ..meter import Meter
from .runtime import first_deposits

Row = tuple[int, int, int, int, int, str, object, object, int]
"""In the order of COLUMNS. What context and data hold is the store's affair: it is copied."""
READ_COLUMNS = "position, stream, version, type, at, command, context, data"
"""What a replay reads of each event."""
COLUMNS = READ_COLUMNS + ", previous"
BATCH = 1_000
ROWS_PER_STATEMENT = 125
PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA cache_size=-65536",
    "PRAGMA wal_autocheckpoint=4000",
    "PRAGMA temp_store=MEMORY",
)


class Log:
    """A bare connection to the log in `path`."""

    def __init__(self, path: str | Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=128)
        for pragma in PRAGMAS:
            self.connection.execute(pragma)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *exception: object) -> None:
        self.connection.close()

    @property
    def head(self) -> int:
        (head,) = self.connection.execute(
            "SELECT coalesce(max(position), 0) FROM events"
        ).fetchone()
        return int(head)

    def rows(self) -> Iterator[Row]:
        """Endless rows that follow the last one, over all streams by turns."""
        versions = self.connection.execute(
            "SELECT stream, version, last FROM heads ORDER BY stream"
        ).fetchall()
        type_key, at, command, context, data = self.connection.execute(
            "SELECT type, at, command, context, data FROM events ORDER BY position DESC LIMIT 1"
        ).fetchone()
        position = self.head
        for turn in itertools.count(1):
            for stream, version, last in versions:
                position += 1
                command_id = f"{position:0{len(command)}d}"
                previous = last if turn == 1 else position - len(versions)
                yield (
                    position, stream, version + turn, type_key, at, command_id, context, data, previous
                )  # fmt: skip

    def insert(self, count: int) -> None:
        """That many further rows, quickly: multi-row statements, without waiting for the disk."""
        self.connection.execute("PRAGMA synchronous=OFF")
        statement = multi_row(ROWS_PER_STATEMENT)
        rows = itertools.islice(self.rows(), count)
        while chunk := list(itertools.islice(rows, 100 * ROWS_PER_STATEMENT)):
            self.connection.execute("BEGIN IMMEDIATE")
            whole = len(chunk) - len(chunk) % ROWS_PER_STATEMENT
            for start in range(0, whole, ROWS_PER_STATEMENT):
                self.connection.execute(statement, flat(chunk[start : start + ROWS_PER_STATEMENT]))
            self.connection.executemany(multi_row(1), chunk[whole:])
            self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.connection.execute("PRAGMA synchronous=FULL")


def multi_row(count: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * count)
    return f"INSERT INTO events ({COLUMNS}) VALUES {places}"


def flat(rows: Sequence[Row]) -> list[object]:
    return list(itertools.chain.from_iterable(rows))


def build(database: str, events: int, accounts: int, prefix: str) -> Figures:
    """A log of that many events in all, over that many accounts by turns. Not a measurement."""
    path = Path(database)
    first_deposits(path, accounts, prefix)
    with Log(path) as log:
        log.insert(events - log.head)
        return {"events": float(log.head)}


def executemany(folder: str, commands: int, accounts: int) -> Figures:
    """The limit, one way: a transaction per 1,000 rows, executemany on rows made before."""
    with _prepared(folder, accounts) as log:
        rows = list(itertools.islice(log.rows(), commands))
        batches = [rows[start : start + BATCH] for start in range(0, commands, BATCH)]
        execute, many, statement = log.connection.execute, log.connection.executemany, multi_row(1)
        meter = Meter()
        for batch in batches:
            execute("BEGIN IMMEDIATE")
            many(statement, batch)
            execute("COMMIT")
        meter.stop()
        return meter.figures(commands)


def multi_row_values(folder: str, commands: int, accounts: int) -> Figures:
    """The limit, the other way: 125 rows per statement, flattened before."""
    with _prepared(folder, accounts) as log:
        rows = list(itertools.islice(log.rows(), commands - commands % BATCH))
        batches = [
            [
                flat(rows[at : at + ROWS_PER_STATEMENT])
                for at in range(start, start + BATCH, ROWS_PER_STATEMENT)
            ]
            for start in range(0, len(rows), BATCH)
        ]
        execute, statement = log.connection.execute, multi_row(ROWS_PER_STATEMENT)
        meter = Meter()
        for batch in batches:
            execute("BEGIN IMMEDIATE")
            for values in batch:
                execute(statement, values)
            execute("COMMIT")
        meter.stop()
        return meter.figures(len(rows))


def commit_each(folder: str, commands: int, accounts: int) -> Figures:
    """The limit of one client: a transaction per event."""
    with _prepared(folder, accounts) as log:
        rows = list(itertools.islice(log.rows(), commands))
        execute, statement = log.connection.execute, multi_row(1)
        now = time.perf_counter
        meter = Meter()
        for row in rows:
            started = now()
            execute("BEGIN IMMEDIATE")
            execute(statement, row)
            execute("COMMIT")
            meter.latencies.append(now() - started)
        meter.stop()
        return meter.figures(commands)


def fetchmany(database: str) -> Figures:
    """The limit of a replay: all columns of all rows, 1,000 at a time, nothing decoded."""
    with Log(database) as log:
        head = log.head
        meter = Meter()
        cursor = log.connection.execute(f"SELECT {READ_COLUMNS} FROM events ORDER BY position")
        fetched = 0
        while rows := cursor.fetchmany(BATCH):
            fetched += len(rows)
        meter.stop()
        if fetched != head:
            raise RuntimeError(f"{fetched} rows were fetched of {head}: positions are not dense.")
        return meter.figures(fetched)


def _prepared(folder: str, accounts: int) -> Log:
    path = Path(folder, "bank.db")
    first_deposits(path, accounts, "a")
    return Log(path)
