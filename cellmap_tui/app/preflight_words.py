"""What the page before a training says: its columns, one finding in full, and its questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.run_words import amount_words, progress_words
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import count, counted, duration, printable, size

if TYPE_CHECKING:
    from cellmap_tui.app.preflight_feed import FindingRow, LookState
    from cellmap_tui.services.train_model import ClassPatches, Preflight

_SIGNS = {"ok": "ok", "note": "queued", "warning": "warning", "problem": "error"}
_LOOKS = {"ok": "good", "note": "dim", "warning": "warn", "problem": "bad"}


def finding_columns() -> tuple[Column[FindingRow], ...]:
    """Return the columns of what was found."""
    return (
        Column("sign", "", 1, lambda row: sign(_SIGNS.get(row.status, "unknown")), look=_look),
        Column("name", "", 14, lambda row: row.name, look=_look),
        Column("value", "found", 30, lambda row: row.value, max_width=150),
    )


def class_columns() -> tuple[Column[ClassPatches], ...]:
    """Return the columns of the classes."""
    return (
        Column("class", "class", 12, lambda row: row.name, max_width=24, look=_class_look),
        Column("patches", "patches/epoch", 13, _per_epoch, align="right", look=_class_look,
               sort_key=lambda row: row.patches_per_epoch or 0.0),
        Column("train", "crops", 5, lambda row: count(row.train_crops), align="right",
               sort_key=lambda row: row.train_crops),
        Column("voxels", "voxels", 13, lambda row: count(row.train_voxels), align="right",
               sort_key=lambda row: row.train_voxels),
        Column("validate", "val crops", 9, lambda row: count(row.validate_crops), align="right",
               sort_key=lambda row: row.validate_crops),
    )  # fmt: skip


def finding_words(row: FindingRow | None) -> Content:
    """Return one finding in full, with what mends it."""
    if row is None:
        return Content("")
    parts = [(f"{sign(_SIGNS.get(row.status, 'unknown'))} {printable(row.name)}: {printable(row.value)}", "")]
    if row.remedy:
        parts.append((f"\n{printable(row.remedy)}", "bold"))
    if row.status != "ok":
        parts.append((f"\nenter goes to {printable(row.key)} in the form", "$foreground-muted"))
    return Content.assemble(*parts)


def look_words(state: LookState | None) -> str:
    """Return how far the look is."""
    if state is None:
        return "starting the look…"
    run = state.run
    if run.done is not None and run.done == run.total:
        return "looking: crops are ready; memory, patches and a step are measured"
    done = "" if run.done is None else f"  {amount_words(run)}  {progress_words(run)}"
    return f"looking: {printable(run.message or 'torch is loaded')}{done}"


def sum_words(look: Preflight, problems: int) -> str:
    """Return whether it can be trained and what that takes, in one line."""
    words = [f"{sign('error')} {problems} in the way" if problems else f"{sign('ok')} nothing in the way"]
    if look.eta_s is not None:
        words.append(f"{duration(look.eta_s)} in all")
    if look.step_s is not None:
        words.append(f"{look.step_s:.2g} s a step")
    if look.disk_bytes:
        words.append(f"{size(look.disk_bytes)} of checkpoints")
    if look.parameters:
        words.append(f"{count(look.parameters)} parameters")
    return "   ".join(words)


def force_question(rows: tuple[FindingRow, ...]) -> tuple[str, str]:
    """Return the question before training in spite of problems, and what they are."""
    lines = [f"{row.name}: {row.value}" for row in rows]
    return f"Train in spite of {counted(len(rows), 'problem')}?", "\n".join(printable(line) for line in lines)


def _per_epoch(row: ClassPatches) -> str:
    return "-" if row.patches_per_epoch is None else count(round(row.patches_per_epoch))


def _look(row: FindingRow) -> str:
    return _LOOKS.get(row.status, "")


def _class_look(row: ClassPatches) -> str:
    if not row.train_voxels:
        return "bad"
    return "warn" if not row.validate_crops or not row.patches_per_epoch else ""
