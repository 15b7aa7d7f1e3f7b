"""What the catalog and the scans of labels know about targets: in how many crops each is known, how much there is.

Counts are by the rule of `challenge.targets.class_source`, as mapping, splitting and training count.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.targets import class_source
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.datasplit import Split, Usage
    from cellmap_tui.challenge.targets import Target, Targets

ENOUGH_CROPS = 20
"""Crops below which a target is hardly learned and not validated well."""
Knowledge = Literal["full", "partial", "none"]
"""Known everywhere in a crop; known where it is and unknown elsewhere; not annotated."""


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known about one target."""

    target: Target
    """The target."""
    full: int
    """Training crops where every voxel is known to be of it or not."""
    partial: int
    """Training crops that only know some of its voxels."""
    by_dataset: dict[str, int] = field(default_factory=dict)
    """Crops of either kind by dataset."""
    scanned: int = 0
    """Crops among them whose labels were looked through."""
    with_foreground: int = 0
    """Scanned crops that hold any of it."""
    foreground_voxels: int = 0
    """Voxels of it in the scanned crops, at the labels' own voxel sizes."""
    known_voxels: int = 0
    """Voxels of the scanned crops that were annotated for it."""
    train: TargetFacts | None = None
    """The same over the training crops of a split; None where no split is known."""
    validate: TargetFacts | None = None
    """The same over its validation crops."""

    @property
    def crops(self) -> int:
        """Crops that know any of it."""
        return self.full + self.partial


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """A sentence about the targets as a whole."""

    level: Literal["ok", "warning"]
    """Whether it needs attention."""
    words: str
    """The sentence."""


def knowledge(target: Target, crop: Crop, table: ClassTable) -> Knowledge:
    """Return how far a crop knows a target."""
    sources = [class_source(name, frozenset(crop.classes), table, labels=crop.classes) for name in target.classes]
    known = [source for source in sources if source.arrays]
    if not known:
        return "none"
    return "full" if len(known) == len(sources) and all(source.complete for source in known) else "partial"


def target_facts(
    targets: Targets,
    catalog: Catalog,
    contents: Mapping[tuple[str, str], LabelContent] | None = None,
    split: Split | None = None,
) -> tuple[TargetFacts, ...]:
    """Return what is known about each target in the training crops.

    Parameters
    ----------
    contents
        Scans by crop, as ``dataset/crop234``, and class; those that there are.
    split
        Also counted by its sides, with the classes that its rows name.
    """
    crops = [crop for crop in catalog.crops if crop.split == "train"]
    found = contents or {}
    facts = [_facts(target, crops, catalog.classes, found) for target in targets.targets]
    if split is None:
        return tuple(facts)
    train, validate = (_of_side(split, usage, catalog) for usage in ("train", "validate"))
    return tuple(
        replace(
            one,
            train=_facts(one.target, train, catalog.classes, found),
            validate=_facts(one.target, validate, catalog.classes, found),
        )
        for one in facts
    )


def _of_side(split: Split, usage: Usage, catalog: Catalog) -> list[Crop]:
    """Return the crops of one side of a split, with those of their classes that their rows name."""
    known = {crop.ref: crop for crop in catalog.crops}
    crops = [(known[row.ref], row.classes) for row in split.of(usage) if row.ref in known]
    return [
        replace(crop, classes=tuple(name for name in crop.classes if not named or name in named))
        for crop, named in crops
    ]


def target_checks(targets: Targets, facts: Iterable[TargetFacts], table: ClassTable) -> tuple[TargetCheck, ...]:
    """Return what stands in the way of training on the targets, and what is right."""
    rows = tuple(facts)
    checks = [
        *_crop_checks(rows),
        *_emptiness(rows),
        *_side_checks(rows),
        *_overlaps(targets, table),
        *_left_out(targets, table),
    ]
    if not checks and rows:
        checks = [TargetCheck("ok", f"every target is known in at least {ENOUGH_CROPS} crops")]
    return tuple([*checks, TargetCheck("ok", "no class is in two targets")] if rows else checks)


def _facts(
    target: Target, crops: list[Crop], table: ClassTable, contents: Mapping[tuple[str, str], LabelContent]
) -> TargetFacts:
    states: Counter[Knowledge] = Counter()
    by_dataset: Counter[str] = Counter()
    scanned = with_foreground = foreground = known_voxels = 0
    remembered: dict[tuple[str, ...], Knowledge] = {}
    for crop in crops:
        if crop.classes not in remembered:
            remembered[crop.classes] = knowledge(target, crop, table)
        state = remembered[crop.classes]
        states[state] += 1
        if state == "none":
            continue
        by_dataset[crop.dataset] += 1
        found = _contents(target, crop, table, contents)
        if found:
            voxels = sum(content.foreground_voxels for content in found)
            scanned += 1
            with_foreground += voxels > 0
            foreground += voxels
            known_voxels += max(content.known_voxels for content in found)
    return TargetFacts(
        target,
        states["full"],
        states["partial"],
        dict(by_dataset),
        scanned,
        with_foreground,
        foreground,
        known_voxels,
    )


def _contents(
    target: Target, crop: Crop, table: ClassTable, contents: Mapping[tuple[str, str], LabelContent]
) -> list[LabelContent]:
    if not contents:
        return []
    arrays = {
        array
        for name in target.classes
        for array in class_source(name, frozenset(crop.classes), table, labels=crop.classes).arrays
    }
    whole = [array for array in sorted(arrays) if not any(_holds(other, array, table) for other in arrays)]
    return [contents[crop.ref, array] for array in whole if (crop.ref, array) in contents]


def _holds(group: str, part: str, table: ClassTable) -> bool:
    """Return whether a class is a part of a group, so that its voxels are counted with the group's."""
    outer, inner = table.named(group), table.named(part)
    if outer is None or inner is None or outer.id == inner.id:
        return False
    return set(inner.member_ids or (inner.id,)) <= set(outer.member_ids)


def _crop_checks(rows: tuple[TargetFacts, ...]) -> list[TargetCheck]:
    checks = []
    for row in rows:
        name = row.target.name
        if not row.target.classes:
            checks.append(TargetCheck("warning", f"{name} has no class yet"))
        elif not row.crops:
            checks.append(TargetCheck("warning", f"no training crop annotates {name}"))
        elif row.crops < ENOUGH_CROPS:
            checks.append(TargetCheck("warning", f"{name} is known in {count(row.crops)} crops only"))
        elif not row.full:
            checks.append(TargetCheck("warning", f"no crop knows where {name} is not: no background to learn"))
    return checks


def _emptiness(rows: tuple[TargetFacts, ...]) -> list[TargetCheck]:
    return [
        TargetCheck("warning", f"{row.target.name} has no voxel in the {count(row.scanned)} crops on disk")
        for row in rows
        if row.scanned and not row.with_foreground
    ]


def _side_checks(rows: tuple[TargetFacts, ...]) -> list[TargetCheck]:
    """Return the targets that one side of the split knows nothing of, or never shows."""
    checks = []
    for row in rows:
        for words, side in (("train", row.train), ("validate", row.validate)):
            if side is None or not row.crops:
                continue
            name = row.target.name
            if not side.crops:
                checks.append(TargetCheck("warning", f"no crop that {words}s in the split knows {name}"))
            elif side.scanned == side.crops and not side.with_foreground:
                checks.append(TargetCheck("warning", f"no crop that {words}s in the split shows {name}"))
    return checks


def _overlaps(targets: Targets, table: ClassTable) -> list[TargetCheck]:
    checks = []
    ids = {target.name: _ids(target, table) for target in targets.targets}
    names = [target.name for target in targets.targets]
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            if ids[first] & ids[second]:
                words = f"{first} and {second} share voxels: right for channels, not for one volume of ids"
                checks.append(TargetCheck("warning", words))
    return checks[:3]


def _left_out(targets: Targets, table: ClassTable) -> list[TargetCheck]:
    """Return the members of a target's groups that another place of the file takes out."""
    held: set[int] = set()
    for target in targets.targets:
        held |= _ids(target, table)
    ignored = [name for name in targets.ignored if (info := table.named(name)) is not None and info.id in held]
    return [
        TargetCheck("warning", f"{name} is ignored, though a target's group holds it: its voxels become unknown")
        for name in ignored
    ]


def _ids(target: Target, table: ClassTable) -> set[int]:
    infos = [info for info in map(table.named, target.classes) if info is not None]
    return {number for info in infos for number in (info.member_ids or (info.id,))}
