"""Does ten times the work take ten times the time?"""

from ..figures import Rounds, Samples, Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

COMMANDS = 20_000
ONCE, TEN_TIMES = "W", "W with 10 x the commands"
TOLERANCE = 0.15


def linear(lab: Laboratory) -> Answer:
    commands = lab.scaled(COMMANDS)
    rounds = lab.alternate(
        {ONCE: workload(commands), TEN_TIMES: workload(commands * 10)}, lab.disk, min(lab.rounds, 3)
    )
    return Answer(
        [times(rounds, "Cost of ten times the commands")],
        [
            Target(
                "10 x the commands: time, of 10 x the time",
                per_command(rounds, TEN_TIMES, ONCE),
                1 - TOLERANCE,
                1 + TOLERANCE,
            )
        ],
        {lab.disk.name: rounds},
    )


def workload(commands: int, database: str | None = None) -> Side:
    return Side(
        "runtime.workload",
        {"clients": 1_000, "commands": commands, "accounts": 1_000, "database": database},
    )


def per_command(rounds: Rounds, side: str, reference: str) -> Samples:
    """Time per command beside the time per command of the reference: 1 is linear."""
    rate = {name: rounds.samples(name, "end_to_end_per_second") for name in (side, reference)}
    return rate[reference].per(rate[side])


def times(rounds: Rounds, title: str) -> Table:
    return Table(
        title,
        ("", "seconds (min - max)", "end to end/s (min - max)"),
        [
            (
                side,
                spread(rounds.samples(side, "seconds"), "{:.2f}"),
                spread(rounds.samples(side, "end_to_end_per_second")),
            )
            for side in rounds.sides
        ],
    )
