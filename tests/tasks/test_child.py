"""A process that another one has started for training ends with it, however that ends."""

import os
import pickle
import subprocess
import sys
import time

import pytest

from gatewise.tasks.processes import REQUEST, Request, error_file

# Of a child, all but the training; it writes who it is, and waits.
CHILD = """
import os, sys, time
from pathlib import Path
from gatewise.tasks import child

def wait(request):
    Path(os.environ["SEEN"], os.environ["RANK"]).write_text(f"{os.getpid()} {request.task}")
    if request.task == "raises":
        raise ValueError("bad data")
    if request.task == "interrupted":
        raise KeyboardInterrupt
    time.sleep(100)

child._train = wait
child.main(Path(sys.argv[1]))
"""

# A parent of two such children, which starts them as always.
PARENT = """
import subprocess, sys
from gatewise.tasks import processes

started = subprocess.Popen
def start(command, **options):
    return started([sys.executable, "-c", sys.argv[1], command[-1]], **options)

processes.subprocess.Popen = start
processes._store = lambda here: (None, 1)
processes.run(processes.Request("lm", {}, None, None, 0.0), 2, processes.Machine(0, 1, "127.0.0.1", 0))
"""


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "seen").mkdir()
    (tmp_path / "temporary").mkdir()
    changes = {"SEEN": tmp_path / "seen", "TMPDIR": tmp_path / "temporary"}
    changes["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return os.environ | {name: str(value) for name, value in changes.items()}


def seen(folder, count):
    """The numbers of `count` children, once all wait."""
    ends = time.monotonic() + 60
    while len(found := [path for path in folder.iterdir() if path.read_text()]) < count:
        assert time.monotonic() < ends
        time.sleep(0.01)
    return [int(path.read_text().split()[0]) for path in found]


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_children_of_a_killed_parent_end_and_leave_nothing(tmp_path, environment):
    with subprocess.Popen([sys.executable, "-c", PARENT, CHILD], env=environment) as parent:
        children = seen(tmp_path / "seen", 2)
        assert list((tmp_path / "temporary").iterdir())
        parent.kill()
    ends = time.monotonic() + 30
    while any(map(is_alive, children)) or list((tmp_path / "temporary").iterdir()):
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.parametrize(("task", "code", "left"), [("raises", 2, "bad data"), ("interrupted", 130, None)])
def test_how_a_child_ends(tmp_path, environment, task, code, left):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / REQUEST).write_bytes(pickle.dumps(Request(task, {}, None, None, 0.0)))
    command = [sys.executable, "-c", CHILD, str(folder)]
    with subprocess.Popen(command, env=environment | {"RANK": "1"}, stdin=subprocess.PIPE) as child:
        assert child.wait(60) == code
    path = error_file(folder, 1)
    assert path.exists() == (left is not None)
    if left is not None:
        error = pickle.loads(path.read_bytes())
        assert (type(error), str(error)) == (ValueError, left)
