"""What does an aggregate cost that is in memory and does nothing?"""

from ..figures import Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table

IDLE = "idle"


def idle(lab: Laboratory) -> Answer:
    count = lab.scaled(100_000)
    # Counted, not timed: every round gives the same.
    rounds = lab.alternate({IDLE: Side("idle.actors", {"count": count})}, lab.disk, 1)
    (figures,) = rounds.sides[IDLE]
    where = [(name, f"{value:.0f}") for name, value in figures.items() if name.startswith("bytes_")]
    return Answer(
        [Table(f"Memory of {count:,} idle aggregates", ("", "bytes each"), where)],
        [
            Target(
                "an activated idle aggregate, beside its state",
                rounds.samples(IDLE, "bytes_per_actor"),
                most=350,
                form="{:.0f} bytes",
            ),
            Target(
                "aggregates active at once in one process",
                rounds.samples(IDLE, "active"),
                least=count,
                form="{:,.0f}",
            ),
        ],
        {"memory": rounds},
    )
