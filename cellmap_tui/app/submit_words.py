"""Coverage and submissions in words: signs of the matrix, what a gap costs, the rows of the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.services.class_facts import ClassCounts
from cellmap_tui.text import count, cut_middle, printable, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.pack_model import Cell, CellState, Coverage
    from cellmap_tui.services.submission_log_model import Submission, SubmissionDiff

STATES: tuple[CellState | None, ...] = (
    None,
    "present",
    "resampled",
    "empty",
    "wrong-shape",
    "outside",
    "unreadable",
    "missing",
)
"""States by the number that the matrix holds; None: not required."""
SIGNS: dict[CellState | None, str] = {
    None: "",
    "present": "#",
    "resampled": "~",
    "empty": "o",
    "wrong-shape": "!",
    "outside": "!",
    "unreadable": "x",
    "missing": ".",
}
"""What a cell prints; the same signs as `validate-submission`."""
LEGEND = "# there  ~ other voxel size  o empty  ! misplaced  x broken  . missing"
_SHOWN_CHANGES = 12


def state_counts(coverage: Coverage) -> ClassCounts:
    """Return the matrix: classes by crops, the number of each state."""
    cells = coverage.by_pair()
    rows = []
    for label in coverage.classes:
        found = [cells.get((crop, label)) for crop in coverage.crops]
        rows.append(tuple(STATES.index(cell.state if cell is not None else None) for cell in found))
    return ClassCounts(coverage.classes, coverage.crops, tuple(rows))


def summary(coverage: Coverage, fill: str) -> str:
    """Return how much is there in one line."""
    gaps = coverage.count("missing", "unreadable", "outside")
    words = f"{count(coverage.required - gaps)} of {count(coverage.required)} volumes"
    if not gaps:
        return words
    return f"{words}, {count(gaps)} {'become zeros' if fill == 'zeros' else 'left out'}"


def cell_words(crop: str, label: str, cell: Cell | None) -> Content:
    """Return everything about one volume: state, cost, and what fills the gap."""
    name = f"{printable(crop)}/{printable(label)}"
    if cell is None:
        return Content.assemble((name, "bold"), "  not scored: nothing has to be there")
    head = f"  {cell.kind}, {count(cell.voxels)} voxels, {100 * cell.share_of_class:.3g} % of the class"
    lines = [Content.assemble((name, "bold"), head)]
    state = f"{SIGNS[cell.state]} {cell.state}"
    lines.append(Content(printable(f"{state}: {cell.words}" if cell.words else state)))
    if cell.cost:
        lines.append(Content.styled(printable(cell.cost), "$text-warning"))
    if cell.fix.step != "none":
        lines.append(Content.assemble(("⏎ ", "bold $accent"), printable(f"{cell.fix.words}: {cell.fix.command}")))
    elif cell.path:
        lines.append(Content.styled(printable(cell.path), "$foreground-muted"))
    return Content("\n").join(lines)


def _moment(time_s: float | None) -> str:
    return "-" if time_s is None else time.strftime("%m-%d %H:%M", time.localtime(time_s))


def _volumes(row: Submission) -> str:
    total = row.required or row.present
    return f"{total - row.missing}/{total}"


def _score(row: Submission, origin: str) -> str:
    note = row.score("local" if origin == "local" else "returned")
    return "-" if note is None else f"{note.overall:.4f}"


LOG_COLUMNS: tuple[Column[Submission], ...] = (
    Column("id", "id", 8, lambda row: row.id, look=lambda row: "strong"),
    Column("packed", "packed", 11, lambda row: _moment(row.packed_s)),
    Column("volumes", "volumes", 7, _volumes, align="right"),
    Column("local", "local", 6, lambda row: _score(row, "local"), align="right"),
    Column("uploaded", "uploaded", 11, lambda row: _moment(row.uploads[-1].time_s if row.uploads else None)),
    Column("returned", "returned", 8, lambda row: _score(row, "returned"), align="right"),
    Column("size", "size", 6, lambda row: size(row.size_bytes), align="right", priority=2),
    Column("zip", "zip", 10, lambda row: row.path.name, max_width=30, priority=1),
)  # fmt: skip
"""A submission a line."""


def log_words(row: Submission | None, days: dict[str, int], limits: str) -> Content:
    """Return what is known of a submission, how many were handed in on which day, and where to."""
    lines = []
    if row is not None:
        lines.append(f"{row.id}  {cut_middle(str(row.path), 70)}")
        for score in row.scores:
            parts = [f"{score.origin} {score.overall:.4f}"]
            if score.instance is not None and score.semantic is not None:
                parts.append(f"instance {score.instance:.4f}, semantic {score.semantic:.4f}")
            lines.append("  ".join([*parts, score.profile, _moment(score.time_s)]).rstrip())
        lines += [f"uploaded {_moment(upload.time_s)}  {upload.note}".rstrip() for upload in row.uploads]
    if days:
        lines.append("handed in: " + ", ".join(f"{number} on {day}" for day, number in list(days.items())[:4]))
    lines.append(limits)
    return Content("\n").join(Content(printable(line)) for line in lines)


def diff_words(diff: SubmissionDiff) -> str:
    """Return what changed between two submissions."""
    lines = [f"{count(len(diff.volumes))} volumes differ, {count(diff.same)} are alike"]
    lines += [f"{change.change} {change.volume}" for change in diff.volumes[:_SHOWN_CHANGES]]
    if len(diff.volumes) > _SHOWN_CHANGES:
        lines.append(f"and {count(len(diff.volumes) - _SHOWN_CHANGES)} more")
    lines += list(diff.provenance)
    for origin, (before, after) in diff.scores.items():
        if before is not None or after is not None:
            lines.append(f"{origin} score: {_figure(before)} → {_figure(after)}")
    return "\n".join(printable(line) for line in lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def option_lines(values: Sequence[tuple[str, str]]) -> list[str]:
    """Return options and their values, one below the other."""
    width = max(len(name) for name, _ in values)
    return [f"{name:<{width}}  {value}" for name, value in values]
