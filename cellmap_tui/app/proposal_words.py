"""A proposal in words: a group a row, why it is as it is, and what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import count, counted, duration, number, printable, triple, voxel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.propose_model import GroupProposal, ProposeResult, SizeShare, TargetProposal


def _targets(group: GroupProposal) -> str:
    return " ".join(target.name for target in group.targets)


def _crops(group: GroupProposal) -> str:
    return count(group.crops)


def _hours(group: GroupProposal) -> str:
    return lasts(group.hours)


def lasts(hours: float) -> str:
    """Return a forecast of time without seconds that nobody can forecast."""
    minutes = hours * 60
    return duration(round(minutes) * 60).removesuffix(" 00 s") if minutes >= 10 else duration(hours * 3600)


GROUP_COLUMNS: tuple[Column[GroupProposal], ...] = (
    Column("name", "group", 6, lambda group: group.name, max_width=14, look=lambda group: "strong"),
    Column("nm", "nm", 5, lambda group: voxel(group.scale_nm), align="right", max_width=14, priority=6),
    Column("patch", "patch", 11, lambda group: triple(group.patch)),
    Column("batch", "batch", 5, lambda group: str(group.batch_size), align="right"),
    Column("network", "network", 10, lambda group: group.network, max_width=18),
    Column("gb", "GB", 5, lambda group: number(group.memory_gb), align="right"),
    Column("crops", "crops", 5, _crops, align="right"),
    Column("hours", "takes", 11, _hours, align="right"),
    Column("count", "targets", 8, _targets, max_width=60, priority=1),
)  # fmt: skip
"""A group a line."""


def head_words(result: ProposeResult) -> str:
    """Return which crops and which GPU it was made for."""
    return printable(f"{result.crops_from}; {result.gpu}")


def group_words(group: GroupProposal) -> Content:
    """Return what a group learns and why it is as it is."""
    low, high = group.hours_range
    coarse = f", {count(group.crops_too_coarse)} too coarse" if group.crops_too_coarse else ""
    lines = [
        Content.styled(f"{group.name}: {printable(_targets(group))}", "bold"),
        Content(
            f"{counted(group.crops, 'crop')}{coarse}, {count(group.labelled_voxels)} voxels; "
            f"{count(group.epochs)} epochs of {count(group.iterations_per_epoch)} batches, "
            f"{lasts(low)} to {lasts(high)}"
        ),
        *(_target_line(target) for target in group.targets),
        Content(""),
        *(Content(f"· {printable(reason)}") for reason in _other_reasons(group)),
    ]
    return Content("\n").join(lines)


def out_words(result: ProposeResult) -> Content:
    """Return what is in no group, and what else there is to know."""
    warn = f"{sign('warning')} "
    lines = [
        Content.assemble((warn, "$warning"), (printable(out.name), "bold"), f" {printable(out.reason)}")
        for out in result.left_out
    ]
    notes = (words.replace("say --gpu-memory", "m chooses another") for words in result.notes)
    lines += [Content(f"· {printable(words)}") for words in notes]
    return Content("\n").join(lines) if lines else Content.styled("every target is in a group", "$foreground-muted")


def toml_words(text: str) -> Content:
    """Return a configuration with its comments muted."""
    lines = [
        Content.styled(printable(line), "$text-muted") if line.startswith("#") else Content(printable(line))
        for line in text.splitlines()
    ]
    return Content("\n").join(lines)


def _other_reasons(group: GroupProposal) -> tuple[str, ...]:
    names = {f"{target.name}: " for target in group.targets}
    return tuple(reason for reason in group.reasons if not reason.startswith(tuple(names)))


def _target_line(target: TargetProposal) -> Content:
    touching = "" if target.touching_share is None else f", {target.touching_share:.0%} touch"
    core = ", with cores" if target.core else ""
    scored = f"; scored at {_sizes(target.scored)}" if target.scored else ""
    words = f"  {printable(target.reason)}; {counted(target.crops, 'crop')}: {_sizes(target.voxel_sizes)}{scored}"
    return Content.assemble((printable(target.name), "$text-accent"), f"{words}{touching}{core}")


def _sizes(sizes: Sequence[SizeShare]) -> str:
    return ", ".join(f"{size.nominal_nm} nm in {size.crops}" for size in sizes)
