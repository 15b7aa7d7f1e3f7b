"""The settings in words, and the check of a value while it is typed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellmap_tui.services.settings import Settings


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as it is now."""

    name: str
    """Name in ``settings.toml``."""
    value: str
    """Its value in this session."""
    origin: str
    """``default``, ``file``, ``environment``, ``flag`` or ``session``."""
    help: str
    """What it is for."""


HELP = {
    "data_root": "Folder of the challenge data: <dataset>/<dataset>.zarr/… below it.",
    "runs_root": "Folder of the runs, a folder each.",
    "endpoint_url": "S3 endpoint, or file:///folder with a copy; empty for the public one.",
    "bucket": "Name of the bucket, without s3://.",
    "theme": "Colours; shown while you choose.",
    "images": "How slices are drawn: half (every terminal), kitty or sixel (with the images extra).",
    "webhook_url": "Where jobs post a line of JSON when they end, fail, or are at their best; empty: nowhere.",
    "notify": "What of it is told: end, failure, best, with commas between.",
    "bell": "Whether a command on a terminal rings at the same: on or off; on the live screen B does.",
}


_WITHOUT_FLAG = {"theme", "webhook_url", "notify", "bell"}


def setting_rows(settings: Settings) -> list[SettingRow]:
    """Return every setting with its value and where that came from."""
    return [
        SettingRow(name, str(getattr(settings, name)), settings.origins.get(name, "default"), help)
        for name, help in HELP.items()
    ]


def how_to_set(name: str) -> str:
    """Return the other ways to give a setting."""
    ways = f"CELLMAP_TUI_{name.upper()}"
    return ways if name in _WITHOUT_FLAG else f"{ways} or --{name.replace('_', '-')}"


def check_value(settings: Settings, name: str, value: str) -> None:
    """Check a value as it would be kept; writes nothing.

    Raises
    ------
    CellmapError
        What is wrong with it and what to do.
    """
    from cellmap_tui.errors import RequestError
    from cellmap_tui.services.settings import checked_data_root, checked_runs_root, checked_setting

    checked = checked_setting(name, value)
    if name in {"data_root", "runs_root"}:
        if not value.strip():
            raise RequestError("a folder is needed", "type its path")
        if not isinstance(checked, Path):
            return
        {"data_root": checked_data_root, "runs_root": checked_runs_root}[name](
            replace(settings, **{name: checked})  # type: ignore[arg-type]
        )
