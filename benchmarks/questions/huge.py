"""Does a long past slow the present? W on a log that holds 10,000,000 events already (--huge)."""

from ..figures import Target
from ..laboratory import Laboratory, Side, fresh_folder
from ..report import Answer
from .linear import COMMANDS, TOLERANCE, per_command, times, workload
from .replay import build

FRESH, LONG, LONG_TEN_TIMES = "W, empty log", "W, long log", "W with 10 x the commands, long log"


def huge(lab: Laboratory) -> Answer:
    events, commands = lab.scaled(10_000_000), lab.scaled(COMMANDS)
    with fresh_folder(lab.disk) as folder:
        database = str(folder / "huge.db")
        lab.say(f"building a log of {events:,} events")
        # The past belongs to other accounts: the log's length is asked, not that of a stream.
        lab.run(build(database, events, 10_000, "h"), lab.disk)
        lab.say("letting the view catch up with it")
        lab.run(workload(1_000, database), lab.disk)
        sides: dict[str, Side] = {
            FRESH: workload(commands),
            LONG: workload(commands, database),
            LONG_TEN_TIMES: workload(commands * 10, database),
        }
        rounds = lab.alternate(sides, lab.disk, min(lab.rounds, 3))
    return Answer(
        [times(rounds, f"W on a log of {events:,} events")],
        [
            Target(
                f"{events:,} events in the log: time of W, of the time on an empty log",
                per_command(rounds, LONG, FRESH),
                most=1 + TOLERANCE,
            ),
            Target(
                f"{events:,} events in the log, 10 x the commands: time, of 10 x the time",
                per_command(rounds, LONG_TEN_TIMES, LONG),
                1 - TOLERANCE,
                1 + TOLERANCE,
            ),
        ],
        {lab.disk.name: rounds},
    )
