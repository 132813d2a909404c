"""Do commands feel a view that replays a long log beside them?"""

from ..figures import Target
from ..laboratory import Laboratory, Side, fresh_folder
from ..report import Answer, Table, spread
from .replay import build


def beside(lab: Laboratory) -> Answer:
    events, commands = lab.scaled(1_000_000), lab.scaled(20_000)
    with fresh_folder(lab.disk) as folder:
        database = str(folder / "long.db")
        lab.say(f"building a log of {events:,} events")
        lab.run(build(database, events), lab.disk)
        side = Side("replay.beside", {"database": database, "clients": 100, "commands": commands})
        rounds = lab.alternate({"100 clients": side}, lab.disk, min(lab.rounds, 3))
    busy, quiet = (
        {
            figure: rounds.samples("100 clients", f"{when}_{figure}")
            for figure in ("commands_per_second", "p50_us", "p99_us", "longest_us")
        }
        for when in ("beside", "quiet")
    )
    done = rounds.samples("100 clients", "replayed_at_the_end").per(
        rounds.samples("100 clients", "history")
    )
    notes = [f"At the last receipt beside it, the replay had done {spread(done, '{:.0%}')}."]
    if done.high >= 1:
        notes.append("NOTE: it ended before the commands did, so the ratio is too kind.")
    return Answer(
        [
            Table(
                f"100 clients while a view replays {events:,} events",
                ("", "commands/s (min - max)", "p50 us", "p99 us", "longest us"),
                [
                    (name, *(spread(samples) for samples in figures.values()))
                    for name, figures in (("quiet", quiet), ("beside the replay", busy))
                ],
                notes,
            )
        ],
        [
            Target(
                "p99 beside a replay: of the quiet p99",
                busy["p99_us"].per(quiet["p99_us"]),
                most=3.0,
            )
        ],
        {lab.disk.name: rounds},
    )
