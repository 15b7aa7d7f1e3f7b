"""A class in words: what an id means, whether it is scored, at which voxel sizes it is annotated."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.class_items import bar
from cellmap_tui.app.signs import sign
from cellmap_tui.text import count, cut_middle, printable, voxel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cellmap_tui.services.class_facts import Resolution, SizeBin, VoxelSizes

_NAME_WIDTH = 8
_BAR_WIDTHS = (6, 12)
_WIDE = 40
"""From this width on bars are long."""


def resolution_words(found: Resolution, width: int) -> Content:
    """Return name, parents, members and scoring of an id, in lines of `width` cells."""
    lines = [
        Content.assemble((f"{found.id}  {printable(found.name)}", "bold"), f"  {printable(found.long_name)}"),
        _line("also", ", ".join(found.aliases), width),
        _line("in", " < ".join(found.parents) or "no group", width),
        _line("members", " ".join(found.members), width),
        _scoring(found, width),
        _line("crops", f"{count(found.training_crops)} training, {count(found.test_volumes)} test", width),
    ]
    return Content("\n").join(line for line in lines if line.plain)


def class_page(found: Resolution, sizes: VoxelSizes, by_dataset: Mapping[str, int], width: int) -> Content:
    """Return everything about a class: what it is, its voxel sizes as a histogram, its crops by dataset."""
    parts = [resolution_words(found, width), Content(""), Content.styled("voxel sizes, training crops", "bold")]
    most = max((part.crops for part in sizes.bins), default=0)
    for part in sizes.bins:
        parts += _bar_lines(f"{part.nominal_nm:>3} nm", part.crops, most, _exact_sizes(part), width)
    if sizes.suggested_nm is not None:
        parts += [Content(""), Content.styled(f"suggested training scale: {sizes.suggested_nm} nm", "bold")]
    parts.append(Content.styled(printable(sizes.why), "$foreground-muted"))
    if by_dataset:
        parts += [Content(""), Content.styled("training crops by dataset", "bold")]
        highest = max(by_dataset.values())
        room = min(max(len(name) for name in by_dataset), width - _bar_width(width) - 7)
        for name, crops in sorted(by_dataset.items(), key=lambda pair: (-pair[1], pair[0])):
            parts += _bar_lines(f"{cut_middle(name, room):<{room}}", crops, highest, "", width)
    return Content("\n").join(parts)


def _exact_sizes(part: SizeBin) -> str:
    """Return the voxel sizes in a bin where they are not what its name says; of many the first and the last."""
    exact = [voxel(size) for size in part.voxel_sizes_nm]
    if exact == [str(part.nominal_nm)]:
        return ""
    return ", ".join(exact) if len(exact) < 3 else f"{len(exact)} sizes, {exact[0]} to {exact[-1]}"


def _scoring(found: Resolution, width: int) -> Content:
    if found.scoring is not None:
        how = "object by object" if found.scoring == "instance" else "voxel by voxel"
        return _line("scored", f"{sign('ok')} {found.scoring}: {how}", width)
    return _line("scored", f"{sign('failed')} no: {found.not_scored_reason}", width, "$text-warning")


def _line(name: str, text: str, width: int, style: str = "") -> Content:
    if not text:
        return Content("")
    lines = wrap(printable(text), max(10, width - _NAME_WIDTH))
    indented = f"\n{' ' * _NAME_WIDTH}".join(lines)
    return Content.assemble((f"{name:<{_NAME_WIDTH}}", "$foreground-muted"), (indented, style))


def _bar_lines(name: str, crops: int, most: int, note: str, width: int) -> list[Content]:
    bar_width = _bar_width(width)
    drawn = f"{bar(crops / most if most else 0, bar_width):<{bar_width}}"
    head = Content.assemble(printable(name), " ", (drawn, "$text-primary"), f" {crops:>4}")
    if not note:
        return [head]
    muted = "$foreground-muted"
    if len(head.plain) + 2 + len(note) <= width:
        return [Content.assemble(head, (f"  {note}", muted))]
    return [head, Content.styled(f"       {note}", muted)]


def _bar_width(width: int) -> int:
    return _BAR_WIDTHS[width >= _WIDE]
