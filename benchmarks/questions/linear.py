"""Does ten times the work take ten times the time?

Raw inserts of the same rows stand beside it: what SQLite itself does with ten times the rows is told
apart from what the runtime does.
"""

from ..figures import Rounds, Samples, Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

COMMANDS = 20_000
ONCE, TEN_TIMES = "W", "W with 10 x the commands"
RAW, RAW_TEN_TIMES = "raw sqlite3, the same rows", "raw sqlite3, 10 x the rows"
TOLERANCE = 0.15


def linear(lab: Laboratory) -> Answer:
    commands = lab.scaled(COMMANDS)
    sides = {
        ONCE: workload(commands),
        TEN_TIMES: workload(commands * 10),
        RAW: raw(commands),
        RAW_TEN_TIMES: raw(commands * 10),
    }
    rounds = lab.alternate(sides, lab.disk, min(lab.rounds, 3))
    growth = per_command(rounds, RAW_TEN_TIMES, RAW)
    note = f"Raw inserts take {spread(growth, '{:.2f}')} x the time per row with 10 x the rows."
    return Answer(
        [times(rounds, "Cost of ten times the commands", note)],
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


def raw(commands: int) -> Side:
    return Side("log.multi_row_values", {"commands": commands, "accounts": 1_000})


def per_command(rounds: Rounds, side: str, reference: str) -> Samples:
    """Time per command beside the time per command of the reference: 1 is linear."""
    return rate(rounds, reference).per(rate(rounds, side))


def rate(rounds: Rounds, side: str) -> Samples:
    """End to end where there is a view to wait for."""
    end_to_end = "end_to_end_per_second"
    known = end_to_end in rounds.sides[side][0]
    return rounds.samples(side, end_to_end if known else "commands_per_second")


def times(rounds: Rounds, title: str, *notes: str) -> Table:
    return Table(
        title,
        ("", "seconds (min - max)", "end to end/s (min - max)", "CPU us"),
        [
            (
                side,
                spread(rounds.samples(side, "seconds"), "{:.2f}"),
                spread(rate(rounds, side)),
                f"{rounds.samples(side, 'cpu_us_per_command').median:.1f}",
            )
            for side in rounds.sides
        ],
        notes,
    )
