"""argparse as our commands use it: types with our texts, a hint where an option is mistyped, no abbreviations."""

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")

Complete = Callable[["CommandParser", argparse.Namespace, list[str]], None]


class CommandParser(argparse.ArgumentParser):
    """A parser that may be completed: `complete` gets what it understood and the arguments it did not.

    That is how a command has options that depend on another argument.
    """

    complete: Complete | None = None

    @property
    def option_strings(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        if self.complete is None:
            if rest:
                self.unknown(rest[0])
            return found, rest
        self.complete(self, found, rest)
        return found, []

    def unknown(self, argument: str, others: Sequence[str] = ()) -> NoReturn:
        """End with the sentence for an argument that nothing takes; `others` are options beside this parser's."""
        options = [*self.option_strings, *others]
        near = difflib.get_close_matches(argument.partition("=")[0], options, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"See {self.prog} --help."
        self.error(f"{argument!r} is not understood here. {hint}")


Subparsers = (
    argparse._SubParsersAction
)  # what add_subparsers returns; argparse has no public name for it


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """An argument's type whose ValueError is shown as it is."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """An argument's type: a whole number in a range."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return number

    return convert
