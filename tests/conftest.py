"""What every test gets: one event loop backend, since the hot path is asyncio's own. And what a torture reports."""

from collections import Counter, defaultdict

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tortures of this run came to. Here and not beside them: xdist's controller collects nothing."""
    failed = {report.nodeid for report in terminalreporter.getreports("failed")}
    tests: dict[str, Counter[str]] = defaultdict(Counter)
    for report in terminalreporter.getreports(""):  # a teardown that went well has no category
        for name, counts in getattr(report, "user_properties", ()):
            if name == "torture" and report.when == "teardown" and report.nodeid not in failed:
                test = report.nodeid.rpartition("::")[2].partition("[")[0]
                tests[test].update(counts)
    if tests:
        from tests.torture.torment import report as line

        terminalreporter.section("torture")
        for test, counts in sorted(tests.items()):
            terminalreporter.write_line(f"{test.removeprefix('test_')}: {line(counts)}")
        total: Counter[str] = sum(tests.values(), Counter())
        terminalreporter.write_line(f"all: {line(total)}")
