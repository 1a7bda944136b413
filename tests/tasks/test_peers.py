"""How the processes of a run learn that one of them has ended, and what each of them says then."""

import queue
import socket
import threading

import pytest

from gatewise.tasks import peers
from gatewise.tasks.peers import Peers

LOST = "process {} of the run has ended unexpectedly; resume the run from its last saved state"


@pytest.fixture
def reported(monkeypatch):
    """What the processes say by themselves, and their exit codes; here all are threads of one that does not end."""
    found = []
    monkeypatch.setattr(peers, "report_failure", lambda error: found.append(str(error)))
    monkeypatch.setattr(peers.os, "_exit", found.append)
    monkeypatch.setattr(peers, "_main_thread_ends", lambda: True)
    return found


@pytest.fixture
def connected():
    """Makes some processes that know each other; of those after the first, the second one reports."""
    made = []

    def connect(size):
        given = queue.Queue()
        found = {}

        def from_first(value):
            if value is not None:
                for _ in range(size - 1):
                    given.put(value)
                return value
            return given.get(timeout=10)

        def make(rank):
            found[rank] = Peers(rank, size, rank == 1, "127.0.0.1", from_first)

        threads = [threading.Thread(target=make, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        made.extend(found.values())
        return [found[rank] for rank in range(size)]

    yield connect
    for one in made:
        one.left = True  # what closes now is no death
        for link in one._links.values():
            link.close()


def die(process):
    """As the operating system does for a killed process."""
    process.left = True
    for link in process._links.values():
        link.shutdown(socket.SHUT_RDWR)


def test_the_first_process_names_the_one_that_died_and_the_others_say_nothing(connected, reported):
    first, second, third = connected(3)
    die(third)
    error = RuntimeError("gloo: connection closed")
    found = first.cause(error)
    assert isinstance(found, ChildProcessError)
    assert str(found) == LOST.format(2)
    first.leave(failed=True)
    found = second.cause(error)
    assert isinstance(found, SystemExit)
    assert found.code == 2
    assert reported == []


def test_when_the_first_process_dies_the_second_one_says_so(connected, reported):
    first, second, third = connected(3)
    die(first)
    found = second.cause(RuntimeError("gloo: connection closed"))
    assert isinstance(found, ChildProcessError)
    assert str(found) == LOST.format(0)
    found = third.cause(RuntimeError("gloo: connection closed"))
    assert isinstance(found, SystemExit)
    assert found.code == 2
    assert reported == []


def test_a_process_that_has_done_its_part_ends_no_other(connected, reported, monkeypatch):
    first, second = connected(2)
    second.leave()
    assert not first._ended.wait(0.5)
    monkeypatch.setattr(first._ended, "wait", lambda seconds: False)
    error = RuntimeError("mine")
    assert first.cause(error) is error
    assert second.left
    assert reported == []


def test_errors_of_a_process_itself_stay(connected, reported, monkeypatch):
    first, second = connected(2)
    for error in (ValueError("bad data"), KeyboardInterrupt()):
        assert first.cause(error) is error
    monkeypatch.setattr(second._ended, "wait", pytest.fail)  # Ctrl-C does not wait for the first one
    interrupted = KeyboardInterrupt()
    assert second.cause(interrupted) is interrupted


@pytest.mark.parametrize(("rank", "died", "said"), [(0, 2, [LOST.format(2)]), (1, 0, [LOST.format(0)]), (2, 0, [])])
def test_a_process_whose_main_thread_hangs_ends_with_the_message(connected, reported, monkeypatch, rank, died, said):
    monkeypatch.setattr(peers, "_main_thread_ends", lambda: False)
    ended = threading.Event()
    monkeypatch.setattr(peers.os, "_exit", lambda code: (reported.append(code), ended.set()))
    processes = connected(3)
    for other, process in enumerate(processes):
        process.left = other not in (rank, died)  # only one of them watches
    die(processes[died])
    assert ended.wait(10)
    assert reported == [*said, 2]


def test_a_stranger_does_not_take_the_place_of_a_process(reported):
    """A peer that connects without the token is ignored."""
    stranger = []

    def from_first(value):
        port, token = value
        for sent in (b"\0" * (len(token) + 4), token + (1).to_bytes(4, "big")):
            stranger.append(socket.create_connection(("127.0.0.1", port), 10))
            stranger[-1].sendall(sent)
        return value

    first = Peers(0, 2, False, "127.0.0.1", from_first)
    try:
        assert list(first._links) == [1]
        assert first._links[1].getpeername() == stranger[1].getsockname()
        assert stranger[0].recv(1) == b""
    finally:
        first.left = True
        for link in (*stranger, *first._links.values()):
            link.close()


def test_a_machine_that_is_gone_is_noticed_within_a_minute(connected):
    (link,) = connected(2)[0]._links.values()
    assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert link.gettimeout() is None  # a process that is busy is not gone
    options = [getattr(socket, name, None) for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")]
    if None in options:
        pytest.skip("this system has other options")
    idle, between, probes = (link.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    assert idle + between * probes + peers.UNWINDING_SECONDS < 60
