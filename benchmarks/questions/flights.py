"""Does real input go through at speed, and does memory stay with what is alive?"""

from ..figures import Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

SHIPPED, GIVEN = "January 2013, as shipped", "the file of --flights"
MOST_BYTES_PER_EVENT = 64.0
"""An event that stays in memory takes more than five times this."""


def flights(lab: Laboratory) -> Answer:
    sides = {SHIPPED: Side("flights.replay", {"csv": None})}
    skipped = []
    if lab.flights is None:
        skipped.append("memory is skipped: a month does not fill the caches (--flights FILE does).")
    else:
        sides[GIVEN] = Side("flights.replay", {"csv": str(lab.flights.resolve())})
    rounds = lab.alternate(sides, lab.disk, min(lab.rounds, 2))
    largest = GIVEN if rounds.has(GIVEN) else SHIPPED
    targets = [
        Target(
            f"flights, {largest}: durable commands/s",
            rounds.samples(largest, "commands_per_second"),
            15_000,
            form="{:,.0f}",
        )
    ]
    memory = "bytes_per_event" in rounds.sides[largest][0]
    if memory and largest == GIVEN:
        targets.append(
            Target(
                "flights: memory per further event",
                rounds.samples(largest, "bytes_per_event"),
                most=MOST_BYTES_PER_EVENT,
                form="{:.0f} bytes",
            )
        )
    elif not memory:
        skipped.append("memory is skipped: this system has no /proc.")
    figures = ("commands_per_second", "events", "rejected", "malformed")
    rows = [
        (
            side,
            *(spread(rounds.samples(side, figure)) for figure in figures),
            f"{rounds.samples(side, 'replay_memory_bytes').median / 1e6:,.0f}" if memory else "-",
        )
        for side in rounds.sides
    ]
    headings = ("", "commands/s (min - max)", "events", "rejected", "malformed", "memory MB")
    note = "The scenario ends well only if all four views equal a plain loop over the file."
    return Answer(
        [Table("Real flights", headings, rows, [note])], targets, {lab.disk.name: rounds}, skipped
    )
