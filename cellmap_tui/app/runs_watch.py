"""The runs as they are now, for the header and every screen: asked twice a second, told when changed.

Most runs have ended and stay as they are. A run is read again only when its files have changed or
while it may still be alive, so that hundreds of old runs cost a few `stat` calls each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellmap_tui.jobs.watch import RunSummary

ENDED = frozenset({"done", "failed", "stopped"})
"""States that only a change of the run's files can end."""

LIVE = frozenset({"queued", "running", "paused", "stopping", "quiet"})
"""States of runs that go on, as far as anybody can tell."""

_WATCHED = ("state.json", "events.jsonl")


class RunsWatch:
    """Remembers what was seen of the runs below one root; used from one thread at a time."""

    def __init__(self, runs_root: Path) -> None:
        self.runs_root = runs_root
        self._seen: dict[str, tuple[tuple[float, ...], RunSummary]] = {}

    def poll(self) -> tuple[RunSummary, ...]:
        """Return all runs, the newest first.

        Raises
        ------
        CellmapError
            If the runs root cannot be read.
        """
        seen: dict[str, tuple[tuple[float, ...], RunSummary]] = {}
        for path in _run_folders(self.runs_root):
            stamp = _stamp(path)
            before = self._seen.get(path.name)
            if before is not None and before[0] == stamp and before[1].state in ENDED:
                seen[path.name] = before
            else:
                seen[path.name] = (stamp, _summary(path))
        self._seen = seen
        return tuple(seen[name][1] for name in sorted(seen, reverse=True))


def _run_folders(runs_root: Path) -> Iterator[Path]:
    from cellmap_tui.errors import DataError

    try:
        yield from (entry for entry in runs_root.iterdir() if (entry / "request.json").exists())
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"runs root {runs_root}: {error.strerror}", "choose another in the settings") from None


def _stamp(path: Path) -> tuple[float, ...]:
    stamp: list[float] = []
    for name in _WATCHED:
        try:
            facts = (path / name).stat()
        except OSError:
            stamp += [0.0, 0.0]
        else:
            stamp += [facts.st_mtime, float(facts.st_size)]
    return tuple(stamp)


def _summary(path: Path) -> RunSummary:
    from cellmap_tui.jobs.watch import summarise

    return summarise(path)
