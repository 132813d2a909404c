"""A month of real flights, replayed as commands in the order of real time.

Each row of the record is one flight that left New York: scheduled, cancelled, departed, diverted, landed. Two
kinds of aggregates take the commands. A flight knows what may follow what. An aircraft knows one rule: whoever is
in the air can't take off. The record breaks that rule now and then, because two flights were written down
with one tail number; such a take-off is rejected, counted and reported. What is in doubt then is the aircraft's
record: the flight and its landing stand as they were written down.

Four views follow, each with a lag of its own: departures, carrier_punctuality, airport_hours, aircraft. When
they have caught up, they must equal what a plain loop over the file computes, to the digit.

Times are UTC: a flight is announced a day ahead of its scheduled departure (time_hour and minute), departs
dep_delay after that, lands air_time later. One that was cancelled is so when it should have departed; one that
was diverted is so as it departs, because the record does not say when it came down.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from aftertide import Lag, Limits, Runtime, View
from aftertide.scenarios import Option, World, WrongUsage, scenario
from aftertide.scenarios.flight_deciders import AIRCRAFT, FLIGHT
from aftertide.scenarios.flight_order import steps
from aftertide.scenarios.flight_records import MalformedRow, UnreadableRecord, records, survey
from aftertide.scenarios.flight_replay import Replayed, replay
from aftertide.scenarios.flight_tally import Row, Tally, differing
from aftertide.scenarios.flight_views import (
    AIRCRAFT_LEGS,
    AIRPORT_HOURS,
    CARRIER_PUNCTUALITY,
    DEPARTURES,
    VIEWS,
)
from aftertide.scenarios.lag_record import LagRecord

JANUARY = Path(__file__).parent / "data" / "flights-2013-01.csv.gz"
CSV: Option[str | None] = Option(
    "csv", None, "the record of flights, .csv or .csv.gz; default: January 2013"
)

PROJECTIONS = [
    DEPARTURES.with_lag(Lag.lognormal(median=0.04, sigma=0.5)),
    CARRIER_PUNCTUALITY.with_lag(Lag.exponential(0.1)),
    AIRPORT_HOURS.with_lag(Lag.uniform(0.05, 0.2)),
    AIRCRAFT_LEGS.with_lag(Lag.constant(0.3)),
]
LIMITS = Limits(active_aggregates=10_000, bus_events=50_000, cached_rows=10_000)
"""Flights are new all the time and soon over: memory holds those of some days, however long the record is. The
lags here keep a few thousand events waiting at full speed: they are buffered, not read from the disk again."""

CHECKED_AT_ONCE = 500
SHOWN = 10
"""Rejections and malformed rows told on the terminal; the JSON report has all."""


@scenario(options=[CSV])
async def main(world: World) -> None:
    path = Path(world.option(CSV) or JANUARY)
    malformed: list[MalformedRow] = []
    with wrong_usage():
        surveyed = survey(path)
    world.say(f"{path.name}: {surveyed.rows:,} rows, one a flight.")
    async with world.open(
        deciders=[FLIGHT, AIRCRAFT], projections=PROJECTIONS, limits=LIMITS
    ) as runtime:
        began = world.elapsed()
        async with world.watch_lag(runtime) as lag:
            with world.progress("flights", surveyed.rows) as advance:
                in_file_order = records(path, surveyed, malformed.append)
                in_order_of_time = steps(in_file_order, surveyed.out_of_order_minutes)
                replayed = await replay(runtime, in_order_of_time, advance)
            replay_seconds = world.elapsed() - began
            answered = world.clock.monotonic()
            head = await runtime.settle()
            catch_up_seconds = world.clock.monotonic() - answered  # as lags are: in scenario time
        commands = replayed.accepted + len(replayed.rejected)
        statistics = runtime.statistics()
        world.measure("rows", surveyed.rows)
        world.measure("commands", commands)
        world.measure("commands_per_second", commands / replay_seconds)
        world.measure("replay_seconds", replay_seconds)
        world.measure("catch_up_seconds", catch_up_seconds)
        world.measure("events", statistics.events)
        world.measure("transactions", statistics.transactions)
        world.measure("rejected", len(replayed.rejected))
        world.measure("malformed", len(malformed))
        world.measure("peak_lag_seconds", lag.peak_seconds)
        world.measure("lag", lag.report())
        world.measure_rows("rejections", replayed.rejected)
        world.measure_rows("malformed_rows", malformed)

        await tell_the_views(world, runtime)
        tell_what_was_written(world, replayed, malformed, replay_seconds)
        tell_the_lag(world, lag, catch_up_seconds)
        world.title("Whether it converged")
        world.promise(
            f"every command was answered: {replayed.accepted:,} receipts, {len(replayed.rejected):,} rejections; "
            "every receipt stands in the log",
            replayed.accepted == statistics.events == head,
        )
        world.promise(
            f"the views converged: each has applied all {head:,} events",
            all(each.position == head for each in runtime.statistics().projections.values()),
        )
        await check_against_the_file(world, runtime, path, surveyed.rows, malformed)
        for view in VIEWS:
            await world.measure_view(runtime, view)


@contextmanager
def wrong_usage() -> Iterator[None]:
    try:
        yield
    except UnreadableRecord as error:
        raise WrongUsage(f"--csv: {error}") from error


# --- telling --------------------------------------------------------------------------------------------


def tell_what_was_written(
    world: World, replayed: Replayed, malformed: Sequence[MalformedRow], seconds: float
) -> None:
    commands = replayed.accepted + len(replayed.rejected)
    world.title("What was written")
    world.say(
        f"{commands:,} commands in {seconds:.1f} s ({commands / seconds:,.0f} a second), each answered once it was "
        f"safe on the disk: {replayed.accepted:,} events."
    )
    if replayed.rejected:
        world.say(
            f"{len(replayed.rejected):,} commands were rejected by the aggregate they were for:"
        )
        shown(
            world,
            [f"line {each.line}: {each.aggregate}: {each.reason}" for each in replayed.rejected],
        )
    if malformed:
        world.say(f"{len(malformed):,} rows are malformed and were left out:")
        shown(world, [f"line {each.line}: {each.problem}" for each in malformed])


def shown(world: World, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        world.say(f"  {line}")
    if len(lines) > SHOWN:
        world.say(f"  … and {len(lines) - SHOWN:,} more: --json FILE has them all")


def tell_the_lag(world: World, lag: LagRecord, seconds: float) -> None:
    world.title("How far the read side lagged")
    world.say(
        "The age of the oldest event that a view did not show yet, while the commands came in:"
    )
    summary = sorted(lag.summary(), key=lambda each: each.peak_seconds)
    world.say(f"  {summary[-1].replica}")
    world.say("\n".join(lag.plot(summary[-1].replica)))
    world.table(
        ["view/replica", "median s", "peak s", "peak events"],
        [
            (each.replica, each.median_seconds, each.peak_seconds, each.peak_events)
            for each in summary
        ],
    )
    world.say(
        f"The last event was visible everywhere {seconds:.2f} s after the last command was answered."
    )


async def tell_the_views(world: World, runtime: Runtime) -> None:
    world.title("What the views say")
    carriers = await runtime.query(CARRIER_PUNCTUALITY, order_by="mean_arrival_delay")
    world.table(
        ["carrier", "scheduled", "landed", "cancelled", "diverted", "mean arrival delay"],
        [
            (
                row.carrier,
                row.scheduled,
                row.landed,
                row.cancelled,
                row.diverted,
                row.mean_arrival_delay,
            )
            for row in carriers.rows
        ],
    )
    worst = await runtime.query(AIRPORT_HOURS, order_by="-cancellations", limit=1)
    busiest = await runtime.query(AIRCRAFT_LEGS, order_by="-minutes_in_the_air", limit=1)
    for hour in worst.rows:
        world.say(
            f"  The worst hour: {hour.origin} at {hour.hour}, {hour.cancellations} of "
            f"{hour.scheduled_departures} flights cancelled."
        )
    for aircraft in busiest.rows:
        world.say(
            f"  The busiest aircraft: {aircraft.tail_number}, {aircraft.legs_landed} legs from New York, "
            f"{aircraft.minutes_in_the_air / 60:,.0f} hours in the air."
        )


# --- checking -------------------------------------------------------------------------------------------


async def check_against_the_file(
    world: World, runtime: Runtime, path: Path, rows: int, malformed: Sequence[MalformedRow]
) -> None:
    """Promise that the views hold what a plain loop over the file computes."""
    tally = Tally(path, {each.line for each in malformed})
    expected_departures = tally.departures()
    statuses: Counter[str] = Counter()
    wrong: list[str] = []
    # Some at a time: neither the file nor the view is held in memory.
    while part := {str(row["flight"]): row for row in islice(expected_departures, CHECKED_AT_ONCE)}:
        answers = await runtime.query(DEPARTURES, where={"flight": [*part]}, limit=len(part) + 1)
        statuses.update(row.status for row in answers.rows)
        wrong += differing(part, {row.flight: asdict(row) for row in answers.rows})
    beyond = await runtime.query(DEPARTURES, limit=1, offset=tally.rows)
    world.measure("statuses", dict(statuses))
    counts = ", ".join(f"{count:,} {status}" for status, count in statuses.most_common())
    world.promise(
        f"each of the {rows - len(malformed):,} rows ended in one status: {counts or 'there is none'}",
        sum(statuses.values()) == tally.rows == rows - len(malformed)
        and statuses.keys() <= {"landed", "cancelled", "diverted"},
    )
    equal(world, DEPARTURES, tally.rows, [*wrong, *(row.flight for row in beyond.rows)])
    for view, expected in (
        (CARRIER_PUNCTUALITY, tally.carriers),
        (AIRPORT_HOURS, tally.airport_hours),
        (AIRCRAFT_LEGS, tally.aircraft),
    ):
        await check_view(world, runtime, view, expected)


async def check_view(
    world: World, runtime: Runtime, view: View[Any, Any, Any], expected: Mapping[Any, Row]
) -> None:
    found = {view.schema.key_of(row): asdict(row) for row in (await runtime.query(view)).rows}
    equal(world, view, len(expected), differing(expected, found))


def equal(world: World, view: View[Any, Any, Any], rows: int, wrong: Sequence[object]) -> None:
    examples = f"; {len(wrong):,} differ: {', '.join(map(str, wrong[:3]))}" if wrong else ""
    world.promise(
        f"{view.name} ({rows:,} rows) equals a plain loop over the file, to the digit{examples}",
        not wrong,
    )
