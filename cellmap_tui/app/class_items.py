"""The classes of one crop as rows: what the tables say of them, and what their arrays hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import count, number, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.crop_facts import ClassInCrop, CropDetail
    from cellmap_tui.services.inspect import ClassFacts, CropFacts, LevelFacts

EMPTY_REMOTE = "empty in the bucket"
"""Badge of a class without a single chunk in the bucket: it is absent from the crop."""
_BAR_WIDTH = 8
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LOOKS = {"unknown": "dim", "not on disk": "dim", "absent (true negative)": "accent", "broken": "bad"}


@dataclass(frozen=True, slots=True)
class ClassItem:
    """A class in a crop."""

    name: str
    """The class."""
    info: ClassInCrop | None
    """What the tables say; None for a class that is not annotated in the crop."""
    facts: ClassFacts | None
    """What its array holds; None before it was looked at."""
    is_empty_remote: bool = False
    """Whether a listing of the bucket has shown that it holds nothing there."""


def class_items(
    detail: CropDetail, facts: CropFacts | None, empty_remote: frozenset[str] = frozenset()
) -> tuple[ClassItem, ...]:
    """Return the annotated classes of a crop, then the scored ones that nobody annotated in it.

    `empty_remote` names the classes that are known to be empty in the bucket, for a crop that is not here.
    """
    infos = {info.name: info for info in detail.classes}
    if facts is None:
        return tuple(ClassItem(info.name, info, None, info.name in empty_remote) for info in detail.classes)
    return tuple(ClassItem(fact.name, infos.get(fact.name), fact) for fact in facts.classes)


def bar(share: float, width: int = _BAR_WIDTH) -> str:
    """Return a share, 0 to 1, as a bar; anything above nothing shows."""
    eighths = min(width * 8, round(share * width * 8)) or (1 if share > 0 else 0)
    return _EIGHTHS[8] * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _holds(item: ClassItem) -> str:
    """Return kind, id range and number of objects, or why there is nothing."""
    if item.facts is None:
        return EMPTY_REMOTE if item.is_empty_remote else ""
    array = item.facts.facts
    if item.facts.badge != "present" or array is None:
        return item.facts.badge
    words = "mask 0/1" if array.kind == "binary" else f"ids {array.min_id}-{array.max_id}"
    if array.kind == "ids":
        return f"{words}, {count(array.distinct_ids)} classes"
    if array.objects is None:
        return words
    about = "about " if array.objects_level != array.level or array.is_estimate else ""
    thing = "object" if array.kind == "instance" else "part"
    return f"{words}, {about}{count(array.objects)} {thing}{'s' if array.objects != 1 else ''}"


def _share(item: ClassItem) -> float | None:
    array = item.facts.facts if item.facts is not None else None
    return None if array is None or array.kind == "empty" else array.foreground_share


def _share_words(item: ClassItem) -> str:
    share = _share(item)
    return "" if share is None else f"{number(float(f'{100 * share:.3g}'))} %"


CLASS_COLUMNS: tuple[Column[ClassItem], ...] = (
    Column("class", "class", 10, lambda item: item.name, max_width=12, sort_key=lambda item: item.name),
    Column("holds", "holds", 22, _holds, max_width=34,
           look=lambda item: _LOOKS.get(item.facts.badge, "") if item.facts else "dim"),
    Column("share", "share", 8, _share_words, align="right", sort_key=lambda item: -(_share(item) or 0)),
    Column("bar", "", _BAR_WIDTH, lambda item: bar(_share(item) or 0), priority=2, look=lambda item: "accent"),
    Column("nm", "nm", 5, lambda item: voxel(item.info.voxel_size_nm) if item.info else "", align="right",
           max_width=9, priority=3),
    Column("scored", "scored as", 9, lambda item: (item.info.scoring or "-") if item.info else "", priority=4),
)  # fmt: skip
"""A class of a crop a row."""


def level_words(levels: tuple[LevelFacts, ...], width: int) -> tuple[str, ...]:
    """Return the EM levels with their voxel sizes in lines of some width; a level that is not all here says so."""
    lines: list[str] = []
    for level in levels:
        words = f"{level.name} {voxel(level.voxel_size_nm)} nm"
        if level.chunks_on_disk < level.chunks:
            words += f" ({count(level.chunks_on_disk)} of {count(level.chunks)} chunks here)"
        if lines and len(lines[-1]) + 2 + len(words) <= width:
            lines[-1] += f"  {words}"
        else:
            lines.append(words)
    if any(level.is_anisotropic for level in levels):
        lines.append("anisotropic: z y x differ")
    return tuple(lines)
