"""What the types promise: mypy accepts and knows what it must, and rejects what it must."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def mypy(*arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_what_must_be_accepted_is_and_what_must_be_rejected_is_too() -> None:
    pytest.importorskip("mypy")
    said = mypy("tests/typing/accepted.py", "tests/typing/rejected.py")
    assert "Success: no issues found in 2 source files" in said, said
