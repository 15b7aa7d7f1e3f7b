"""The trainings that are looked at together: one in hand, others drawn over it. No terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cellmap_tui.jobs.rundir import RunDir
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.monitor.source import Source


class LiveRun:
    """One run in hand and those drawn over it; every page over it looks at the same one.

    Parameters
    ----------
    main
        The run in hand.
    overlays
        The others.
    """

    def __init__(self, main: Source, overlays: Iterable[Source] = ()) -> None:
        self.main = main
        """The run in hand."""
        self.overlays: list[Source] = list(overlays)
        """The others, in the order of their colours."""
        self.version = 0
        """Grows with everything that is new; a page that has shown it has nothing to paint."""
        self._lock = threading.Lock()
        self._sharing = 1
        self._colours: dict[Path, int] = {}
        for source in self.sources:
            self.colour_of(source)

    @property
    def sources(self) -> tuple[Source, ...]:
        """All of them, the one in hand first."""
        return (self.main, *self.overlays)

    @property
    def path(self) -> Path:
        """Folder of the run in hand."""
        return self.main.path

    @property
    def summary(self) -> RunSummary | None:
        """Where the run in hand stands; None for a log of another tool."""
        return self.main.facts.state

    @property
    def run_dir(self) -> RunDir | None:
        """The run directory in hand, None for a log of another tool: there nothing can be asked."""
        from cellmap_tui.jobs.rundir import RunDir

        return RunDir(self.main.path) if self.main.kind == "run" and self.summary is not None else None

    @property
    def is_live(self) -> bool:
        """Whether a job works on the run in hand, or is believed to."""
        return self.summary is not None and self.summary.is_live

    @property
    def at_end(self) -> bool:
        """Whether everything that is there was read."""
        return all(source.at_end for source in self.sources)

    def poll(self) -> bool:
        """Read what is new of every source, at most a chunk of each; for a thread.

        Returns
        -------
        bool
            Whether anything has changed. While another page reads, nothing is done.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            sources = self.sources
            if len(sources) != self._sharing:
                self._share(sources)
            changed = [source.poll() for source in sources]
        finally:
            self._lock.release()
        if any(changed):
            self.version += 1
        return any(changed)

    def _share(self, sources: tuple[Source, ...]) -> None:
        """Share the memory that one run may take among all."""
        from cellmap_tui.monitor.series import MOST_BYTES

        self._sharing = len(sources)
        for source in sources:
            source.series.keep_within(MOST_BYTES // len(sources))

    def colour_of(self, source: Source) -> int:
        """Return the place of a source among the series colours; it keeps it as long as it is drawn."""
        if source.path not in self._colours:
            taken = set(self._colours.values())
            self._colours[source.path] = next(index for index in range(len(taken) + 1) if index not in taken)
        return self._colours[source.path]

    def add(self, source: Source) -> bool:
        """Draw another run too; return False if it is drawn already."""
        if any(one.path == source.path for one in self.sources):
            return False
        self.overlays.append(source)
        self.colour_of(source)
        self.version += 1
        return True

    def remove(self, path: Path) -> bool:
        """Draw a run no longer; return whether it was drawn."""
        kept = [one for one in self.overlays if one.path != path]
        if len(kept) == len(self.overlays):
            return False
        self.overlays = kept
        self._colours.pop(path, None)
        self.version += 1
        return True


def open_live(path: Path, overlays: Iterable[Path] = ()) -> LiveRun:
    """Open a run and those to draw over it, and read the first piece of each; for a thread.

    What is drawn over it and is gone by now is left out.

    Raises
    ------
    CellmapError
        If there is nothing to read in the run in hand.
    """
    from cellmap_tui.errors import CellmapError
    from cellmap_tui.monitor.source import open_source

    live = LiveRun(open_source(path))
    for other in overlays:
        try:
            live.add(open_source(other))
        except CellmapError:
            continue
    live.poll()
    return live
