"""One of the processes that `gatewise.tasks.processes` starts: ``python -m gatewise.tasks.child FOLDER``."""

import os
import pickle
import shutil
import sys
import threading
from pathlib import Path

from gatewise.extras import MissingExtraError
from gatewise.tasks import peers
from gatewise.tasks.options import build
from gatewise.tasks.processes import REQUEST, Request, error_file
from gatewise.tasks.task_names import options_of


def main(folder: Path) -> None:
    """Train as the request in a folder says; an error that is the user's is left there, for the parent to raise."""
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    request: Request = pickle.loads((folder / REQUEST).read_bytes())

    def report(error: BaseException) -> None:
        error_file(folder, int(os.environ["RANK"])).write_bytes(pickle.dumps(error))

    peers.report_failure = report
    try:
        _train(request)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, TypeError, OSError, MissingExtraError, MemoryError) as error:
        report(error)
        sys.exit(2)


def _train(request: Request) -> None:
    options = build(options_of(request.task), request.options)

    from gatewise.tasks import train_run
    from gatewise.tasks.task import task_of

    task = task_of(request.task)
    if request.resume is None:
        train_run.start(task, options, request.began_at)
        return
    train_run.resume(task, request.resume, request.max_minutes, request.began_at, options.devices, options.num_nodes)


def _end_with_parent(folder: Path) -> None:
    """End when the parent does, however it does: the standard input is a pipe that it never writes to."""
    os.read(sys.stdin.fileno(), 1)
    shutil.rmtree(folder, ignore_errors=True)  # a parent that was killed has not
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
