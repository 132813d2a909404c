"""Is a newer interpreter no slower? W under this one and under each of --python, by turns."""

import subprocess
import sys

from ..figures import Target
from ..laboratory import Laboratory, Side, SideFailed
from ..report import Answer, Table, spread
from .throughput import ACCOUNTS, COMMANDS, COMMANDS_ONE_BY_ONE

CLIENTS = ((1, COMMANDS_ONE_BY_ONE), (100, COMMANDS), (1_000, COMMANDS))


def interpreters(lab: Laboratory) -> Answer:
    versions = {version_of(python): python for python in (sys.executable, *lab.pythons)}
    here, *others = versions
    sides: dict[str, Side] = {}
    for clients, commands in CLIENTS:
        for version, python in versions.items():
            sides[name(version, clients)] = Side(
                "runtime.workload",
                {
                    "clients": clients,
                    "commands": lab.scaled(commands),
                    "accounts": lab.scaled(ACCOUNTS),
                },
                python=python,
            )
    rounds = lab.alternate(sides, lab.disk)
    rate = {side: rounds.samples(side, "commands_per_second") for side in sides}
    return Answer(
        [
            Table(
                "W under other interpreters",
                ("", "commands/s (min - max)", "CPU us"),
                [
                    (
                        side,
                        spread(rate[side]),
                        f"{rounds.samples(side, 'cpu_us_per_command').median:.1f}",
                    )
                    for side in sides
                ],
            )
        ],
        [
            Target(
                f"{name(other, clients)}: rate of {here}",
                rate[name(other, clients)].per(rate[name(here, clients)]),
                1.0,
            )
            for other in others
            for clients, _ in CLIENTS
        ],
        {lab.disk.name: rounds},
    )


def name(version: str, clients: int) -> str:
    return f"{version}, {clients:,} client{'s' if clients > 1 else ''}"


def version_of(python: str) -> str:
    """`Python 3.13.0`. Raises SideFailed when it can't run W, with what to do about it."""
    code = "import platform, aftertide; print('Python', platform.python_version())"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError as error:
        raise SideFailed(f"--python {python}: it can't be started: {error}.") from error
    if done.returncode:
        raise SideFailed(
            f"--python {python}: it can't import aftertide. Install this checkout there: "
            f"{python} -m pip install -e ."
        )
    return done.stdout.strip()
