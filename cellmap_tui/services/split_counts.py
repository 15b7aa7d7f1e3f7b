"""The class × split matrix, and what is worth saying about a split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.services.split_model import TargetCounts
from cellmap_tui.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cellmap_tui.challenge.datasplit import Usage
    from cellmap_tui.services.split_model import SplitCrop, SplitRequest, TargetStand

_SHOWN_STATES = frozenset({"present", "annotated"})
_KNOWN_STATES = frozenset({"present", "annotated", "absent"})


def count_targets(
    names: Sequence[str], crops: Sequence[SplitCrop], dropped: Sequence[SplitCrop], usages: Sequence[Usage]
) -> tuple[TargetCounts, ...]:
    """Return a row per target.

    Parameters
    ----------
    names
        The targets.
    crops, usages
        Crops that are used, and what for; a fold may use them otherwise than they say themselves.
    dropped
        Crops that are left out.
    """
    rows = []
    for position, name in enumerate(names):
        train = [crop.targets[position] for crop, side in zip(crops, usages, strict=True) if side == "train"]
        validate = [crop.targets[position] for crop, side in zip(crops, usages, strict=True) if side == "validate"]
        rows.append(
            TargetCounts(
                name=name,
                train=_number(train, _SHOWN_STATES),
                train_known=_number(train, _KNOWN_STATES),
                train_voxels=_voxels(train),
                validate=_number(validate, _SHOWN_STATES),
                validate_known=_number(validate, _KNOWN_STATES),
                validate_voxels=_voxels(validate),
                dropped=_number([crop.targets[position] for crop in dropped], _SHOWN_STATES),
            )
        )
    return tuple(rows)


def _number(stands: Iterable[TargetStand], states: frozenset[str]) -> int:
    return sum(stand.state in states for stand in stands)


def _voxels(stands: Iterable[TargetStand]) -> int | None:
    known = [stand.voxels for stand in stands if stand.state in _KNOWN_STATES]
    return None if any(voxels is None for voxels in known) else sum(voxels or 0 for voxels in known)


def split_notes(request: SplitRequest, crops: Sequence[SplitCrop], not_local: int) -> Iterator[str]:
    """Yield what is worth knowing about a split."""
    together = [crop for crop in crops if crop.together]
    if together and request.group_by == "crop":
        yield f"{len(together)} crops overlap others and stay on their side: {_few([c.ref for c in together])}"
    negative = [crop for crop in crops if crop.is_negative]
    if negative:
        resin = sum(crop.is_resin for crop in negative)
        what = f" ({resin} empty resin)" if resin else ""
        yield (
            f"{_crops(len(negative))} none of the classes{what}: kept as true negatives; "
            "--min-foreground 0 leaves them out"
        )
    wanted = request.validate_ratio * len(crops)
    validating = sum(crop.usage == "validate" for crop in crops)
    if not request.k_folds and validating > max(1.0, wanted) + 1:
        yield f"{validating} of {len(crops)} crops validate, more than asked, to show every class on both sides"
    if not_local:
        yield f"{count(not_local)} training crops of the catalog are not on disk and were not considered"


def split_warnings(
    request: SplitRequest, crops: Sequence[SplitCrop], counts: Sequence[TargetCounts], fold: int | None = None
) -> Iterator[str]:
    """Yield what needs attention."""
    where = f"fold {fold}: " if fold is not None else ""
    for row in counts:
        total = row.train + row.validate
        if request.validate_ratio == 0 and fold is None:
            break
        if total and not row.validate:
            why = "one crop has it" if total == 1 else "no draw shows it on both sides"
            yield f"{where}{row.name} is not validated: {why}"
        if total and not row.train:
            yield f"{where}{row.name} is only validated: no training crop shows it"
    if fold in {None, 1}:
        for row in counts:
            if not row.train + row.validate:
                yield f"nothing can be learned of {row.name}"
        if request.min_foreground and any(not _is_measured(crop) for crop in crops):
            yield "how much foreground there is was not looked at everywhere; --min-foreground left those crops in"


def _is_measured(crop: SplitCrop) -> bool:
    return all(stand.share is not None for stand in crop.targets if stand.state in _SHOWN_STATES)


def _few(refs: Sequence[str]) -> str:
    return ", ".join(refs[:4]) + (f" and {len(refs) - 4} more" if len(refs) > 4 else "")


def _crops(number: int) -> str:
    return f"{number} crop shows" if number == 1 else f"{number} crops show"
