"""One life of a process that writes, from opening the files to its end, mostly a violent one.

`python -m tests.torture.writer SPEC` lives one by hand and says everything on standard output; SPEC is the
JSON that a failure prints. The nursery forks them by the hundred.
"""

import sys
import traceback
from contextlib import AsyncExitStack
from random import Random

import anyio
import msgspec

from aftertide import Lag, Limits, Runtime, StoreUnavailable
from aftertide.stores.sqlite_thread import SqliteThread
from tests.torture.clients import Clients
from tests.torture.market import ACCOUNT, BALANCES, ORDER, TALLIES
from tests.torture.said import Broke, Failed, Opened, Reached, Say, speaker
from tests.torture.traps import Trap, arm, lay

TIGHT = Limits(
    mailbox_commands=4,
    journal_events=60,
    transaction_events=25,
    bus_events=40,
    page_events=30,
    load_events=20,
    active_aggregates=12,
    cached_rows=8,
)
"""Bounds that are met all the time: lines, held turns, overflows, passivation, pages."""


class Spec(msgspec.Struct, frozen=True):
    """What a life is given. Equal specs begin alike; when they are killed is the world's affair."""

    database: str
    views: str
    name: str
    """Unique among the lives on this database."""
    seed: int
    clients: int = 12
    answers: int = 1_000_000
    """How many answers until it ends by itself."""
    views_version: int = 1
    """A higher one than the last life's: all rows are built anew."""
    settle: bool = False
    """Settle before the end, and let every account quote its state."""
    trap: Trap | None = None


async def live(spec: Spec, say: Say) -> None:
    random = Random(f"{spec.seed}/{spec.name}")
    _weather(random)
    if spec.trap is not None:
        lay(spec.trap, spec.database, random)
    for view in (BALANCES, TALLIES):
        view.version = spec.views_version
    lags = [Lag.none(), Lag.exponential(0.004), Lag.uniform(0.0, 0.02)]
    random.shuffle(lags)
    opening = Runtime.open(
        spec.database,
        deciders=[ACCOUNT, ORDER],
        projections=[BALANCES.replicas(2, lag=lags[:2]), TALLIES.replicas(2, lag=lags[1:])],
        read_stores=spec.views,
        durability=random.choice(("full", "full", "normal", "off")),
        limits=TIGHT if random.random() < 0.4 else Limits(),
        seed=random.getrandbits(32),
    )
    async with AsyncExitStack() as stack:
        try:
            runtime = await stack.enter_async_context(opening)
        except StoreUnavailable as condition:  # there may be no room for it
            say(Failed(f"{spec.name}.opening", type(condition).__name__, str(condition)))
            return
        say(Opened(runtime.head))
        arm()
        clients = Clients(runtime, say, spec.name, spec.seed, queries=True)
        await clients.work(spec.clients, spec.answers)
        if spec.settle:
            await clients.quote_all_accounts()
            say(Reached("settled", await runtime.settle()))
            await clients.look_at_everything()
        say(Reached("closing", runtime.head))
    say(Reached("closed", runtime.head))


def run(spec: Spec, descriptor: int) -> None:
    """Live, and say so if it ends as it should not."""
    say = speaker(descriptor)
    try:
        anyio.run(live, spec, say)
    except Exception:  # noqa: BLE001 - the parent is to learn of it, whatever it was
        say(Broke(traceback.format_exc()))


def _weather(random: Random) -> None:
    """Mostly, let SQLite fold its write-ahead log back into the file far more often than it would: a kill
    must meet that, too."""
    pages = random.choice((None, 3, 20, 100))
    if pages is None:
        return
    opened = SqliteThread.open.__func__  # type: ignore[attr-defined]

    async def open_thread(cls: type[SqliteThread], path: str, /, **options: object) -> SqliteThread:
        thread: SqliteThread = await opened(
            cls, path, **{**options, "wal_autocheckpoint_pages": pages}
        )
        return thread

    SqliteThread.open = classmethod(open_thread)  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=Spec), 1)
