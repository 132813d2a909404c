"""Projections that catch up: a replay of a long log, alone and beside commands; and activations."""

import asyncio
import statistics
import time
from pathlib import Path

import msgspec

from aftertide import Runtime, Strong
from aftertide.stores.sqlite_events import LOAD_STREAM

from ..accounts import ACCOUNT, BALANCES, Account, Deposited, Look, evolve, names, shares
from ..figures import Figures
from ..meter import Meter
from .log import Log
from .runtime import deposits, warm_up

NEW = "new"
"""Prefix of accounts that have no history in the log."""


def replay(folder: str, database: str, memory: bool) -> Figures:
    """From opening the runtime until its view has the last event."""
    return asyncio.run(_replay(Path(database), ":memory:" if memory else folder))


async def _replay(database: Path, read_stores: str) -> Figures:
    meter = Meter()
    async with Runtime.open(
        database, deciders=[ACCOUNT], projections=[BALANCES], read_stores=read_stores
    ) as runtime:
        head = await runtime.settle()
        meter.stop()
        answers = await runtime.query(BALANCES, consistency=Strong())
        with Log(database) as log:
            (deposited,) = log.connection.execute(
                "SELECT sum(json_extract(data, '$.amount')) FROM events"
            ).fetchone()
        if sum(row.balance for row in answers.rows) != deposited:
            raise RuntimeError(
                "the balances do not sum up to what the log says: nothing was measured."
            )
        return meter.figures(head)


def beside(folder: str, database: str, clients: int, commands: int) -> Figures:
    """Latencies of commands while a view replays the log in `database`, then once it is quiet.

    Both on the same file in the same process. The commands go to accounts without a history, so
    that nothing but the replay differs.
    """
    return asyncio.run(_beside(folder, Path(database), clients, commands))


async def _beside(folder: str, database: Path, clients: int, commands: int) -> Figures:
    with Log(database) as log:
        history = log.head
    async with Runtime.open(
        database, deciders=[ACCOUNT], projections=[BALANCES], read_stores=folder
    ) as runtime:
        ids = names(1_000, NEW)
        await warm_up(runtime, ids)
        busy = await deposits(runtime, shares(commands, clients, ids))
        busy_figures = busy.figures(commands)
        replayed = min(one.position for one in runtime.statistics().projections.values())
        await runtime.settle()
        quiet = await deposits(runtime, shares(commands, clients, ids))
        await runtime.settle()
        return (
            {f"beside_{name}": value for name, value in busy_figures.items()}
            | {f"quiet_{name}": value for name, value in quiet.figures(commands).items()}
            | {"history": float(history), "replayed_at_the_end": float(replayed)}
        )


def activations(database: str, accounts: int) -> Figures:
    """Fetch, decode and fold of each account's events: bare, and by a command without events."""
    return asyncio.run(_activations(Path(database), accounts))


async def _activations(database: Path, accounts: int) -> Figures:
    bare: list[float] = []
    activated: list[float] = []
    now = time.perf_counter
    ids = names(accounts, "a")
    with Log(database) as log:
        streams = log.connection.execute(
            "SELECT stream, version FROM heads ORDER BY stream"
        ).fetchall()
        decoders = {
            key: msgspec.json.Decoder(Deposited).decode
            for (key,) in log.connection.execute("SELECT DISTINCT type FROM events")
        }

        def fold(stream: int, version: int) -> Account:
            state = Account()
            bounds = {"stream": stream, "after": 0, "last": version}
            for type_key, data, _ in log.connection.execute(LOAD_STREAM, bounds).fetchall():
                state = evolve(state, decoders[type_key](data))
            return state

        async with Runtime.open(database, deciders=[ACCOUNT], projections=[]) as runtime:
            for number, (stream, account) in enumerate(zip(streams, ids, strict=True)):
                # Who goes first changes, since the first one meets colder caches.
                for bare_now in (True, False) if number % 2 else (False, True):
                    started = now()
                    if bare_now:
                        fold(*stream)
                        bare.append(now() - started)
                    else:
                        await runtime.execute(ACCOUNT, account, Look())
                        activated.append(now() - started)
    warm = accounts // 10
    return {
        "bare_us": statistics.median(bare[warm:]) * 1e6,
        "activation_us": statistics.median(activated[warm:]) * 1e6,
    }
