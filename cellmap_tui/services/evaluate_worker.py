"""A worker process of the pool: takes tasks from a pipe, answers with results, ends with its parent.

Started as ``python -m cellmap_tui.services.evaluate_worker FD``, so that a caller's own script needs
no guard around its main part.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_PARENT_LOOK_S = 0.5


def main(descriptor: int) -> None:
    """Do tasks until the pipe closes."""
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _be_the_first_to_go()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    connection: Connection[Any, Any] = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            target, payload = connection.recv()
            connection.send(answer(connection, target, payload))


def answer(connection: Connection[Any, Any], target: str, payload: object) -> tuple[str, object, int]:
    """Do one task; return how it ended, with what, and how much memory this process holds."""
    from importlib import import_module

    module, _, name = target.partition(":")
    try:
        function = getattr(import_module(module), name)
        value = function(payload, lambda done: connection.send(("progress", done, 0)))
    except CellmapError as error:
        return "error", (error.kind, error.message, error.remedy), held_bytes()
    except MemoryError:
        return "memory", None, held_bytes()
    except Exception as error:  # noqa: BLE001 - the top of a worker: a bug in one task must not end the others
        import traceback

        summary = f"{type(error).__name__}: {error}"
        return "bug", (summary, "".join(traceback.format_exception(error))), held_bytes()
    return "done", value, held_bytes()


def held_bytes() -> int:
    """Return the memory that this process holds."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _be_the_first_to_go() -> None:
    """Let the kernel end this process before its parent when memory runs out; the parent tells the user."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
