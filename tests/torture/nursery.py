"""A process that has imported everything and forks lives: 2 ms each instead of 300.

It has no threads and no event loop, so a fork of it is as good as a new interpreter. It ends when its parent
lets go of the socket. Requests and answers are lines; a life's pipe comes along with its request.
"""

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from tests.torture.writer import Spec, run

ROOT = Path(__file__).parents[2]
LONGEST_REQUEST = 65_536


class Nursery:
    """The parent's side. Its lives are children of the nursery, which is asked for their end."""

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery", str(theirs.fileno())],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.wait()

    def fork(self, spec: Spec) -> tuple[int, int]:
        """Begin a life; its process id and the end of the pipe on which it speaks."""
        ours, theirs = os.pipe()
        socket.send_fds(self._socket, [b"fork " + msgspec.json.encode(spec)], [theirs])
        os.close(theirs)
        return self._answer(), ours

    def end_of(self, pid: int) -> int:
        """Wait for a life to be gone, with all its files and locks; its exit code, negative for a signal."""
        self._socket.sendall(b"wait %d" % pid)
        return self._answer()

    def _answer(self) -> int:
        answer = self._socket.recv(LONGEST_REQUEST)
        if not answer:
            raise AssertionError("the nursery is gone; its error is on stderr.")
        return int(answer)


def serve(parent: socket.socket) -> None:
    """The child's side: one request after the other, each answered before the next is sent."""
    gc.freeze()  # what is imported stays shared between all lives
    while True:
        request, descriptors, _, _ = socket.recv_fds(parent, LONGEST_REQUEST, 1)
        if not request:
            return
        verb, _, rest = request.partition(b" ")
        if verb == b"wait":
            _, status = os.waitpid(int(rest), 0)
            parent.sendall(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        [pipe] = descriptors
        pid = os.fork()
        if pid == 0:
            parent.close()
            try:
                run(msgspec.json.decode(rest, type=Spec), pipe)
            finally:
                os._exit(
                    0
                )  # also where nobody listens any more: nothing of the nursery is to run here
        os.close(pipe)
        parent.sendall(b"%d" % pid)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
