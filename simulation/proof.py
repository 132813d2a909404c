"""Determinism, proved and not hoped: the same seed twice here, and again in processes that hash otherwise.

A set of strings has one order inside a process, whatever the seed; only another process with another
PYTHONHASHSEED shows it. Addresses differ between two runs in one process. So both are needed.

    python -m aftertide.simulation.proof MODULE:FUNCTION SEED      prints the trace, one event a line
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from .errors import Diverged
from .trace import first_difference
from .world import Simulation

World = Callable[[int], Simulation]
"""Runs one simulation with this seed and returns it."""

_PATIENCE_SECONDS = 120.0


def prove_determinism(world: str, seed: int, *, hash_seeds: Sequence[str] = ("0", "1")) -> str:
    """Run `module:function` with this seed twice here and once in a process for each hash seed.

    Returns the digest that all of them had. Raises Diverged with the first event that differs.
    """
    first = find_world(world)(seed)
    lines = list(first.trace.lines())
    _compare(
        world, seed, lines, "again in this process", list(find_world(world)(seed).trace.lines())
    )
    for hash_seed in hash_seeds:
        place = f"in a process with PYTHONHASHSEED={hash_seed}"
        _compare(world, seed, lines, place, run_elsewhere(world, seed, hash_seed))
    return first.trace.digest()


def _compare(world: str, seed: int, first: list[str], place: str, second: list[str]) -> None:
    difference = first_difference(first, second)
    if difference is not None:
        raise Diverged(
            f"{world} took another way {place}, with the same seed {seed}. Look for what comes from outside "
            f"(guard='watch' names it) or in the order of a set:\n{difference}"
        )


def run_elsewhere(world: str, seed: int, hash_seed: str) -> list[str]:
    """The trace, as lines, of a run in another process."""
    done = subprocess.run(
        [sys.executable, "-m", "aftertide.simulation.proof", world, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Diverged(
            f"{world} with seed {seed} failed in another process:\n{done.stderr[-4_000:]}"
        )
    return done.stdout.splitlines()


def find_world(name: str) -> World:
    """The function behind `module:function`. Raises ValueError where there is none."""
    module, _, function = name.partition(":")
    try:
        world: World = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{name!r} names no world: {error}. Write module:function.") from error
    return world


if __name__ == "__main__":
    sys.stdout.writelines(
        f"{line}\n" for line in find_world(sys.argv[1])(int(sys.argv[2])).trace.lines()
    )
