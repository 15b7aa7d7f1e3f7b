"""TensorBoard event files, written by a thread of their own so that the loop pays a list's append for a scalar.

Tags are the official toolbox's (``loss``, ``validation``, ``lr``) and the names of events. A resumed run
starts a new file that tells readers to forget steps from there on.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MOST_WAITING = 20_000
"""Rows that wait for a disk that takes none; then new ones are dropped, so that memory does not fill."""
FLUSH_S = 2.0
_numbers = itertools.count()


class TensorBoardWriter:
    """Writes scalars and pictures.

    Parameters
    ----------
    folder
        Folder of the event files; made when the first row is written.
    purge_step
        Of a resumed run, the first step that is written anew.
    """

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{os.uname().nodename}.{os.getpid()}.{next(_numbers)}"
        self.path = folder / name
        self.failure: str | None = None
        self.lost = 0
        self._purge_step = purge_step
        self._rows: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="cellmap-tensorboard", daemon=True)
        self._thread.start()

    def scalars(self, step: int, values: Mapping[str, float], time_s: float | None = None) -> None:
        """Write the values of a step, by tag."""
        self._put(("scalars", step, time.time() if time_s is None else time_s, dict(values)))

    def image(self, tag: str, step: int, rgb: NDArray[np.uint8]) -> None:
        """Write a picture, uint8 ``[h, w, 3]``."""
        self._put(("image", step, time.time(), (tag, rgb)))

    def flush(self) -> None:
        """Wait until everything so far is on its way to the disk."""
        done = threading.Event()
        self._rows.put(done)
        while not done.wait(0.5) and self._thread.is_alive():
            pass

    def close(self) -> None:
        """Write what waits, and end."""
        self._rows.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits, and end."""
        self.close()

    def _put(self, row: tuple[str, int, float, Any]) -> None:
        if self._rows.qsize() >= MOST_WAITING:
            self.lost += 1
        else:
            self._rows.put(row)

    def _run(self) -> None:
        try:
            file = _EventFile(self.path, self._purge_step)
        except Exception as error:  # noqa: BLE001 - a broken package must not end the training
            self.failure = str(error)
            self._drain()
            return
        flushed_s = time.monotonic()
        while True:
            row = _next(self._rows, FLUSH_S)
            if row is None or isinstance(row, threading.Event) or time.monotonic() - flushed_s >= FLUSH_S:
                self._tried(file.flush)
                flushed_s = time.monotonic()
            if row is None:
                break
            if isinstance(row, threading.Event):
                row.set()
            elif row is not _NOTHING and not self._tried(file.add, *row):
                self.lost += 1
        self._tried(file.close)

    def _tried(self, work: Any, *arguments: Any) -> bool:
        try:
            work(*arguments)
        except (OSError, ValueError) as error:
            self.failure = str(error)
            return False
        return True

    def _drain(self) -> None:
        while (row := self._rows.get()) is not None:
            if isinstance(row, threading.Event):
                row.set()
            else:
                self.lost += 1


class _EventFile:
    """One event file; the records are TensorBoard's own."""

    def __init__(self, path: Path, purge_step: int | None) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2, summary_pb2
        self._make_writer, self._path, self._purge_step = RecordWriter, path, purge_step
        self._writer: Any = None

    def add(self, kind: str, step: int, time_s: float, content: Any) -> None:
        """Write a row."""
        summary = self._summary.Summary
        if kind == "scalars":
            parts = [summary.Value(tag=tag, simple_value=value) for tag, value in content.items()]
        else:
            tag, rgb = content
            height, width = rgb.shape[:2]
            picture = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=_png(rgb))
            parts = [summary.Value(tag=tag, image=picture)]
        if self._writer is None:
            self._open(time_s)
        self._write(self._event.Event(wall_time=time_s, step=step, summary=summary(value=parts)))

    def flush(self) -> None:
        """Hand everything to the system."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, time_s: float) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._make_writer(self._path.open("ab"))
        self._write(self._event.Event(wall_time=time_s, file_version="brain.Event:2"))
        if self._purge_step is not None:
            start = self._event.SessionLog(status=self._event.SessionLog.START)
            self._write(self._event.Event(wall_time=time_s, step=self._purge_step, session_log=start))

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())


class _Nothing:
    """No row came in time."""


_NOTHING = _Nothing()


def _next(rows: queue.SimpleQueue[Any], timeout_s: float) -> Any:
    try:
        return rows.get(timeout=timeout_s)
    except queue.Empty:
        return _NOTHING


def _png(rgb: NDArray[np.uint8]) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()
