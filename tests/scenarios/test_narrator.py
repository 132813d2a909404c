"""The story is the same on a terminal and in a file."""

import io

import pytest

from aftertide.scenarios import Narrator
from aftertide.scenarios.narrator import narrator_for, table_lines
from aftertide.scenarios.terminal import TerminalNarrator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def test_a_table_has_numbers_to_the_right_and_texts_to_the_left() -> None:
    lines = table_lines(["name", "n", "share"], [("a", 1, 0.5), ("long name", 12_345, None)])
    assert lines == [
        "  name            n  share",
        "  a               1  0.500",
        "  long name  12,345      –",
    ]


def test_an_empty_table_is_its_headers() -> None:
    assert table_lines(["a", "b"], []) == ["  a  b"]


def test_a_file_gets_a_line_for_each_tenth_of_a_long_work() -> None:
    told = io.StringIO()
    with Narrator(told).progress("rows", 1_000) as advance:
        for _ in range(100):
            advance(10)
    lines = told.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "  rows: 10 % (100 of 1,000)"
    assert lines[-1] == "  rows: 100 % (1,000 of 1,000)"


def test_a_work_of_nothing_does_not_fail() -> None:
    with Narrator(io.StringIO()).progress("rows", 0) as advance:
        advance(0)


def test_paragraphs_are_wrapped_and_indented_lines_stay() -> None:
    told = io.StringIO()
    Narrator(told).say("word " * 50 + "\n  " + "x" * 150)
    first, *_, last = told.getvalue().splitlines()
    assert len(first) <= 100
    assert last == "  " + "x" * 150


def test_a_terminal_is_told_the_same_words_in_colour() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for narrator in (Narrator(plain), TerminalNarrator(terminal)):
        narrator.title("A title")
        narrator.say("[not markup] and 123")
        narrator.promise("held", True)
        narrator.promise("not held", False)
    assert "\x1b[" in terminal.getvalue()
    without_colour = terminal.getvalue()
    for code in ("0", "1;32", "1;31", "1;36", "36"):
        without_colour = without_colour.replace(f"\x1b[{code}m", "")
    assert without_colour == plain.getvalue()


def test_no_colour_is_used_where_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    TerminalNarrator(terminal).promise("held", True)
    assert "32" not in terminal.getvalue()  # green; bold is no colour
    assert "✓" in terminal.getvalue()


def test_lines_told_during_a_long_work_stand_on_a_terminal_too() -> None:
    terminal = Terminal()
    narrator = TerminalNarrator(terminal)
    with narrator.progress("rows", 2) as advance:
        advance(1)
        narrator.say("half way")
        advance(1)
    assert "half way" in terminal.getvalue()


def test_the_narrator_fits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(narrator_for(Terminal())) is TerminalNarrator
    assert type(narrator_for(io.StringIO())) is Narrator
    monkeypatch.setenv("TERM", "dumb")
    assert type(narrator_for(Terminal())) is Narrator


def test_without_rich_a_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aftertide.scenarios.terminal", None)
    assert type(narrator_for(Terminal())) is Narrator
