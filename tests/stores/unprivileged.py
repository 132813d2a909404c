"""Permissions for tests that root runs too: root may do everything, so it becomes somebody else for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NOBODY = 65_534


@contextmanager
def unprivileged_folder() -> Iterator[Path]:
    """A folder of its own, owned by a user whom permissions bind and who this process is inside."""
    # Not below tmp_path: its parents are closed to others, and other tests run in them.
    with TemporaryDirectory() as name:
        if os.geteuid() != 0:
            yield Path(name)
            return
        os.chown(name, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
