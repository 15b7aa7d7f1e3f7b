"""Writes a run's telemetry: a thread of the job that looks at the machine once a second."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from cellmap_tui.services.telemetry_model import INTERVAL_S, NAME, Machine, Reading, to_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellmap_tui.services.telemetry_gpu import GpuProbe
    from cellmap_tui.services.telemetry_host import HostProbe


class Telemetry:
    """Reads the machine once a second into ``telemetry.jsonl`` while its context is open.

    It never disturbs the work: a reading that fails is left out, a disk that takes nothing loses lines, and
    readings that would come late are not caught up with.

    Parameters
    ----------
    folder
        The run directory.
    interval_s
        Time between readings.
    gpu, host
        What looks; tests bring their own.
    on_reading
        Called with each reading, in the thread that takes it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        interval_s: float = INTERVAL_S,
        gpu: GpuProbe | None = None,
        host: HostProbe | None = None,
        on_reading: Callable[[Reading], None] | None = None,
    ) -> None:
        self.path = folder / NAME
        self.failure: str | None = None
        self.lost = 0
        self.latest: Reading | None = None
        self._folder, self._interval_s = folder, interval_s
        self._gpu, self._host, self._listener = gpu, host, on_reading
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._file: int | None = None
        self._needs_break = False

    def __enter__(self) -> Self:
        """Start reading."""
        self._thread = threading.Thread(target=self._run, name="cellmap-telemetry", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take a last reading and stop."""
        self._closing.set()
        if self._thread is not None:
            # A driver that hangs must not keep the job from ending.
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            self._open()
            gpu, host = self._probes()
            self._write(self._machine(gpu, host))
            due_s = time.monotonic()
            while True:
                is_last = self._closing.is_set()
                self._take(gpu, host)
                if is_last:
                    break
                due_s = max(due_s + self._interval_s, time.monotonic())
                self._closing.wait(max(0.0, due_s - time.monotonic()))
            gpu.close()
        except Exception as error:  # noqa: BLE001 - telemetry must never end the work it looks at
            self.failure = repr(error)
        finally:
            if self._file is not None:
                os.close(self._file)

    def _probes(self) -> tuple[GpuProbe, HostProbe]:
        from cellmap_tui.services.telemetry_gpu import GpuProbe
        from cellmap_tui.services.telemetry_host import HostProbe

        return self._gpu or GpuProbe(), self._host or HostProbe(self._folder)

    def _machine(self, gpu: GpuProbe, host: HostProbe) -> Machine:
        import platform

        facts: dict[str, Any] = host.facts()
        return Machine(
            time_s=time.time(),
            host=platform.node(),
            pid=os.getpid(),
            gpu_state=gpu.state,
            driver=gpu.driver,
            gpus=gpu.facts,
            interval_s=self._interval_s,
            **facts,
        )

    def _take(self, gpu: GpuProbe, host: HostProbe) -> None:
        try:
            fields = host.read()
            reading = Reading(time_s=time.time(), gpus=gpu.read(), **fields)
        except Exception as error:  # noqa: BLE001 - one reading that fails is no reason for none
            self.failure = repr(error)
            return
        self.latest = reading
        self._write(reading)
        if self._listener is not None:
            self._listener(reading)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self.path, flags, 0o666)
        size = os.fstat(self._file).st_size
        # A line that a kill cut off must not swallow the first of this attempt.
        self._needs_break = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def _write(self, row: Machine | Reading) -> None:
        data = ("\n" if self._needs_break else "") + to_line(row) + "\n"
        encoded = data.encode("utf-8", "backslashreplace")
        try:
            written = os.write(self._file, encoded) if self._file is not None else 0
        except OSError as error:
            self.failure, self.lost = str(error), self.lost + 1
            return
        self._needs_break = written < len(encoded)
