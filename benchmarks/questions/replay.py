"""How fast is a view built from a long log?"""

from ..figures import Target
from ..laboratory import Laboratory, Side, fresh_folder
from ..report import Answer, Table, spread

BARE, MEMORY, SQLITE = "bare fetchmany(1000)", "into memory", "into SQLite, with the checkpoint"


def replay(lab: Laboratory) -> Answer:
    events = lab.scaled(1_000_000)
    with fresh_folder(lab.disk) as folder:
        database = str(folder / "long.db")
        lab.say(f"building a log of {events:,} events")
        lab.run(build(database, events), lab.disk)
        rounds = lab.alternate(
            {
                BARE: Side("log.fetchmany", {"database": database}, folder=False),
                MEMORY: Side("replay.replay", {"database": database, "memory": True}),
                SQLITE: Side("replay.replay", {"database": database, "memory": False}),
            },
            lab.disk,
            min(lab.rounds, 3),
        )
    rate = {side: rounds.samples(side, "commands_per_second") for side in rounds.sides}
    return Answer(
        [
            Table(
                f"Replay of {events:,} events",
                ("", "events/s (min - max)", "CPU us/event"),
                [
                    (
                        side,
                        spread(rate[side]),
                        f"{rounds.samples(side, 'cpu_us_per_command').median:.2f}",
                    )
                    for side in rounds.sides
                ],
                [
                    "From opening the runtime until the view has the last event.",
                    "Bare: the same columns, not decoded.",
                ],
            )
        ],
        [
            Target(
                "replay into memory: of a bare fetchmany",
                rate[MEMORY].per(rate[BARE]),
                0.50,
                form="{:.1%}",
            ),
            Target(
                "replay into SQLite: of a bare fetchmany",
                rate[SQLITE].per(rate[BARE]),
                0.30,
                aim=0.35,
                form="{:.1%}",
            ),
        ],
        {lab.disk.name: rounds},
    )


def build(database: str, events: int, accounts: int = 1_000, prefix: str = "a") -> Side:
    parameters: dict[str, int | str] = {"events": events, "accounts": accounts, "prefix": prefix}
    return Side("log.build", parameters | {"database": database}, folder=False)
