"""Detects within a minute that another process of the run has died, whatever this one is waiting for."""

import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

_DONE, _FAILED = b"d", b"f"

# Of an idle connection: the other machine is gone if it does not answer for 10 + 4 * 5 seconds.
_IDLE, _INTERVAL, _PROBES = 10, 5, 4

UNWINDING_SECONDS = 10.0
"""How long the main thread has to end by itself, once another process has ended."""
_CONNECTING_SECONDS = 60.0
_TOKEN = 16


class Peers:
    """Connections between the first process and each other one, on which nothing is sent until one of them ends.

    The operating system closes the connection of a process that dies, and its keep-alive notices a machine or a network
    that is gone; a process that is merely busy keeps it. So the exchange of gradients needs no short timeout.

    Args:
        rank: the rank of this process.
        size: the number of processes.
        reports: whether this process reports the death of the first one.
        host: the address of the first process.
        from_first: broadcasts a value of the first process.

    Attributes:
        left: whether this process has announced that it ends.
    """

    def __init__(self, rank: int, size: int, reports: bool, host: str, from_first: Callable[[Any], Any]) -> None:
        self._rank, self._reports = rank, reports
        self._ended = threading.Event()
        self._why: BaseException = SystemExit(0)
        self.left = False
        self._links: dict[int, socket.socket] = {}
        listener = socket.create_server(("", 0), backlog=size) if rank == 0 else None
        made = None if listener is None else (listener.getsockname()[1], secrets.token_bytes(_TOKEN))
        port, token = from_first(made)
        if listener is None:
            link = socket.create_connection((host, port), _CONNECTING_SECONDS)
            link.sendall(token + rank.to_bytes(4, "big"))
            self._links[0] = link
        else:
            with listener:
                listener.settimeout(_CONNECTING_SECONDS)
                while len(self._links) < size - 1:
                    link, _ = listener.accept()
                    link.settimeout(_CONNECTING_SECONDS)
                    received = link.recv(_TOKEN + 4, socket.MSG_WAITALL)
                    if received[:_TOKEN] == token:
                        self._links[int.from_bytes(received[_TOKEN:], "big")] = link
                    else:
                        link.close()
        for other, link in self._links.items():
            _keep_alive(link)
            threading.Thread(target=self._watch, args=(other, link), daemon=True).start()

    def leave(self, *, failed: bool = False) -> None:
        """Announce that this process has finished, or that it has failed and reported its error."""
        self.left = True
        for link in self._links.values():
            try:
                link.sendall(_FAILED if failed else _DONE)
                link.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has ended itself

    def cause(self, error: BaseException) -> BaseException:
        """The reason why this process ends: the death of another one if that came first, otherwise the error itself."""
        # Collectives fail before the watching thread is notified; the first process reports an error that all raise.
        if (self._rank > 0 or isinstance(error, RuntimeError)) and not isinstance(error, KeyboardInterrupt):
            self._ended.wait(3.0)
        return self._why if self._ended.is_set() else error

    def _watch(self, other: int, link: socket.socket) -> None:
        try:
            received = link.recv(1)
        except OSError:
            received = b""
        if received == _DONE or self.left or self._ended.is_set():
            return
        line = f"process {other} of the run has ended unexpectedly; resume the run from its last saved state"
        if received == _FAILED or not (self._rank == 0 or self._reports):
            line, self._why = "", SystemExit(2)
        else:
            self._why = ChildProcessError(line)
        self._ended.set()
        if not _main_thread_ends():
            if line:
                report_failure(ChildProcessError(line))
            os._exit(2)


def _to_standard_error(error: BaseException) -> None:
    print(f"gatewise: error: {error}", file=sys.stderr, flush=True)


report_failure: Callable[[BaseException], None] = _to_standard_error
"""Reports the error of a process whose main thread does not end."""


def _main_thread_ends() -> bool:
    """Whether the main thread ends in time; one that waits inside NCCL does not."""
    threading.main_thread().join(UNWINDING_SECONDS)
    return not threading.main_thread().is_alive()


def _keep_alive(link: socket.socket) -> None:
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # Linux, macOS
    for option, value in (
        (idle, _IDLE),
        (getattr(socket, "TCP_KEEPINTVL", None), _INTERVAL),
        (getattr(socket, "TCP_KEEPCNT", None), _PROBES),
    ):
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
