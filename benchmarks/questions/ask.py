"""What does the way to an aggregate and back cost, without disk or view, beside a future?"""

from importlib.util import find_spec

from ..figures import Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

FUTURE_ONE, ONE = "a bare future, 1 client", "Aftertide, 1 aggregate, 1 client"
FUTURE_MANY, MANY = "a bare future, 1,000 clients", "Aftertide, 1,000 aggregates, 1,000 clients"
THESPIAN, PYKKA = "Thespian simple system, 1 actor, 1 client", "Pykka, 1 actor, 1 client"


def ask(lab: Laboratory) -> Answer:
    one, many = lab.scaled(50_000), lab.scaled(200_000)
    sides = {
        FUTURE_ONE: Side("future.round_trips", {"clients": 1, "count": one}, folder=False),
        ONE: Side("ask.asks", {"clients": 1, "actors": 1, "count": one}, folder=False),
        THESPIAN: Side("threads.thespian", {"count": one}, folder=False),
        PYKKA: Side("threads.pykka", {"count": one // 4}, folder=False),
        FUTURE_MANY: Side("future.round_trips", {"clients": 1_000, "count": many}, folder=False),
        MANY: Side("ask.asks", {"clients": 1_000, "actors": 1_000, "count": many}, folder=False),
    }
    skipped = []
    for side, module in ((THESPIAN, "thespian"), (PYKKA, "pykka")):
        if find_spec(module) is None:
            del sides[side]
            skipped.append(f"{module} is skipped: it is not installed (pip install '.[bench]').")
    rounds = lab.alternate(sides, lab.disk)
    rate = {side: rounds.samples(side, "commands_per_second") for side in rounds.sides}
    targets = [
        Target(
            "execute in memory, 1 x 1: of a bare future",
            rate[ONE].per(rate[FUTURE_ONE]),
            0.60,
            form="{:.1%}",
        ),
        Target(
            "execute in memory, 1,000 x 1,000: of a bare future",
            rate[MANY].per(rate[FUTURE_MANY]),
            0.70,
            form="{:.1%}",
        ),
    ]
    for side, least in ((THESPIAN, 1.5), (PYKKA, 8.0)):
        if rounds.has(side):
            promise = f"execute in memory, 1 x 1: {side.partition(',')[0]}'s rate"
            targets.append(Target(promise, rate[ONE].per(rate[side]), least, form="{:.1f} x"))
    rows = [
        (side, spread(rate[side]), f"{rounds.samples(side, 'cpu_us_per_command').median:.2f}")
        for side in rounds.sides
    ]
    notes = [
        "execute on memory stores: envelope, mailbox, decide, evolve, append, receipt.",
        "The others keep no log: their actor folds the deposit and answers.",
    ]
    table = Table(
        "Asking an aggregate in memory", ("", "asks/s (min - max)", "CPU us"), rows, notes
    )
    return Answer([table], targets, {"memory": rounds}, skipped)
