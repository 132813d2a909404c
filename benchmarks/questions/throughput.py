"""How many durable commands a second, beside the limit of SQLite and beside the peer?

Targets hold on the real disk. The fixed fsync costs show how the figures move with the disk.
"""

from importlib.util import find_spec

from ..disks import Disk, why_no_fixed_disks
from ..figures import Rounds, Samples, Target
from ..laboratory import Laboratory, Side
from ..report import Answer, Table, spread

ACCOUNTS = 1_000
COMMANDS = 20_000
COMMANDS_ONE_BY_ONE = 4_000
"""For sides that wait for the disk at every command: their rate does not depend on the number."""

LIMIT_WAYS = (
    "raw sqlite3, 1,000 a commit, executemany",
    "raw sqlite3, 1,000 a commit, multi-row VALUES",
)
COMMIT_EACH = "raw sqlite3, a commit per event"
PEER = "eventsourcing, commands only"
PEER_PROJECTION = "eventsourcing, with its projection"
CLIENTS = (1, 100, 1_000)


def aftertide(clients: int) -> str:
    return f"Aftertide, {clients:,} client{'s' if clients > 1 else ''}"


def throughput(lab: Laboratory) -> Answer:
    measured: dict[str, Rounds] = {}
    for disk in lab.disks:
        # The fixed costs repeat well; a slow disk needs its time. Three rounds tell.
        rounds = lab.rounds if disk is lab.disk else min(lab.rounds, 3)
        measured[disk.name] = lab.alternate(sides(lab, disk), disk, rounds)
    reason = None if len(lab.disks) > 1 else why_no_fixed_disks()
    skipped = [] if reason is None else [reason]
    if find_spec("eventsourcing") is None:
        skipped.append(
            "the peer is skipped: eventsourcing is not installed (pip install '.[bench]')."
        )
    return Answer(
        [table(name, rounds) for name, rounds in measured.items()],
        targets(measured[lab.disk.name]),
        measured,
        skipped,
    )


def sides(lab: Laboratory, disk: Disk) -> dict[str, Side]:
    accounts = lab.scaled(ACCOUNTS)
    many: dict[str, int | str] = {"commands": lab.scaled(COMMANDS), "accounts": accounts}
    few: dict[str, int | str] = {"commands": lab.scaled(COMMANDS_ONE_BY_ONE), "accounts": accounts}
    found = {
        LIMIT_WAYS[0]: Side("log.executemany", many),
        LIMIT_WAYS[1]: Side("log.multi_row_values", many),
        COMMIT_EACH: Side("log.commit_each", few),
        PEER: Side("peer.commands", few),
        PEER_PROJECTION: Side("peer.with_projection", few),
    }
    if find_spec("eventsourcing") is None:
        del found[PEER], found[PEER_PROJECTION]
    for clients in CLIENTS:
        share = few if clients == 1 else many
        found[aftertide(clients)] = Side("runtime.workload", share | {"clients": clients})
    return found


def table(disk: str, rounds: Rounds) -> Table:
    rows = []
    for side, runs in rounds.sides.items():
        first = runs[0]
        cells = [side, spread(rounds.samples(side, "commands_per_second"))]
        for figure, form in (
            ("end_to_end_per_second", "{:,.0f}"),
            ("p50_us", "{:,.0f}"),
            ("p99_us", "{:,.0f}"),
            ("cpu_us_per_command", "{:.1f}"),
            ("transactions_per_1000", "{:.1f}"),
            ("fsyncs_per_1000", "{:.1f}"),
        ):
            known = figure in first
            cells.append(form.format(rounds.samples(side, figure).median) if known else "-")
        rows.append(tuple(cells))
    headings = (
        "",
        "commands/s (min - max)",
        "end to end/s",
        "p50 us",
        "p99 us",
        "CPU us",
        "commits/1000",
        "fsyncs/1000",
    )
    return Table(
        f"Workload W on {disk}", headings, rows, [*ratio_notes(rounds), *WHAT_EACH_SIDE_DOES]
    )


WHAT_EACH_SIDE_DOES = (
    "Each side: a fresh file, WAL, synchronous=FULL, a deposit per account before the clock runs.",
    "Raw: rows made before, in the runtime's schema. The peer: aggregate cache on, no deep copy,",
    "msgspec Structs, one client. Aftertide: with its projection in a SQLite file.",
)


def ratio_notes(rounds: Rounds) -> list[str]:
    """Ratios for a disk that has no targets of its own: what the same run says there."""
    notes = []
    for clients in (1_000, 100):
        rate = rounds.samples(aftertide(clients), "commands_per_second")
        text = f"{clients:,} clients: {rate.per(limit(rounds)).median:.0%} of the limit"
        if rounds.has(PEER):
            text += (
                f", {rate.per(rounds.samples(PEER, 'commands_per_second')).median:.1f} x the peer"
            )
        notes.append(text)
    one = rounds.samples(aftertide(1), "commands_per_second")
    each = rounds.samples(COMMIT_EACH, "commands_per_second")
    text = f"1 client: {one.per(each).median:.0%} of a commit per event"
    if rounds.has(PEER):
        peer = rounds.samples(PEER, "commands_per_second")
        text += f", {one.per(peer).median:.2f} x the peer without a projection"
    return [*notes, text]


def limit(rounds: Rounds) -> Samples:
    """The better of the two ways, round by round."""
    ways = [rounds.samples(way, "commands_per_second") for way in LIMIT_WAYS]
    return ways[0].best(ways[1])


def targets(rounds: Rounds) -> list[Target]:
    rate = {
        clients: rounds.samples(aftertide(clients), "commands_per_second") for clients in CLIENTS
    }
    found = [
        Target(
            "1,000 clients: of the limit",
            rate[1_000].per(limit(rounds)),
            0.40,
            aim=0.45,
            form="{:.1%}",
        ),
        Target("100 clients: of the limit", rate[100].per(limit(rounds)), 0.25, form="{:.1%}"),
        Target(
            "1 client: of raw sqlite3 with a commit per event",
            rate[1].per(rounds.samples(COMMIT_EACH, "commands_per_second")),
            0.35,
            form="{:.1%}",
        ),
        Target(
            "1,000 clients: end to end, of the command rate",
            rounds.samples(aftertide(1_000), "end_to_end_per_second").per(rate[1_000]),
            0.95,
            form="{:.1%}",
        ),
    ]
    if rounds.has(PEER):
        peer = rounds.samples(PEER, "commands_per_second")
        found += [
            Target(
                "1,000 clients: the peer's rate", rate[1_000].per(peer), 25, aim=30, form="{:.1f} x"
            ),
            Target("100 clients: the peer's rate", rate[100].per(peer), 15, form="{:.1f} x"),
            Target(
                "1 client, end to end: the peer's with its projection",
                rounds.samples(aftertide(1), "end_to_end_per_second").per(
                    rounds.samples(PEER_PROJECTION, "end_to_end_per_second")
                ),
                1.0,
            ),
        ]
    for clients, most in ((1_000, 8), (100, 20)):
        counted = rounds.samples(aftertide(clients), "transactions_per_1000")
        found.append(
            Target(
                f"{clients:,} clients: commits per 1,000 commands",
                counted,
                most=most,
                form="{:.1f}",
            )
        )
    hops = rounds.samples(aftertide(1_000), "hops_per_transaction")
    found.append(Target("thread hops per commit", hops, most=1, form="{:.2f}"))
    return found
