"""How long until an aggregate with a past can decide?"""

from ..figures import Target
from ..laboratory import Laboratory, Side, fresh_folder
from ..report import Answer, Table, spread
from .replay import build

EVENTS_EACH = 1_000
AGGREGATES = 100


def activation(lab: Laboratory) -> Answer:
    with fresh_folder(lab.disk) as folder:
        database = str(folder / "past.db")
        lab.run(build(database, EVENTS_EACH * AGGREGATES, AGGREGATES), lab.disk)
        side = Side(
            "replay.activations", {"database": database, "accounts": AGGREGATES}, folder=False
        )
        rounds = lab.alternate({"both": side}, lab.disk)
    bare, activated = rounds.samples("both", "bare_us"), rounds.samples("both", "activation_us")
    return Answer(
        [
            Table(
                f"Activation of an aggregate with {EVENTS_EACH:,} events",
                ("", "us, median of aggregates (min - max)"),
                [
                    ("bare fetch, decode and fold", spread(bare)),
                    ("execute, from the cold", spread(activated)),
                ],
            )
        ],
        [
            Target(
                "activation: speed of a bare fetch, decode and fold",
                bare.per(activated),
                0.60,
                form="{:.1%}",
            )
        ],
        {lab.disk.name: rounds},
    )
