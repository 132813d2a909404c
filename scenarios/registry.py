"""What a scenario is, which ones Aftertide brings, and how one is found: by its name or in a script.

Nothing runs here. A scenario registers nowhere: it is a value in its module, so that importing one has no
effect, and two scripts may use one name.
"""

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from .world import World

T = TypeVar("T")

Main = Callable[["World"], Awaitable[None]]

BUILT_IN = ("stale_read", "flash_sale", "bank", "flights")
"""In the order in which a newcomer would read them. Each is the module of that name."""


class WrongUsage(ValueError):
    """The run was asked for in a way it can't be done. Nothing was started; the text says what can."""


class UnknownScenario(WrongUsage):
    """There is no scenario by that name, or none in that script."""


@dataclass(frozen=True)
class Option(Generic[T]):
    """An option of a scenario's own: `Option("clients", 20, "how many transfer at once")` is `--clients N`.

    The default's type is the option's type; a default of None makes it a text that may be missing.
    `world.option(CLIENTS)` gives the value. A number below `least` is refused.
    """

    name: str
    default: T
    help: str
    least: int | None = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    def parse(self, text: str) -> T:
        """The value that the command line's text stands for. Raises ValueError with what is allowed."""
        kind: type = str if self.default is None else type(self.default)
        what = {int: "a whole number", float: "a number"}.get(kind, "a text")
        least = "" if self.least is None else f" from {self.least}"
        try:
            value = cast("T", kind(text))
        except ValueError:
            raise ValueError(f"{text!r} is not {what}{least}") from None
        if self.least is not None and isinstance(value, (int, float)) and not value >= self.least:
            raise ValueError(f"{text!r} is not {what}{least}")
        return value


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plot and the coroutine function that plays it."""

    name: str
    plot: str
    main: Main
    options: tuple[Option[Any], ...] = ()

    @property
    def headline(self) -> str:
        """The plot's first line."""
        return self.plot.partition("\n")[0]

    def __call__(self, world: "World") -> Awaitable[None]:
        return self.main(world)


def scenario(
    name: str | None = None, *, options: Sequence[Option[Any]] = ()
) -> Callable[[Main], Scenario]:
    """Make `async def main(world: World) -> None` a scenario.

    Its name is the module's where none is given. Its plot is the function's docstring, or else the
    module's. Raises TypeError for what is no coroutine function, ValueError for options that clash.
    """
    if callable(name):
        raise TypeError("write @scenario() with its brackets: it takes a name and options.")
    names = [option.name for option in options]
    for each in names:
        if not each.isidentifier() or names.count(each) > 1:
            raise ValueError(
                f"{each!r} can't be an option: its name must be a plain word, used once."
            )

    def make(main: Main) -> Scenario:
        if not inspect.iscoroutinefunction(main):
            raise TypeError(
                f"{main!r} can't be a scenario: it must be `async def main(world: World)`."
            )
        module = sys.modules.get(main.__module__)
        plot = inspect.getdoc(main) or inspect.cleandoc((module and module.__doc__) or "")
        own = name or main.__module__.rpartition(".")[2]
        return Scenario(
            own, plot or f"{own} tells no plot: give its module a docstring.", main, tuple(options)
        )

    return make


def built_in() -> list[Scenario]:
    """All scenarios that Aftertide brings."""
    return [
        _scenario_of(importlib.import_module(f"aftertide.scenarios.{name}")) for name in BUILT_IN
    ]


def is_script(name: str) -> bool:
    """Whether this names a script and no scenario that Aftertide brings."""
    return name.endswith(".py") or "/" in name or "\\" in name


def find(name: str) -> Scenario:
    """The scenario of this name, or the one in the script at this path.

    Raises UnknownScenario with what there is instead. What a script raises while it is read passes through.
    """
    if is_script(name):
        return _scenario_of(_load(Path(name)))
    if name not in BUILT_IN:
        near = difflib.get_close_matches(name.lower().replace("-", "_"), BUILT_IN, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(BUILT_IN)}."
        raise UnknownScenario(
            f"no scenario is named {name!r}. {hint} A script of your own is named by its path: ./{name}.py"
        )
    return _scenario_of(importlib.import_module(f"aftertide.scenarios.{name}"))


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UnknownScenario(f"{path} {what}: name a Python file with an @scenario in it.")
    # A name of its own: a script called json.py must not stand in for the standard library's.
    name = f"aftertide_script.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnknownScenario(f"{path} is no Python file: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    # As `python script.py` does: the script's neighbours can be imported, and the annotations of its
    # classes can be looked up by the module's name.
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _scenario_of(module: ModuleType) -> Scenario:
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, Scenario) and value.main.__module__ == module.__name__
    ]
    if len(own) != 1:
        held = "no scenario" if not own else "scenarios " + " and ".join(each.name for each in own)
        raise UnknownScenario(
            f"{module.__file__} holds {held}: it needs one `async def main(world: World) -> None` "
            "under an @scenario()."
        )
    return own[0]
