"""A crop in words: two lines under a table, or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.crop_columns import LOOKS, presence_state, presence_words
from cellmap_tui.app.signs import sign
from cellmap_tui.text import count, cut_middle, number, printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.browsing import CropItem
    from cellmap_tui.services.crop_facts import CropDetail

COLOURS = {"good": "$text-success", "warn": "$text-warning", "bad": "$text-error", "dim": "$foreground-muted"}
_NAME_WIDTH = 8


def voxel_words(voxel_size_nm: Sequence[float]) -> str:
    """Return a voxel size with its unit and a flag: ``4 nm``, ``50×4×4 nm anisotropic``."""
    flag = " anisotropic" if len(set(voxel_size_nm)) > 1 else ""
    return f"{voxel(voxel_size_nm)} nm{flag}"


def class_list(names: Sequence[str], width: int) -> str:
    """Return class names, as many as fit, and how many more there are."""
    shown = ""
    for index, name in enumerate(names):
        rest = f" +{len(names) - index - 1}" if index + 1 < len(names) else ""
        if len(shown) + 1 + len(name) + len(rest) > width:
            return f"{shown} +{len(names) - index}".strip()
        shown = f"{shown} {name}".strip()
    return shown


def brief(item: CropItem, width: int) -> Content:
    """Return one line about a crop: size in voxels and nm, and its classes."""
    crop, grid = item.crop, item.crop.grid
    dataset = cut_middle(printable(crop.dataset), max(12, width // 3))
    what = "labels" if crop.split == "train" else "scored"
    head = f" {dataset}  {voxel_words(grid.voxel_size_nm)}  {triple(grid.extent_nm)} nm  {what} "
    names = class_list([printable(name) for name in crop.classes], width - len(str(crop.id)) - len(head) - 2)
    return Content.assemble((str(crop.id), "bold"), head, names)


def selection_words(items: Sequence[CropItem], hidden: int) -> str:
    """Return what is marked: how many crops, and how many of them are not here."""
    if not items:
        return ""
    away = sum(item.share < 1 for item in items)
    parts = [f"marked: {count(len(items))} crop{'s' if len(items) > 1 else ''}"]
    parts += [f"{hidden} hidden by the filter"] if hidden else []
    parts += [f"{away} not all on disk"] if away else []
    return ", ".join(parts)


def page(item: CropItem, detail: CropDetail | None, em_levels: Sequence[str], width: int) -> Content:
    """Return everything about a crop but its classes.

    Parameters
    ----------
    item
        The crop.
    detail
        What the tables say; None while it is looked up.
    em_levels
        The EM levels on disk in lines, or the one line that says why there is none.
    width
        Cells of a line; paths are cut in their middle.
    """
    crop, grid = item.crop, item.crop.grid
    state = presence_state(item)
    rows: list[tuple[str, str, str]] = [
        ("split", crop.split if crop.source == "challenge" else f"{crop.split}, from {crop.source}", ""),
        ("labels", f"{len(crop.classes)} class{'es' if len(crop.classes) != 1 else ''}", ""),
        ("voxels", f"{triple(grid.shape)} of {voxel_words(grid.voxel_size_nm)}", ""),
        ("extent", f"{triple(grid.extent_nm)} nm", ""),
        ("voxel 0", f"{' '.join(number(round(t, 2)) for t in grid.translation_nm)} nm z y x", ""),
        ("on disk", presence_words(item), COLOURS[LOOKS[state]]),
    ]
    if item.excluded is not None:
        rows.insert(0, ("excluded", f"{sign('excluded')} {item.excluded}", "$text-error"))
    rows += [("EM" if index == 0 else "", line, "") for index, line in enumerate(em_levels)]
    if detail is not None:
        room = width - _NAME_WIDTH - 1
        rows.append(("path", cut_middle(detail.local_path or detail.path, room), ""))
        rows += [("S3", cut_middle(detail.s3_address, room), "")] if detail.s3_address else []
    return Content("\n").join(_line(*row) for row in rows)


def _line(name: str, text: str, style: str) -> Content:
    return Content.assemble((f"{name:<{_NAME_WIDTH}} ", "$foreground-muted"), (printable(text), style))
