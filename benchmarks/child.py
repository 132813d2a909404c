"""The child's end: run one side once, print its figures as the last line of standard output.

A fresh process per run: no side inherits another's heap, caches or threads, a preloaded fsync
reaches only the side it is meant for, and another interpreter can take the same run.
"""

import gc
import importlib
import sys
from collections.abc import Callable
from typing import cast

import msgspec

from .figures import Figures

Parameter = str | int | float | bool | None


class Order(msgspec.Struct, frozen=True):
    """Which side to run: `module.function` under benchmarks.sides, and its keyword arguments."""

    side: str
    parameters: dict[str, Parameter]


def run(order: Order) -> Figures:
    module_name, _, function_name = order.side.rpartition(".")
    module = importlib.import_module(f"benchmarks.sides.{module_name}")
    side = cast("Callable[..., Figures]", getattr(module, function_name))
    return side(**order.parameters)


def main() -> None:
    if not gc.isenabled():
        raise RuntimeError("the garbage collector is off: every side is measured with it on.")
    figures = run(msgspec.json.decode(sys.argv[1], type=Order))
    sys.stdout.write("\n" + msgspec.json.encode(figures).decode() + "\n")


if __name__ == "__main__":
    main()
