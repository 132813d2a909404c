"""anyio's own tests on the simulation's loop: the part of them that needs no sockets, files, threads or processes.

    python -m tests.simulation.anyio_suite [--seeds N]        or: make anyio-suite

Fetches the sources of the anyio that is installed (pip, once, into out/anyio-suite), runs its tests on the
stock loop and on ours under each policy, and compares. Fails where ours fails a test that the stock loop
passes and that is not explained below. The explanations are told at length in docs/simulation-loop.md.
"""

import argparse
import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

CACHE = Path(__file__).parents[2] / "out" / "anyio-suite"

FILES = (
    *(
        "test_concurrency_utils.py",
        "test_contextmanagers.py",
        "test_debugging.py",
        "test_eventloop.py",
    ),
    *("test_functools.py", "test_futures.py", "test_itertools.py", "test_lowlevel.py"),
    *(
        "test_synchronization.py",
        "test_taskgroups.py",
        "test_typedattr.py",
        "streams/test_buffered.py",
    ),
    *("streams/test_memory.py", "streams/test_stapled.py", "streams/test_text.py"),
)

SIBLING = "assumes that a ready sibling has run after one or two yields"
EXPECTED = dict.fromkeys(
    (
        "test_synchronization.TestLock::test_cancel_after_release",
        "test_synchronization.TestSemaphore::test_cancel_after_release",
        "test_synchronization.TestCapacityLimiter::test_cancel_during_acquire_on_behalf_of",
        "test_lowlevel::test_checkpoint",
        "test_lowlevel::test_cancel_shielded_checkpoint",
        "test_taskgroups::test_empty_taskgroup_contains_yield_point",
        "test_itertools.TestCombinations::test_checkpoints_r_greater_than_pool",
        "test_itertools.TestCombinationsWithReplacement::test_checkpoints_empty_result",
        "test_itertools.TestPermutations::test_checkpoints_r_greater_than_pool",
        "test_itertools.TestProduct::test_checkpoints_empty_result_non_cancelled",
    ),
    SIBLING,
)
"""Tests that may fail where steps are permuted, and why."""

CONFTEST = '''

# --- appended by Aftertide: the same tests on a loop in virtual time

import os as _os
from anyio._backends import _asyncio as _backend
from aftertide.simulation.loop import SimulationLoop as _SimulationLoop

_policy = _os.environ["AFTERTIDE_POLICY"]
_seeds = range(int(_os.environ["AFTERTIDE_SEEDS"]))


def _options(seed):
    if _policy == "stock":
        return {"debug": True}
    return {"debug": True, "loop_factory": _SimulationLoop.factory(seed, policy=_policy)}


asyncio_params = [pytest.param(("asyncio", _options(seed)), id=f"seed{seed}") for seed in _seeds]
backend_params = asyncio_params


@pytest.fixture(params=backend_params)
def anyio_backend(request):
    return request.param


_begin = _backend.TestRunner.__init__


def _begin_simulated(self, *, debug=None, use_uvloop=False, loop_factory=None):
    """For tests that name the backend without options."""
    _begin(self, debug=debug, loop_factory=loop_factory or _options(0).get("loop_factory"))


_backend.TestRunner.__init__ = _begin_simulated
'''

TRUSTME = "class CA:\n    '''Only tests of TLS need a real one.'''\n"


def fetch() -> Path:
    """The folder with the sources of the installed anyio, and the few modules that its conftest wants."""
    name = f"anyio-{version('anyio')}"
    folder = CACHE / name
    if not (folder / "ready").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        requirement = name.replace("-", "==")
        subprocess.run(
            [*pip, "download", "--no-deps", "--no-binary", "anyio", "--dest", CACHE, requirement],
            check=True,
        )
        subprocess.run(
            [*pip, "install", "--target", CACHE / "lib", "--no-deps", "pytest-mock"], check=True
        )
        (CACHE / "lib" / "trustme.py").write_text(TRUSTME)
        with tarfile.open(CACHE / f"{name}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
        with (folder / "tests" / "conftest.py").open("a") as conftest:
            conftest.write(CONFTEST)
        (folder / "ready").touch()
    return folder


def run(folder: Path, policy: str, seeds: int) -> dict[str, set[str]]:
    """Outcome -> the tests that had it, as `file::test[parameters] @seed`."""
    report = CACHE / f"{policy}.xml"
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "--no-header",
                "--tb=no",
            ),
            *("-p", "pytest_mock", "--timeout=60", f"--junitxml={report}", f"--rootdir={folder}"),
            *(folder / "tests" / file for file in FILES),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(CACHE / "lib"),
            "AFTERTIDE_POLICY": policy,
            "AFTERTIDE_SEEDS": str(seeds),
        },
        stdout=subprocess.DEVNULL,
        check=False,
    )
    outcomes: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        file = str(case.get("classname")).removeprefix("tests.")
        test = f"{file}::{case.get('name')}"
        kinds = {child.tag for child in case}
        outcome = (
            "failed"
            if kinds & {"failure", "error"}
            else "skipped"
            if "skipped" in kinds
            else "passed"
        )
        outcomes[outcome].add(test)
    return outcomes


def plain(test: str) -> str:
    """A test without the seed among its parameters."""
    name, bracket, parameters = test.partition("[")
    kept = [part for part in parameters.removesuffix("]").split("-") if not part.startswith("seed")]
    return f"{name}[{'-'.join(kept)}]" if bracket and kept else name


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, default=20, help="seeds for each permuting policy (20)"
    )
    parser.add_argument("--policy", choices=["fifo", "batch", "tasks"], help="only this one")
    options = parser.parse_args()
    seeds: int = options.seeds
    folder = fetch()
    stock = run(folder, "stock", 1)
    print(
        f"stock: {len(stock['passed'])} passed, {len(stock['failed'])} failed, {len(stock['skipped'])} skipped"
    )
    passing = {plain(test) for test in stock["passed"]}
    surprises = 0
    for policy, number in (("fifo", 1), ("batch", seeds), ("tasks", seeds)):
        if options.policy not in (None, policy):
            continue
        outcomes = run(folder, policy, number)
        failing: dict[str, int] = {}
        for test in outcomes["failed"]:
            if plain(test) in passing:
                failing[plain(test)] = failing.get(plain(test), 0) + 1
        print(
            f"{policy}: {number} seed(s), {len(outcomes['passed'])} passed, {len(failing)} test(s) differ from stock"
        )
        for test, count in sorted(failing.items()):
            reason = EXPECTED.get(test.partition("[")[0])
            surprises += reason is None
            print(f"    {test}: {count} of {number}: {reason or 'NOT EXPLAINED'}")
    print(f"{surprises} failed tests without an explanation")
    return min(surprises, 1)


if __name__ == "__main__":
    sys.exit(main())
