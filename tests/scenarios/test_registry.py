"""What a scenario is and how it is found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from aftertide.scenarios import Option, Scenario, UnknownScenario, World, scenario
from aftertide.scenarios.registry import BUILT_IN, built_in, find, is_script

SCRIPT = '''"""A plot.

With a second paragraph.
"""

from aftertide.scenarios import World, scenario


@scenario()
async def main(world: World) -> None:
    world.say("played")
'''


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "ebb.py"
        path.write_text(text)
        return path

    return write


def test_every_scenario_that_aftertide_brings_is_named_like_its_module_and_tells_its_plot() -> None:
    found = built_in()
    assert tuple(each.name for each in found) == BUILT_IN
    for each in found:
        assert each.headline
        assert len(each.headline) <= 90, each.headline
        assert "\n" in each.plot


def test_a_script_is_found_by_its_path_and_named_after_its_file(
    script: Callable[[str], Path],
) -> None:
    found = find(str(script(SCRIPT)))
    assert (found.name, found.headline) == ("ebb", "A plot.")
    assert found.plot.endswith("With a second paragraph.")


def test_a_script_may_import_its_neighbours(script: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_ebb.py").write_text("NAME = 'flow'\n")
    path = script(
        SCRIPT.replace("@scenario()", "from neighbour_of_ebb import NAME\n@scenario(NAME)")
    )
    assert find(str(path)).name == "flow"


def test_a_script_that_bears_the_name_of_a_module_does_not_stand_in_for_it(tmp_path: Path) -> None:
    (tmp_path / "statistics.py").write_text(SCRIPT)
    find(str(tmp_path / "statistics.py"))
    import statistics

    assert statistics.median([1, 2, 3]) == 2


def test_scenarios_that_a_script_imports_are_not_its_own(script: Callable[[str], Path]) -> None:
    path = script("from aftertide.scenarios.bank import main as theirs\n" + SCRIPT)
    assert find(str(path)).name == "ebb"


@pytest.mark.parametrize(
    ("text", "problem"),
    [("x = 1\n", "holds no scenario"), (SCRIPT + SCRIPT.replace("main", "other"), "ebb and ebb")],
)
def test_a_script_without_one_scenario_is_refused(
    script: Callable[[str], Path], text: str, problem: str
) -> None:
    with pytest.raises(UnknownScenario, match=problem):
        find(str(script(text)))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("flihgts", "Did you mean flights?"),
        ("stale-read", "Did you mean stale_read?"),
        ("xyz", "There are stale_read, flash_sale, bank, flights."),
        ("./nowhere.py", "nowhere.py does not exist"),
        ("./", "is a folder"),
    ],
)
def test_a_name_that_nobody_has_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownScenario) as raised:
        find(name)
    assert hint in str(raised.value)


def test_what_a_script_raises_while_it_is_read_passes_through(
    script: Callable[[str], Path],
) -> None:
    with pytest.raises(ZeroDivisionError):
        find(str(script("1 / 0\n")))


@pytest.mark.parametrize(("name", "is_one"), [("a.py", True), ("x/y", True), ("bank", False)])
def test_a_path_is_told_from_a_name(name: str, is_one: bool) -> None:
    assert is_script(name) is is_one


def test_what_is_no_coroutine_function_is_no_scenario() -> None:
    def plain(world: World) -> None: ...

    with pytest.raises(TypeError, match="async def main"):
        scenario()(plain)  # type: ignore[arg-type]


def test_the_decorator_without_brackets_says_what_is_missing() -> None:
    async def main(world: World) -> None: ...

    with pytest.raises(TypeError, match="with its brackets"):
        scenario(main)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [["two words"], ["a", "a"]])
def test_options_that_clash_or_are_no_word_are_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="used once"):
        scenario(options=[Option(name, 1, "help") for name in names])


def test_an_options_text_becomes_the_type_of_its_default() -> None:
    assert Option("many", 1, "help").parse("7") == 7
    assert Option("much", 1.5, "help").parse("7") == 7.0
    assert Option("which", None, "help").parse("7") == "7"
    assert Option("many_words", 1, "help").flag == "--many-words"


@pytest.mark.parametrize("text", ["x", "1.5", "0", "-3"])
def test_an_options_text_that_does_not_fit_is_refused_with_what_does(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number from 1"):
        Option("many", 5, "help", least=1).parse(text)


def test_the_plot_of_a_function_comes_before_that_of_its_module() -> None:
    async def main(world: World) -> None:
        """Its own."""

    found = scenario("name")(main)
    assert isinstance(found, Scenario)
    assert found.headline == "Its own."
