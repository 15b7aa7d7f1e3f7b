"""What can be watched at a place and below: run directories, TensorBoard logs, CSV logs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cellmap_tui.monitor.csv_log import read_header
from cellmap_tui.monitor.tensorboard_log import MARK, event_files

if TYPE_CHECKING:
    from pathlib import Path

DEPTH = 4
"""How many folders down is looked."""
SEARCH_S = 2.0
"""Network disks list a hundred folders a second; what is found by then is what is shown."""
MOST_CSV_BYTES = 2**32
_PASSED_OVER = frozenset({".zarr", ".n5", ".venv"})
_CSV_NAMES = ("metrics.csv", "progress.csv", "log.csv", "training.csv", "history.csv")


def is_run(path: Path) -> bool:
    """Return whether a path is an own run directory."""
    return (path / "events.jsonl").is_file() or (
        (path / "request.json").is_file() and (path / "state.json").is_file()
    )


def place_of_events(path: Path) -> Path | None:
    """Return where the event files of a log lie: of the official toolbox's folder that is ``tensorboard/``."""
    if path.is_file():
        return path if MARK in path.name else None
    inside = path / "tensorboard"
    if inside.is_dir() and event_files(inside):
        return inside
    return path if event_files(path) else None


def csv_log_in(path: Path) -> Path | None:
    """Return a CSV log: the path itself, or the one with a usual name in a folder, or the only one there."""
    if path.is_file():
        return path if read_header(path) is not None else None
    named = [path / name for name in _CSV_NAMES if read_header(path / name) is not None]
    if named:
        return named[0]
    try:
        logs = [entry for entry in sorted(path.glob("*.csv")) if _is_csv_log(entry)]
    except OSError:
        return None
    return logs[0] if len(logs) == 1 else None


def sources_below(root: Path) -> list[Path]:
    """Return the runs and logs at a folder and below, the newest first."""
    until_s = time.monotonic() + SEARCH_S
    found: list[Path] = []
    folders = [root]
    for _ in range(DEPTH + 1):
        inside: list[Path] = []
        for folder in folders:
            if time.monotonic() > until_s:
                break
            inside += _looked_at(folder, found)
        folders = inside
    return sorted(found, key=_newest_first)


def _looked_at(folder: Path, found: list[Path]) -> list[Path]:
    """Add what is at a folder; return the folders in it that are still to be looked at."""
    try:
        if is_run(folder):
            found.append(folder)
            return []
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    if any(MARK in entry.name for entry in entries):
        found.append(folder)
        return []
    found += [entry for entry in entries if entry.suffix == ".csv" and _is_csv_log(entry)]
    return [entry for entry in entries if _is_looked_into(entry)]


def _is_csv_log(path: Path) -> bool:
    """Return whether a file is a table that tells steps or epochs: other tables are no logs."""
    header = read_header(path) if path.is_file() and path.stat().st_size < MOST_CSV_BYTES else None
    return header is not None and header.has_step


def _is_looked_into(entry: Path) -> bool:
    is_data = entry.suffix in _PASSED_OVER or entry.name.startswith(".")
    return not is_data and entry.is_dir() and not entry.is_symlink()


def _newest_first(path: Path) -> tuple[float, str]:
    try:
        return -path.stat().st_mtime, str(path)
    except OSError:
        return 0.0, str(path)
