"""What one run says, in bounded pieces, for a log view: its events and, where asked, what it printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.event_words import QUIET_KINDS, LogLine, event_lines, output_lines

if TYPE_CHECKING:
    from cellmap_tui.jobs.rundir import RunDir


class LogFeed:
    """Follows one run; used from one thread at a time.

    Parameters
    ----------
    run
        The run directory.
    full
        Whether progress, metrics and the printed output come too.
    """

    def __init__(self, run: RunDir, *, full: bool = False) -> None:
        from cellmap_tui.jobs.tail import LineTail
        from cellmap_tui.jobs.watch import RunReader

        self.run = run
        self.full = full
        self._reader = RunReader(run)
        self._output = LineTail(run.log_path) if full else None
        self._restarts = 0
        self._told_of = 0

    def poll(self) -> tuple[list[LogLine], bool]:
        """Return the new lines of at most a chunk of each file, and whether all before them are void."""
        lines = [
            line
            for event in self._reader.poll()
            if self.full or event.kind not in QUIET_KINDS
            for line in event_lines(event)
        ]
        if self._output is not None:
            for raw in self._output.read():
                lines += output_lines(raw)
        if self._reader.skipped > self._told_of:
            self._told_of = self._reader.skipped
            lines.append(LogLine(None, "warning", f"{self._told_of} damaged lines of the log are passed over"))
        is_new = self._reader.restarts != self._restarts
        self._restarts = self._reader.restarts
        return lines, is_new

    @property
    def at_end(self) -> bool:
        """Whether the last look reached the end of every file."""
        return self._reader.at_end and (self._output is None or self._output.at_end)
