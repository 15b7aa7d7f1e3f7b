"""Targets on disk: written at once, and the counts that scans of local labels have left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cellmap_tui.challenge.target_edits import checked
from cellmap_tui.challenge.targets import format_targets
from cellmap_tui.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.targets import Targets


def save_targets(
    path: Path, targets: Targets, table: ClassTable | None = None, *, labels: Collection[str] = ()
) -> None:
    """Write a ``targets.toml``, replacing the file at once.

    Raises
    ------
    RequestError
        If the targets may not be kept: there is none, or one has no class.
    RefusedError
        If the file cannot be written.
    """
    text = format_targets(checked(targets, table, labels=labels))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "choose another folder") from None


def known_contents(
    data_root: Path, state_dir: Path, catalog: Catalog, is_wanted: Callable[[], bool] = lambda: True
) -> dict[tuple[str, str], LabelContent]:
    """Return what earlier scans found in the labels on disk, by crop and class; nothing is scanned here.

    Parameters
    ----------
    is_wanted
        Asked between crops; once it says no, what was found so far is returned.
    """
    from cellmap_tui.services.content_cache import ContentCache, array_key
    from cellmap_tui.services.content_scan import label_arrays

    cache = ContentCache(data_root, state_dir)
    found: dict[tuple[str, str], LabelContent] = {}
    for crop in catalog.crops:
        if not is_wanted():
            break
        for array in label_arrays(data_root, crop):
            content = cache.get(array.ref, array.name, array_key(array.path), with_objects=False)
            if content is not None:
                found[array.ref, array.name] = content
    return found
