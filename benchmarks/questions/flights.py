"""Does real input go through at speed, and does memory stay with what is alive?"""

from ..figures import Samples, Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

SHIPPED, GIVEN = "January 2013, as shipped", "the file of --flights"
MOST_BYTES_PER_EVENT = 64.0
"""Far below what an event takes in memory (300 bytes and its payload): none may stay."""


def flights(lab: Laboratory) -> Answer:
    sides = {SHIPPED: Side("flights.replay", {"csv": None})}
    skipped = []
    if lab.flights is None:
        skipped.append(
            "growth of memory with more flights is skipped: it needs a larger file (--flights)."
        )
    else:
        sides[GIVEN] = Side("flights.replay", {"csv": str(lab.flights.resolve())})
    rounds = lab.alternate(sides, lab.disk, min(lab.rounds, 3))
    largest = GIVEN if rounds.has(GIVEN) else SHIPPED
    targets = [
        Target(
            f"flights, {largest}: durable commands/s, views caught up",
            rounds.samples(largest, "commands_per_second"),
            15_000,
            form="{:,.0f}",
        )
    ]
    if rounds.has(GIVEN):
        more_memory = [
            given["largest_memory_bytes"] - shipped["largest_memory_bytes"]
            for given, shipped in zip(rounds.sides[GIVEN], rounds.sides[SHIPPED], strict=True)
        ]
        more_events = rounds.sides[GIVEN][0]["events"] - rounds.sides[SHIPPED][0]["events"]
        targets.append(
            Target(
                "flights: memory per further event",
                Samples(tuple(grown / more_events for grown in more_memory)),
                most=MOST_BYTES_PER_EVENT,
                form="{:.0f} bytes",
            )
        )
    figures = ("commands_per_second", "events", "rejected", "malformed")
    return Answer(
        [
            Table(
                "Real flights",
                (
                    "",
                    "commands/s (min - max)",
                    "events",
                    "rejected",
                    "malformed",
                    "largest memory MB",
                ),
                [
                    (
                        side,
                        *(spread(rounds.samples(side, figure)) for figure in figures),
                        f"{rounds.samples(side, 'largest_memory_bytes').median / 1e6:,.0f}",
                    )
                    for side in rounds.sides
                ],
            )
        ],
        targets,
        {lab.disk.name: rounds},
        skipped,
    )
