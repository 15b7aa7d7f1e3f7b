"""Slices as a PNG: side by side, with the names of what is in them below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cellmap_tui.services.slices import RGB, SliceImage


def save_slices(path: Path, images: Sequence[SliceImage], *, with_legend: bool) -> None:
    """Write slices of one height into one PNG; its folder is made.

    Raises
    ------
    RequestError
        If its name is that of another kind of file.
    RefusedError
        If it would replace a file that is no PNG, or cannot be written.
    """
    from cellmap_tui.services.replaceable import check_picture
    from cellmap_tui.volumes import legend_picture
    from cellmap_tui.volumes.slices import save_png

    check_picture(path)
    rgb = legend_picture.side_by_side([image.rgb for image in images])
    if with_legend:
        facts = list(dict.fromkeys(fact for image in images for fact in image.facts))
        rgb = legend_picture.with_legend(rgb, legend_entries(images), facts)
    save_png(path, rgb)


def legend_entries(images: Sequence[SliceImage]) -> list[tuple[str, RGB | None]]:
    """Return what is in the pictures, each once, with its colour."""
    entries = {
        (entry.name if entry.kind in {"gt", "error"} else f"{entry.name} {entry.kind}"): entry.colour
        for image in images
        for entry in image.legend
        if entry.state == "present"
    }
    return list(entries.items())
