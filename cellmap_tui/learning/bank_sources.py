"""From the crops of a request to what a bank reads: label groups, EM, grid and cores of each crop.

Everything is looked at here, before any voxel is read: what is missing, too coarse or not annotated is
said with the crop, the class and what would help.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui import text
from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.layout import ALL_IDS
from cellmap_tui.challenge.targets import class_source
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.learning.bank import CropSource, LeftOut
from cellmap_tui.learning.bank_em import open_em
from cellmap_tui.learning.label_states import bank_grid, open_labels
from cellmap_tui.text import printable
from cellmap_tui.volumes.ngff import is_volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellmap_tui.challenge.datasplit import SplitRow
    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.challenge.targets import Target
    from cellmap_tui.learning.bank import BankRequest
    from cellmap_tui.learning.bank_em import CropEm
    from cellmap_tui.learning.label_states import LabelGroup

_SHOWN = 3
_NOT_ANNOTATED = "none of the targets is annotated"
_COARSER = "choose a coarser voxel size, or enlarge them with --coarse-labels upsample"


@dataclass(frozen=True, slots=True)
class CropPlan:
    """A crop with everything that has to be read for it."""

    source: CropSource
    """Where it lies."""
    grid: Grid
    """Its grid at the bank's voxel size."""
    em: CropEm
    """Its EM."""
    labels: tuple[LabelGroup, ...]
    """Classes that are read."""
    cores: tuple[tuple[str, LabelGroup | None], ...]
    """Targets with a core, and the class whose ids tell their objects apart, if one does."""


def source_of(row: SplitRow) -> CropSource:
    """Return where the crop of a split's row lies.

    Raises
    ------
    MissingDataError
        If it is in a bucket: a bank is made of crops on disk.
    """
    if row.is_remote:
        raise MissingDataError(
            f"{row.ref} is in a bucket: {printable(row.label_address)}",
            f"fetch it first: cellmap-tui --batch fetch --crops {row.ref}",
        )
    return CropSource(row.ref, row.usage, Path(row.em_address), Path(row.label_address), row.classes)


def plan_crops(request: BankRequest) -> tuple[list[CropPlan], list[LeftOut]]:
    """Return what has to be read for each crop, and the crops that cannot be used.

    Raises
    ------
    RequestError
        If no crop is asked for.
    MissingDataError
        If paths are gone, or a target is annotated in no crop that can be used.
    DataError
        If metadata are broken.
    """
    if not request.crops:
        raise RequestError("a bank needs at least one crop", "check the split")
    _check_paths(request.crops)
    plans = []
    left_out = []
    for source in request.crops:
        found = _plan(source, request)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            plans.append(found)
    _check_annotated(request, plans, left_out)
    return plans, left_out


def _check_paths(sources: Iterable[CropSource]) -> None:
    gone = [f"{source.ref}: {path}" for source in sources for path in (source.labels, source.em) if not path.is_dir()]
    if gone:
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        raise MissingDataError(
            printable(f"paths of the split are gone: {', '.join(gone[:_SHOWN])}{more}"),
            "make the split again with make-datasplit, or fetch the crops",
        )


def _plan(source: CropSource, request: BankRequest) -> CropPlan | LeftOut:
    annotated = _annotated(source)
    groups = [open_labels(source.labels, name) for name in _needed(request, annotated)]
    if not groups:
        shown = ", ".join(annotated[:8]) or "nothing"
        return LeftOut(source.ref, f"{_NOT_ANNOTATED}; it has {shown}")
    fine = [g for g in groups if request.coarse_labels == "upsample" or not g.is_coarser(request.voxel_size_nm)]
    if not fine or not _knows_any(request, [group.name for group in fine]):
        return LeftOut(source.ref, _too_coarse(groups, request))
    grid = bank_grid(fine, request.voxel_size_nm)
    try:
        em = open_em(source.em, grid)
    except MissingDataError as error:
        return LeftOut(source.ref, f"{error.message}; {error.remedy} --crops {source.ref}")
    return CropPlan(source, grid, em, tuple(fine), _cores(request, fine))


def _annotated(source: CropSource) -> list[str]:
    """Return the label groups of a crop that may be used."""
    wanted = set(source.classes)
    return [name for name in _on_disk(source) if not wanted or name in wanted]


def _on_disk(source: CropSource) -> list[str]:
    """Return every label group of a crop."""
    with os.scandir(source.labels) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    return [name for name in names if name != ALL_IDS and is_volume(source.labels / name)]


def _needed(request: BankRequest, annotated: Sequence[str]) -> list[str]:
    """Return the label groups that say anything about the targets."""
    names = (*request.targets.classes, *request.targets.ignored)
    sources = [class_source(name, annotated, labels=request.labels) for name in names]
    wanted = {array for source in sources for array in source.arrays}
    for target in request.targets.targets:
        if target.core and request.cores:
            wanted |= {name for name in annotated if _is_same(target, name)}
    if request.use_mutual_exclusion:
        wanted |= {name for name in annotated if name in builtin_classes()}
    return [name for name in annotated if name in wanted]


def _knows_any(request: BankRequest, names: Sequence[str]) -> bool:
    if request.use_mutual_exclusion:
        return bool(names)
    return any(class_source(name, names, labels=request.labels).arrays for name in request.targets.classes)


def _too_coarse(groups: Sequence[LabelGroup], request: BankRequest) -> str:
    finest = min((group.grid.voxel_size_nm for group in groups), key=lambda size: size[0] * size[1] * size[2])
    return (
        f"its labels are at {text.voxel(finest)} nm, coarser than {text.voxel(request.voxel_size_nm)} nm; {_COARSER}"
    )


def _cores(request: BankRequest, groups: Sequence[LabelGroup]) -> tuple[tuple[str, LabelGroup | None], ...]:
    wanted = [target for target in request.targets.targets if target.core and request.cores]
    return tuple((target.name, _with_objects(target, groups)) for target in wanted)


def _with_objects(target: Target, groups: Sequence[LabelGroup]) -> LabelGroup | None:
    """Return the class whose ids are the target's objects; None where the target is known in parts alone."""
    return next((group for group in groups if _is_same(target, group.name)), None)


def _is_same(target: Target, name: str) -> bool:
    return _atoms(target.classes) == _atoms((name,))


def _atoms(names: Iterable[str]) -> frozenset[int | str]:
    found: set[int | str] = set()
    for name in names:
        info = builtin_classes().named(name)
        found |= {name} if info is None else set(info.member_ids) or {info.id}
    return frozenset(found)


def _check_annotated(request: BankRequest, plans: Sequence[CropPlan], left_out: Sequence[LeftOut]) -> None:
    """Refuse targets that nothing could be learned about."""
    for target in request.targets.targets:
        if any(_is_known(target, plan, request) for plan in plans):
            continue
        hidden = [source for source in request.crops if _is_hidden(target, source, request)]
        raise _not_named(target, hidden, request) if hidden else _unknown(target, plans, left_out)


def _is_hidden(target: Target, source: CropSource, request: BankRequest) -> bool:
    """Return whether a crop is annotated for a target on disk, but its row of the split names other classes only."""

    def is_known(annotated: list[str]) -> bool:
        return any(class_source(name, annotated, labels=request.labels).arrays for name in target.classes)

    return bool(source.classes) and is_known(_on_disk(source)) and not is_known(_annotated(source))


def _not_named(target: Target, hidden: Sequence[CropSource], request: BankRequest) -> MissingDataError:
    """Say that the annotations are there and the split leaves them out, and how it takes them in."""
    named = tuple(dict.fromkeys(name for source in request.crops for name in source.classes))
    crops = "1 of its crops is" if len(hidden) == 1 else f"{len(hidden)} of its crops are"
    some = ", ".join(source.ref for source in hidden[:_SHOWN]) + (" …" if len(hidden) > _SHOWN else "")
    wanted = ",".join(dict.fromkeys((*named, *target.classes)))
    return MissingDataError(
        printable(f"the split names only {', '.join(named)}; {crops} annotated for {target.name!r} as well ({some})"),
        f"make a split with it: cellmap-tui --batch make-datasplit -c {wanted} -cp another.csv",
    )


def _unknown(target: Target, plans: Sequence[CropPlan], left_out: Sequence[LeftOut]) -> MissingDataError:
    reasons = [f"{out.ref}: {out.reason}" for out in left_out]
    reasons += [f"{plan.source.ref}: not annotated" for plan in plans]
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    is_unannotated = all(out.reason.startswith(_NOT_ANNOTATED) for out in left_out)
    is_coarse = bool(left_out) and not plans and all(out.reason.endswith(_COARSER) for out in left_out)
    reasons = [reason.removesuffix(f"; {_COARSER}") for reason in reasons] if is_coarse else reasons
    name = f"{target.name!r} ({', '.join(target.classes)})"
    what = f"nobody annotated {name} in" if is_unannotated else f"nothing can be learned of {name} from"
    return MissingDataError(
        printable(
            f"{what} the {text.counted(len(reasons), 'crop')} of the split: {'; '.join(reasons[:_SHOWN])}{more}"
        ),
        _COARSER if is_coarse else "leave it out of the targets, or fetch crops that have it: get-counts lists them",
    )


def _is_known(target: Target, plan: CropPlan, request: BankRequest) -> bool:
    names = [group.name for group in plan.labels]
    return any(class_source(name, names, labels=request.labels).arrays for name in target.classes)
