"""Is one aggregate that everybody wants as fast as a thousand?"""

from ..figures import Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

HOT, SPREAD = "1 aggregate, 1,000 clients", "1,000 aggregates, 1,000 clients"


def hot(lab: Laboratory) -> Answer:
    commands = lab.scaled(20_000)
    rounds = lab.alternate(
        {
            SPREAD: Side(
                "runtime.workload", {"clients": 1_000, "commands": commands, "accounts": 1_000}
            ),
            HOT: Side("runtime.workload", {"clients": 1_000, "commands": commands, "accounts": 1}),
        },
        lab.disk,
    )
    rate = {side: rounds.samples(side, "commands_per_second") for side in rounds.sides}
    return Answer(
        [
            Table(
                "A hot aggregate",
                ("", "commands/s (min - max)", "p99 us"),
                [
                    (side, spread(rate[side]), spread(rounds.samples(side, "p99_us")))
                    for side in rounds.sides
                ],
            )
        ],
        [Target("a hot aggregate: rate of 1,000 aggregates", rate[HOT].per(rate[SPREAD]), 1.0)],
        {lab.disk.name: rounds},
    )
