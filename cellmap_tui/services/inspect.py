"""The facts of a crop on disk: what each class's array holds, and what a reader should be warned of.

Answers from the data themselves what the tables cannot know: whether a class is there, absent on
purpose or unknown, whether a crop is empty resin, and whether an array holds ids of no known class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.layout import ALL_IDS, crop_em_path, label_path
from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3, Vec3
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.inspect import ArrayFacts

Badge = Literal["present", "absent (true negative)", "unknown", "not on disk", "broken"]
"""There, annotated and not there, not annotated, annotated and not fetched, or not readable."""

RESIN = "resin/empty"
"""Badge of a crop in which every annotated class is absent."""


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """One class of a crop."""

    name: str
    """The class."""
    badge: Badge
    """How it stands with it in this crop."""
    facts: ArrayFacts | None
    """What its array holds; None where there is none to read."""
    words: str
    """Badge and facts in one line."""


@dataclass(frozen=True, slots=True)
class LevelFacts:
    """One level of a pyramid under a crop."""

    name: str
    """The level, such as ``s0``."""
    voxel_size_nm: Vec3
    """Its voxel size."""
    shape: Shape3
    """Its voxels, of the whole volume."""
    is_anisotropic: bool
    """Whether its axes differ in voxel size."""
    chunks: int
    """Chunks that lie under the crop."""
    chunks_on_disk: int
    """Those of them that are on disk; the others are background, or were not fetched."""


@dataclass(frozen=True, slots=True)
class CropFacts:
    """What a crop's arrays hold."""

    ref: str
    """The crop."""
    classes: tuple[ClassFacts, ...]
    """Its annotated classes, in the order of the catalog, then the scored ones that are unknown in it."""
    all_ids: ArrayFacts | None
    """The array of all ids, where it is on disk."""
    flagged_ids: tuple[int, ...]
    """Ids in that array that the class table does not know."""
    badge: str
    """``resin/empty`` where every annotated class is absent, else empty."""
    em_levels: tuple[LevelFacts, ...]
    """The EM under the crop, level by level."""
    notes: tuple[str, ...]
    """What the reader should be warned of, in words."""


def inspect_crop(
    data_root: Path, crop: Crop, catalog: Catalog, report: Reporter | None = None, *, max_voxels: int = 2**27
) -> CropFacts:
    """Look through the label arrays of a crop that are on disk.

    A broken array does not hide the others: it gets the badge ``broken`` and a note.

    Parameters
    ----------
    data_root
        Folder of the data.
    crop
        The crop.
    catalog
        Its class table decides which ids are known.
    report
        Told of the progress, and asked whether to go on.
    max_voxels
        Largest number of voxels looked through in one array; above, a coarser level is.

    Raises
    ------
    Stopped
        If the reporter says so.
    """
    report = report or SilentReporter()
    notes: list[str] = []
    classes = []
    for done, name in enumerate(crop.classes):
        report.progress(done, len(crop.classes) + 1, "arrays")
        classes.append(_class_facts(data_root / label_path(crop, name), name, report, max_voxels, notes))
    annotated = {catalog.classes.order(name)[0] for name in crop.classes}
    for info in catalog.classes.scored if crop.split == "train" else ():
        if info.id not in annotated:
            classes.append(ClassFacts(info.name, "unknown", None, "unknown: not annotated in this crop"))
    all_ids = _all_ids(data_root / label_path(crop, ALL_IDS), catalog, report, max_voxels, notes)
    flagged = all_ids.unknown_ids if all_ids is not None else ()
    report.progress(len(crop.classes) + 1, len(crop.classes) + 1, "arrays")
    return CropFacts(
        ref=crop.ref,
        classes=tuple(classes),
        all_ids=all_ids,
        flagged_ids=flagged,
        badge=_badge(classes),
        em_levels=_em_levels(data_root, crop, notes),
        notes=(*_warnings(flagged, classes), *notes),
    )


def _class_facts(path: Path, name: str, report: Reporter, max_voxels: int, notes: list[str]) -> ClassFacts:
    # numpy and zarr, 0.3 s
    from cellmap_tui.volumes.inspect import describe_array
    from cellmap_tui.volumes.metadata import is_there

    if not is_there(path):
        return ClassFacts(name, "not on disk", None, "not on disk")
    try:
        facts = describe_array(path, max_voxels=max_voxels, checkpoint=report.checkpoint)
    except Stopped:
        raise
    except CellmapError as error:
        notes.append(f"{name}: {error}")
        return ClassFacts(name, "broken", None, f"broken: {error.message}")
    if facts.kind == "empty":
        return ClassFacts(name, "absent (true negative)", facts, "absent (true negative)")
    return ClassFacts(name, "present", facts, facts.words)


def _all_ids(path: Path, catalog: Catalog, report: Reporter, max_voxels: int, notes: list[str]) -> ArrayFacts | None:
    from cellmap_tui.volumes.inspect import describe_array
    from cellmap_tui.volumes.metadata import is_there

    if not is_there(path):
        return None
    known = {info.id for info in catalog.classes}
    try:
        return describe_array(path, known_ids=known, max_voxels=max_voxels, checkpoint=report.checkpoint)
    except Stopped:
        raise
    except CellmapError as error:
        notes.append(f"{ALL_IDS}: {error}")
        return None


def _badge(classes: list[ClassFacts]) -> str:
    """Return the resin badge only where every annotated class was read and is absent."""
    annotated = [fact.badge for fact in classes if fact.badge != "unknown"]
    return RESIN if annotated and set(annotated) == {"absent (true negative)"} else ""


def _warnings(flagged: tuple[int, ...], classes: list[ClassFacts]) -> list[str]:
    from cellmap_tui.volumes.inspect import listed

    found = []
    if flagged:
        word = "id" if len(flagged) == 1 else "ids"
        found.append(f"`{ALL_IDS}` holds {word} {listed(flagged)} that the class table does not know")
    if _badge(classes):
        found.append("every annotated class is absent: empty resin, kept as a true negative on purpose")
    return found


def _em_levels(data_root: Path, crop: Crop, notes: list[str]) -> tuple[LevelFacts, ...]:
    from cellmap_tui.volumes.arrays import chunks_of, has_chunk
    from cellmap_tui.volumes.geometry import covering_range
    from cellmap_tui.volumes.metadata import is_there
    from cellmap_tui.volumes.ngff import open_volume

    path = data_root / crop_em_path(crop)
    if not is_there(path):
        return ()
    try:
        volume = open_volume(path)
    except CellmapError as error:
        notes.append(f"EM: {error}")
        return ()
    levels = []
    for level in volume.levels:
        box = covering_range(level.grid, crop.grid.lower_nm, crop.grid.upper_nm)
        numbers = list(chunks_of(box, level.chunks))
        present = sum(has_chunk(level, number) for number in numbers)
        grid = level.grid
        levels.append(
            LevelFacts(level.name, grid.voxel_size_nm, grid.shape, grid.is_anisotropic, len(numbers), present)
        )
    return tuple(levels)
