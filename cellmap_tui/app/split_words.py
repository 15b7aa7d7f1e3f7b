"""A split in words: a class a row of the matrix, a crop a row with its side and reason, and what to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.split_form import SplitForm
    from cellmap_tui.services.split_model import SplitCrop, SplitPlan, TargetCounts, TargetStand

NOTHING = "No crops. Fetch some (3), import your own, or change the options."
_FEW = 3
_SIDES = {"train": "train", "validate": "validate", None: "left out"}


def matrix_columns() -> tuple[Column[TargetCounts], ...]:
    """Return the columns of the class × split matrix."""
    return (
        Column("class", "class", 10, lambda row: row.name, max_width=24),
        Column("train", "train", 8, lambda row: _of(row.train, row.train_known), align="right",
               look=lambda row: "" if row.train else "bad"),
        Column("train_voxels", "voxels", 8, lambda row: _amount(row.train_voxels), align="right", priority=2,
               look=lambda row: "dim"),
        Column("validate", "validate", 8, lambda row: _of(row.validate, row.validate_known), align="right",
               look=lambda row: "" if row.validate else "warn"),
        Column("validate_voxels", "voxels", 8, lambda row: _amount(row.validate_voxels), align="right", priority=2,
               look=lambda row: "dim"),
        Column("share", "share", 6, _share, align="right", priority=3),
        Column("dropped", "left out", 8, lambda row: str(row.dropped or ""), align="right", priority=1,
               look=lambda row: "dim"),
    )  # fmt: skip


def _of(shown: int, known: int) -> str:
    return f"{shown} of {known}" if known != shown else str(shown)


def _amount(voxels: int | None) -> str:
    return "-" if voxels is None else text.size(voxels).removesuffix(" B")


def _share(row: TargetCounts) -> str:
    """Return which share of a class's crops validates."""
    total = row.train + row.validate
    return f"{100 * row.validate / total:.0f} %" if total else "-"


def crop_columns(form: Callable[[], SplitForm], target: Callable[[], str]) -> tuple[Column[SplitCrop], ...]:
    """Return the columns of the crops.

    Parameters
    ----------
    form
        Returns the form as it is now, for what was bound by hand.
    target
        Returns the class whose share is shown.
    """
    return (
        Column("side", "side", 8, side_words, sort_key=side_words, look=side_look),
        Column("hand", "", 1, lambda crop: sign("marked") if form().side_of(crop.ref) != "drawn" else "",
               look=lambda crop: "accent"),
        Column("crop", "crop", 5, lambda crop: crop.ref.rpartition("/")[2].removeprefix("crop"), align="right",
               max_width=6, sort_key=lambda crop: crop.ref),
        Column("dataset", "dataset", 12, lambda crop: crop.dataset, max_width=18, priority=2,
               sort_key=lambda crop: crop.dataset),
        Column("nm", "nm", 9, lambda crop: text.voxel(crop.voxel_size_nm), align="right", max_width=10, priority=5,
               sort_key=lambda crop: crop.voxel_size_nm),
        Column("shows", "shows", 5, shows_words, align="right", priority=4,
               sort_key=lambda crop: sum(stand.state == "present" for stand in crop.targets)),
        Column("share", "share", 9, lambda crop: stand_words(_stand(crop, target())), align="right",
               sort_key=lambda crop: _stand_share(crop, target())),
        Column("why", "why", 14, why_words, max_width=60, priority=1, look=lambda crop: "dim"),
    )  # fmt: skip


def side_words(crop: SplitCrop) -> str:
    """Return the side of a crop, or the fold in which it validates."""
    return f"fold {crop.fold}" if crop.fold is not None else _SIDES[crop.usage]


def side_look(crop: SplitCrop) -> str:
    """Return the look of a crop's side."""
    if crop.fold is not None:
        return ""
    return {"train": "", "validate": "accent", None: "dim"}[crop.usage]


def shows_words(crop: SplitCrop) -> str:
    """Return how many of the classes a crop shows: ``2/3``."""
    shown = sum(stand.state in {"present", "annotated"} for stand in crop.targets)
    return f"{shown}/{len(crop.targets)}"


def why_words(crop: SplitCrop) -> str:
    """Return why a crop is left out or kept on a side, in few words."""
    if crop.dropped is not None:
        return crop.reason
    words = ["empty resin"] if crop.is_resin else ["true negative"] if crop.is_negative else []
    if crop.together:
        words.append(f"overlaps {', '.join(ref.rpartition('/')[2].removeprefix('crop') for ref in crop.together)}")
    return "; ".join(words)


def _stand(crop: SplitCrop, target: str) -> TargetStand | None:
    return next((stand for stand in crop.targets if stand.name == target), None)


def _stand_share(crop: SplitCrop, target: str) -> float:
    stand = _stand(crop, target)
    return -1.0 if stand is None or stand.share is None else stand.share


def stand_words(stand: TargetStand | None) -> str:
    """Return how a class stands in a crop: ``12.1 %``, ``absent``, ``unknown``."""
    if stand is None:
        return "-"
    if stand.state == "present" and stand.share is not None:
        return percent(stand.share)
    return {"annotated": "there", "part": "in part", "missing": "no labels"}.get(stand.state, stand.state)


def percent(share: float) -> str:
    """Return a share with three figures at most."""
    return f"{text.number(float(f'{100 * share:.3g}'))} %"


def sum_words(plan: SplitPlan, form: SplitForm) -> Content:
    """Return the split in a line."""
    crops = f"{plan.train} train   {plan.validate} validate   {len(plan.dropped)} left out"
    if plan.folds:
        crops = (
            f"{len(plan.folds)} folds of {len(plan.crops)} crops   {len(plan.dropped)} left out   matrix of fold 1"
        )
    return Content.assemble((crops, "bold"), (f"   seed {form.seed}", "$foreground-muted"))


def note_lines(plan: SplitPlan, lines: int = _FEW) -> Content:
    """Return what the split warns of, then what is worth knowing, in a few lines."""
    warnings = [
        Content.styled(f"{sign('warning')} {printable(words)}", "$text-warning") for words in plan.warnings[:lines]
    ]
    if len(plan.warnings) > lines:
        more = f"{sign('warning')} and {len(plan.warnings) - lines + 1} more warnings"
        warnings[-1] = Content.styled(more, "$text-warning")
    room = max(0, lines - len(warnings))
    notes = [Content.styled(printable(words), "$foreground-muted") for words in plan.notes[:room]]
    return Content("\n").join([*warnings, *notes])


def crop_lines(crop: SplitCrop, form: SplitForm) -> Content:
    """Return everything about a crop: its side and why, and how each class stands in it."""
    head = f"{crop.ref}  {side_words(crop)}"
    side = form.side_of(crop.ref)
    head += "" if side == "drawn" else ", by hand"
    size = f"   {text.triple(crop.shape)} at {text.voxel(crop.voxel_size_nm)} nm"
    stands = "  ".join(f"{stand.name} {stand_words(stand)}" for stand in crop.targets)
    lines = [Content.assemble((printable(head), "bold"), (size, "$foreground-muted"))]
    if why := why_words(crop):
        lines.append(Content.styled(printable(why), "$text-warning" if crop.dropped else "$foreground-muted"))
    lines.append(Content(printable(stands)))
    return Content("\n").join(lines)


def write_question(plan: SplitPlan, paths: list[str]) -> tuple[str, str]:
    """Return the question before a split is written, and what it is."""
    what = f"{len(paths)} splits" if len(paths) > 1 else printable(paths[0].rpartition("/")[2])
    lines = [f"{plan.train} crops train, {plan.validate} validate, {len(plan.dropped)} are left out"]
    lines += [f"into {path}" for path in paths[:_FEW]]
    lines += [f"{sign('warning')} {words}" for words in plan.warnings[:_FEW]]
    return f"Write {what}?", "\n".join(printable(line) for line in lines)
