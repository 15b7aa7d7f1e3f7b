"""The plan of a fetch in words: the whole, a crop a row, a level a row, and why it cannot start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.fetch_words import DETACHED, crop_number, dataset_of
from cellmap_tui.app.signs import sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from cellmap_tui.app.fetch_form import FetchForm
    from cellmap_tui.services.fetch_model import CropPlan, FetchPlan, LevelPlan

_FEW = 3
PATCH = 128
"""Edge of a patch, voxels, that the hint about padding is computed for: what most models train on."""

NOTHING = "Nothing chosen. 1 goes to the crops: mark some with space and press f there."


def plan_columns() -> tuple[Column[CropPlan], ...]:
    """Return the columns of a plan, a crop a row."""
    return (
        Column("crop", "crop", 5, lambda crop: crop_number(crop.ref), align="right", max_width=7,
               sort_key=lambda crop: crop.ref),
        Column("dataset", "dataset", 12, lambda crop: dataset_of(crop.ref), max_width=22, priority=4,
               sort_key=lambda crop: crop.ref),
        Column("what", "what", 18, what_words, max_width=26),
        Column("objects", "objects", 8, lambda crop: text.count(crop.wanted.objects), align="right", priority=3,
               sort_key=lambda crop: crop.wanted.objects),
        Column("bytes", "size", 8, lambda crop: text.size(crop.wanted.bytes), align="right",
               sort_key=lambda crop: crop.wanted.bytes),
        Column("here", "here", 7, here_words, align="right", sort_key=lambda crop: crop.here.bytes,
               look=lambda crop: "good" if crop.here.objects >= crop.wanted.objects else ""),
        Column("empty", "empty", 5, lambda crop: str(len(crop.empty_classes) or ""), align="right", priority=5,
               look=lambda crop: "dim"),
    )  # fmt: skip


def what_words(crop: CropPlan) -> str:
    """Return the parts of a crop in few cells: ``em s1-s4 + 35 lbl``."""
    return crop.what.replace(" labels", " lbl")


def here_words(crop: CropPlan) -> str:
    """Return how much of a crop is on disk: ``all``, ``-`` or a size."""
    if crop.here.objects >= crop.wanted.objects:
        return "all"
    return text.size(crop.here.bytes) if crop.here.objects else "-"


def level_columns() -> tuple[Column[LevelPlan], ...]:
    """Return the columns of the EM levels of a crop."""
    return (
        Column("level", "EM", 4, lambda level: level.name, max_width=8),
        Column("nm", "nm", 5, lambda level: text.voxel(level.voxel_size_nm), align="right", max_width=14),
        Column("fetched", "", 7, _fetched_words, look=lambda level: "good" if level.is_fetched else "dim"),
        Column("chunks", "chunks", 7, lambda level: text.count(level.chunks) if level.is_fetched else "",
               align="right", priority=2),
        Column("bytes", "size", 7, _level_size, align="right", priority=1),
        Column("reason", "why", 24, lambda level: level.reason, max_width=90, priority=3),
    )  # fmt: skip


def _fetched_words(level: LevelPlan) -> str:
    return f"{sign('done')} fetch" if level.is_fetched else f"{sign('queued')} skip"


def _level_size(level: LevelPlan) -> str:
    if not level.is_fetched:
        return ""
    return text.size(level.wanted.bytes) if level.wanted.objects else "shared" if level.shared else "-"


def level_lines(level: LevelPlan) -> Content:
    """Return everything about a level in lines: why, how many chunks, and which of them the bucket lacks."""
    words = [level.reason]
    if level.is_fetched:
        absent = f", {text.count(level.absent)} of them empty in the bucket" if level.absent else ""
        shared = f", {text.count(level.shared)} come with an earlier crop" if level.shared else ""
        words.append(f"{text.triple(level.voxels)} voxels in {text.count(level.chunks)} chunks{absent}{shared}")
    return Content("\n".join(printable(word) for word in words))


def label_words(crop: CropPlan) -> Content:
    """Return what comes of the labels: how many classes, which of them hold nothing in the bucket."""
    if crop.split == "test":
        return Content("a test crop: EM alone, its labels are not published")
    classes = (
        f"{crop.label_classes} classes, {text.count(crop.labels.objects)} objects, {text.size(crop.labels.bytes)}"
    )
    parts: list[Content] = [Content.assemble(("labels ", "bold"), classes)]
    if crop.empty_classes:
        names = printable(" ".join(crop.empty_classes))
        words = f"{sign('remote')} empty in the bucket: {names}"
        parts.append(Content.styled(words, "$foreground-muted"))
    if crop.missing_classes:
        words = f"{sign('warning')} not in the bucket: {printable(' '.join(crop.missing_classes))}"
        parts.append(Content.styled(words, "$text-warning"))
    return Content("\n").join(parts)


def sum_words(form: FetchForm, plan: FetchPlan | None, listing: str = "") -> Content:
    """Return the plan in two lines: how much of what, and whether there is room for it.

    Parameters
    ----------
    form
        What is asked.
    plan
        What it was planned to be, perhaps with other options.
    listing
        How far a new plan is, in words; empty when there is none under way.
    """
    if plan is None:
        # A request from the command line names its crops by an expression.
        asked = form.crops[0] if form.base is not None and len(form.crops) == 1 else _crops(len(form.crops))
        return Content(f"{printable(asked)}\n{listing}" if form.crops else listing)
    head = f"{_crops(len(plan.crops))}   {text.count(plan.to_fetch.objects)} objects"
    head += f"   {text.size(plan.to_fetch.bytes)} to fetch"
    here = plan.wanted - plan.to_fetch
    head += f"   {text.size(here.bytes)} here" if here.objects else ""
    if listing:
        return Content.styled(f"{head}\n{listing}", "$foreground-muted")
    return Content.assemble((head, "bold"), "\n", _room(form, plan))


def _room(form: FetchForm, plan: FetchPlan) -> Content:
    if why := refusal(form, plan):
        return Content.styled(f"{sign('error')} {why}", "$text-error")
    if not plan.to_fetch.objects:
        return Content.styled(f"{sign('done')} everything is here", "$text-success")
    room = f"needs {text.size(plan.disk_bytes)} of {text.size(plan.free_bytes)} free"
    return Content(f"{room}   {time_words(form, plan)}")


def _crops(number: int) -> str:
    return f"{text.count(number)} crop{'s' if number != 1 else ''}"


def time_words(form: FetchForm, plan: FetchPlan) -> str:
    """Return how long a fetch takes: at the rate measured last, or at the limit that is set if that is slower."""
    limited_s = plan.to_fetch.bytes / form.limit_rate if form.limit_rate else 0.0
    if plan.estimated_s is None:
        return f"at least {text.duration(limited_s)}" if limited_s else "time not known before a first fetch"
    return f"about {text.duration(max(plan.estimated_s, limited_s))}"


def refusal(form: FetchForm, plan: FetchPlan) -> str:
    """Return why a plan cannot start and which option allows it; empty when it can."""
    if form.max_bytes is not None and plan.to_fetch.bytes > form.max_bytes:
        return f"{text.size(plan.to_fetch.bytes)} is more than max bytes {text.size(form.max_bytes)}: raise it below"
    if not plan.fits and not form.ignore_disk:
        return (
            f"{text.size(plan.disk_bytes)} does not fit into {text.size(plan.free_bytes)} with a margin: "
            "take fewer crops or levels or less padding, make room, or set ignore disk"
        )
    return ""


def plan_notes(plan: FetchPlan) -> Content:
    """Return what the plan warns of, in a few lines."""
    problems = [f"{sign('error')} {failure.message}" for failure in plan.problems]
    warnings = [f"{sign('warning')} {warning}" for warning in plan.warnings]
    lines = [Content.styled(printable(line), "$text-error") for line in problems[:_FEW]]
    lines += [Content.styled(printable(line), "$text-warning") for line in warnings[: max(1, _FEW - len(lines))]]
    lines += [
        Content.styled(printable(note), "$foreground-muted") for note in plan.notes[: max(0, _FEW - len(lines))]
    ]
    return Content("\n").join(lines)


def start_question(form: FetchForm, plan: FetchPlan) -> tuple[str, str]:
    """Return the question before a fetch is started, and what it costs."""
    amount = f"{text.size(plan.to_fetch.bytes)} in {text.count(plan.to_fetch.objects)} objects"
    question = f"Fetch {_crops(len(plan.crops))}: {amount}?"
    left = max(0, plan.free_bytes - plan.disk_bytes)
    takes = f"takes {text.size(plan.disk_bytes)} of {text.size(plan.free_bytes)} free on its disk"
    lines = [f"into {plan.data_root}", f"{takes}, leaves {text.size(left)}"]
    lines.append(time_words(form, plan))
    if form.access_mode == "overwrite":
        lines.append(f"{sign('warning')} what is here of these crops is removed first and fetched anew")
    lines.append(DETACHED)
    return question, "\n".join(printable(line) for line in lines)


def padding_hint(plan: FetchPlan | None) -> str:
    """Return how much padding makes room for a patch around the narrowest crop; empty where none is needed."""
    crops = plan.crops if plan is not None else ()
    finest = [level for crop in crops for level in [level for level in crop.levels if level.is_fetched][:1]]
    narrowest = min((min(level.voxels), level.voxel_size_nm) for level in finest) if finest else (PATCH, ())
    missing = PATCH - narrowest[0]
    if missing <= 0 or not narrowest[0]:
        return ""
    voxels = f"{-(-missing // 2)} voxels more at {text.voxel(narrowest[1])} nm"
    return f"{voxels} make room for a {PATCH}-voxel patch here"
