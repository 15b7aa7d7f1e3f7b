"""A prediction in words: the plan and why it cannot start, a crop a row, and how far a job is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.fetch_words import DETACHED, crop_number, dataset_of
from cellmap_tui.app.run_words import amount_words, bar, eta_words, progress_words, rate_words, share, state_words
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.services.predict_model import LEVELS
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.predict_form import PredictForm
    from cellmap_tui.app.predict_live import BlockProgress, VolumeProgress
    from cellmap_tui.app.predict_networks import NetworkItem
    from cellmap_tui.app.predict_planning import Planned
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.predict_model import PredictedCrop

NOTHING = "No network chosen. c lists trainings and takes paths; 4 trains one."
_FEW = 3
_STATES = {
    "planned": ("queued", "to predict", ""),
    "kept": ("done", "there already", "good"),
    "missing": ("failed", "EM missing", "bad"),
    "failed": ("failed", "cannot be read", "bad"),
    "nothing": ("remote", "no class known", "dim"),
}
_WORK = {
    "queued": ("queued", "dim"),
    "working": ("partial", "accent"),
    "written": ("done", "good"),
    "tuned": ("done", "good"),
    "there already": ("done", "good"),
    "EM missing": ("failed", "bad"),
    "failed": ("failed", "bad"),
    "nothing to do": ("remote", "dim"),
    "stopped": ("stopped", "dim"),
}


# The plan


def plan_columns() -> tuple[Column[PredictedCrop], ...]:
    """Return the columns of a plan, a crop a row."""
    return (
        Column("crop", "crop", 5, lambda crop: crop_number(crop.crop), align="right", max_width=6,
               sort_key=lambda crop: crop.crop),
        Column("dataset", "dataset", 12, lambda crop: dataset_of(crop.crop), max_width=22, priority=3,
               sort_key=lambda crop: crop.crop),
        Column("classes", "cls", 3, lambda crop: str(len(crop.classes) or "-"), align="right", priority=2,
               sort_key=lambda crop: len(crop.classes)),
        Column("shape", "shape", 14, lambda crop: text.triple(crop.shape), align="right", max_width=14,
               priority=4),
        Column("nm", "nm", 11, lambda crop: text.voxel(crop.voxel_size_nm), align="right", max_width=12, priority=1),
        Column("tiles", "tiles", 7, lambda crop: text.count(crop.tiles) if crop.tiles else "-", align="right",
               sort_key=lambda crop: crop.tiles),
        Column("size", "size", 7, _size_words, align="right", sort_key=lambda crop: crop.size_bytes),
        Column("state", "state", 16, lambda crop: f"{sign(_STATES.get(crop.state, ('unknown',))[0])} "
               f"{_STATES.get(crop.state, ('', crop.state))[1]}", max_width=18, sort_key=lambda crop: crop.state,
               look=lambda crop: _STATES.get(crop.state, ("", "", ""))[2]),
    )  # fmt: skip


def _size_words(crop: PredictedCrop) -> str:
    found = crop.size_bytes if crop.stored_bytes is None else crop.stored_bytes
    return text.size(found) if found else "-"


def crop_words(crop: PredictedCrop | None) -> Content:
    """Return what is planned for one crop: classes, EM, place; or why it is not predicted and what helps."""
    if crop is None:
        return Content("")
    lines: list[Content] = []
    if crop.reason:
        reason, _, remedy = in_words_of_the_screen(crop.reason).partition("; ")
        looks = "$text-error" if crop.state in ("missing", "failed") else "$foreground-muted"
        lines.append(Content.styled(printable(reason), looks))
        lines += [Content(printable(remedy))] if remedy else []
    if crop.classes:
        lines.append(Content.assemble(("classes ", "bold"), printable(" ".join(crop.classes))))
    if crop.em:
        lines.append(Content.assemble(("EM ", "bold"), printable(crop.em)))
    if crop.parts:
        blocks = f"{text.count(crop.parts)} block{'s' if crop.parts != 1 else ''}"
        lines.append(Content.assemble(("goes over ", "bold"), f"{text.count(crop.tiles)} tiles in {blocks}"))
    lines.append(Content.assemble(("into ", "bold"), printable(crop.path)))
    return Content("\n").join(lines)


def in_words_of_the_screen(words: str) -> str:
    """Return a message of the service with options called as the screen calls them."""
    for flag, name in (
        ("--remote", "i, from bucket"),
        ("--coarse-em", "i, coarse EM"),
        ("--overwrite", "i, replace"),
        ("--trust-config", "i, own code"),
        ("--ignore-disk", "i, ignore disk"),
        ("--max-bytes", "max bytes"),
    ):
        words = words.replace(flag, name)
    return words


def sum_words(form: PredictForm, planned: Planned | None, waiting: str = "") -> Content:
    """Return the plan in three lines: by what, how much, and whether there is room for it.

    Parameters
    ----------
    form
        What is asked.
    planned
        What it was planned to be, perhaps with other options.
    waiting
        How far a new plan is, in words; empty when there is none under way.
    """
    if planned is None:
        asked = f"EM {form.em}" if form.em else f"crops {form.crops}"
        return Content(f"{networks_words(form)}\n{printable(asked)}\n{waiting}")
    plan = planned.plan
    todo = [crop for crop in plan.crops if crop.state == "planned"]
    here = sum(crop.state == "kept" for crop in plan.crops)
    left = sum(crop.state in ("missing", "failed", "nothing") for crop in plan.crops)
    head = f"{_volumes(len(todo), form)}   {text.count(plan.tiles)} tiles on {printable(plan.device)}"
    head += f"   {here} there already" if here else ""
    head += f"   {left} left out" if left else ""
    lines = f"{planned_networks_words(form, planned)}\n{head}"
    if waiting:
        return Content.styled(f"{lines}\n{waiting}", "$foreground-muted")
    return Content.assemble((lines, "bold"), "\n", _room(form, planned))


def networks_words(form: PredictForm) -> str:
    """Return the networks in a few words: how many, and the name of the first."""
    if form.ensemble:
        return f"ensemble {printable(form.ensemble)}"
    if not form.networks:
        return NOTHING
    first = printable(form.networks[0].rstrip("/").rpartition("/")[2])
    more = len(form.networks) - 1
    which = f", {form.which} checkpoint"
    return f"{first}{f' and {more} more, averaged' if more else ''}{which}"


def planned_networks_words(form: PredictForm, planned: Planned) -> str:
    """Return the networks with what was found out about them: which file, which epoch, what it is."""
    found = planned.plan.networks
    if not found:
        return networks_words(form)
    if len(found) > 1:
        return networks_words(form)
    # The path is the run's, and before the colon stands the epoch.
    epoch, _, network = printable(found[0].rpartition("/")[2]).partition(": ")
    return f"{networks_words(form).partition(',')[0]}, {epoch.rpartition(', ')[2]}: {network}"


def _room(form: PredictForm, planned: Planned) -> Content:
    if why := refusal(form, planned):
        return Content.styled(f"{sign('error')} {why}", "$text-error")
    plan = planned.plan
    if not plan.tiles and any(crop.state == "kept" for crop in plan.crops):
        return Content.styled(f"{sign('done')} everything is there", "$text-success")
    if not plan.tiles:
        return Content.styled(f"{sign('error')} nothing can be predicted: the crops below say why", "$text-error")
    room = f"up to {text.size(plan.needed_bytes)} of {text.size(plan.free_bytes)} free"
    return Content(f"{room}   {time_words(planned)}   {text.size(plan.memory_bytes)} memory")


def time_words(planned: Planned) -> str:
    """Return how long it takes, from a tile that was timed."""
    eta_s = planned.plan.eta_s
    return "time not known" if eta_s is None else f"about {text.duration(eta_s)}"


def refusal(form: PredictForm, planned: Planned) -> str:
    """Return why a plan cannot start and which option allows it; empty when it can."""
    plan = planned.plan
    if planned.conflicts:
        more = f" (and {len(planned.conflicts) - 1} more)" if len(planned.conflicts) > 1 else ""
        return f"{printable(planned.conflicts[0])}{more}: i, then replace, or another output"
    if form.max_bytes is not None and plan.needed_bytes > form.max_bytes:
        return (
            f"up to {text.size(plan.needed_bytes)} is more than max bytes {text.size(form.max_bytes)}: raise it, "
            "or take fewer classes, a coarser voxel size or uint8"
        )
    if plan.needed_bytes > plan.free_bytes and not form.ignore_disk:
        return (
            f"up to {text.size(plan.needed_bytes)} does not fit into {text.size(plan.free_bytes)} free: take fewer "
            "crops or classes, a coarser voxel size, another output, or set ignore disk"
        )
    return ""


def plan_notes(planned: Planned) -> Content:
    """Return what the plan warns of, in a few lines."""
    others = [words for words in planned.plan.warnings if words not in planned.conflicts]
    return Content("\n").join(
        Content.styled(printable(f"{sign('warning')} {in_words_of_the_screen(words)}"), "$text-warning")
        for words in others[:_FEW]
    )


def start_question(form: PredictForm, planned: Planned) -> tuple[str, str]:
    """Return the question before a prediction is started, and what it costs."""
    plan = planned.plan
    todo = sum(crop.state == "planned" for crop in plan.crops)
    left = sum(crop.state in ("missing", "failed", "nothing") for crop in plan.crops)
    lines = [f"by {networks}" for networks in plan.networks[:_FEW]]
    lines += [f"and {len(plan.networks) - _FEW} more"] if len(plan.networks) > _FEW else []
    lines.append(f"into {plan.output}")
    room = max(0, plan.free_bytes - plan.needed_bytes)
    lines.append(f"takes up to {text.size(plan.needed_bytes)} of its disk, leaves {text.size(room)}")
    lines.append(f"{time_words(planned)} for {text.count(plan.tiles)} tiles on {plan.device}")
    lines += [f"{sign('warning')} {_volumes(left, form)} cannot be predicted and are left out"] if left else []
    lines += (
        [f"{sign('warning')} predictions of other networks that are there are replaced"] if form.overwrite else []
    )
    lines.append(DETACHED)
    return f"Predict {_volumes(todo, form)}?", "\n".join(printable(line) for line in lines)


def _volumes(number: int, form: PredictForm) -> str:
    return text.counted(number, "volume" if form.em else "crop")


# Networks


def network_columns() -> tuple[Column[NetworkItem], ...]:
    """Return the columns of the networks that can predict."""
    return (
        Column("name", "network", 26, lambda item: item.name, max_width=32),
        Column("state", "state", 9, lambda item: f"{sign(item.state)} {item.state}" if item.kind == "run"
               else item.kind, max_width=13, priority=3),
        Column("best", "best", 8, lambda item: epoch_words(item.best_epoch, item.best_dice), align="right",
               max_width=12, look=lambda item: "strong"),
        Column("latest", "latest", 8, lambda item: epoch_words(item.latest_epoch, item.latest_dice), align="right",
               max_width=12),
        Column("nm", "nm", 4, lambda item: text.voxel(item.voxel_size_nm) if item.voxel_size_nm else "",
               align="right", max_width=12, priority=1),
        Column("model", "model", 8, lambda item: item.architecture, max_width=18, priority=4),
        Column("classes", "classes", 8, lambda item: item.problem or " ".join(item.classes), max_width=40,
               priority=2, look=lambda item: "bad" if item.problem else ""),
    )  # fmt: skip


def epoch_words(epoch: int | None, dice: float | None) -> str:
    """Return an epoch with its Dice: ``12 0.713``; ``-`` where there is none."""
    if epoch is None:
        return "-"
    return f"{epoch} {dice:.3f}" if dice is not None else f"{epoch}   -  "


# Under way


def volume_columns() -> tuple[Column[VolumeProgress], ...]:
    """Return the columns of what a job works on."""
    return (
        Column("crop", "crop", 5, lambda row: crop_number(row.ref), align="right", max_width=9,
               sort_key=lambda row: row.ref),
        Column("dataset", "dataset", 10, lambda row: dataset_of(row.ref), max_width=22, priority=4,
               sort_key=lambda row: row.ref),
        Column("label", "what", 10, _what_words, max_width=18, priority=1),
        Column("done", "done", 7, done_words, align="right", sort_key=lambda row: -(row.share or 0.0)),
        Column("blocks", "blocks", 9, lambda row: f"{row.blocks_done} / {len(row.blocks)}" if row.blocks else "",
               align="right", priority=2),
        Column("rate", "voxels/s", 8, lambda row: _millions(row.rate) if row.rate else "", align="right",
               priority=3),
        Column("eta", "ETA", 8, lambda row: text.duration(row.eta_s) if row.eta_s is not None else "", align="right",
               max_width=12, priority=3),
        Column("state", "state", 15, lambda row: f"{sign(_WORK[row.state][0])} {row.state}",
               sort_key=lambda row: row.state, look=lambda row: _WORK[row.state][1]),
    )  # fmt: skip


def _what_words(row: VolumeProgress) -> str:
    return row.label or (text.counted(len(row.classes), "column") if row.classes else "")


def done_words(row: VolumeProgress) -> str:
    """Return how much of a volume is done: ``45 %``, or ``-``."""
    return "-" if row.share is None else f"{100 * row.share:.0f} %"


def _millions(voxels: float) -> str:
    """Return a rate in 8 cells at most."""
    return f"{voxels / 1e6:.3g} M" if voxels >= 1e5 else f"{voxels / 1e3:.3g} k"


def total_words(run: RunSummary, rows: Sequence[VolumeProgress], width: int) -> Content:
    """Return the whole job in two lines: figures, and a bar with its share.

    Parameters
    ----------
    run
        Where it stands.
    rows
        What it works on.
    width
        Cells of a line.
    """
    state = (f"{state_words(run)}  ", f"bold {colour(run.state)}")
    figures = [f"{sum(row.is_done for row in rows)} of {text.counted(len(rows), 'volume')}"] if rows else []
    figures += [amount_words(run)] if run.done is not None else []
    if run.is_live:
        figures += [rate_words(run)] if run.rate is not None else []
        figures += [f"ETA {eta_words(run)}"] if run.eta_s is not None else []
    elif run.state == "lost" and not run.remedy:
        # What it told last is not why it ended.
        figures = ["died without a word, r goes on", *figures]
    elif run.state in ("failed", "lost") and run.message:
        figures = [printable(in_words_of_the_screen(run.message))]
    room = width - len(state[0])
    while len("   ".join(figures)) > room and len(figures) > 1:
        figures.pop()
    # While crops are planned nothing of the work is done.
    done = share(run) if run.unit in ("tiles", LEVELS, "voxels", "recipes") else None
    shown = f" {progress_words(run):>5}" if done is not None else ""
    drawn = bar(done, max(0, width - len(shown)))
    line = "   ".join(figures)
    return Content.assemble(state, line[: max(0, room)], "\n", (drawn, colour(run.state)), shown)


def volume_page(row: VolumeProgress | None, width: int) -> Content:
    """Return what is known of one volume: how far each block is, and what went wrong."""
    if row is None:
        return Content("")
    sign_name, _ = _WORK[row.state]
    lines = [
        Content.assemble((f"{sign(sign_name)} {row.state}", f"bold {colour(sign_name)}"), f"  {done_words(row)}")
    ]
    if row.problem:
        message, _, remedy = in_words_of_the_screen(row.problem).partition("; ")
        lines.append(Content.styled(printable(message), "$text-error"))
        lines += [Content(printable(remedy))] if remedy else []
    if row.classes:
        lines.append(Content(printable(" ".join(row.classes))))
    lines += [Content(printable(row.words))] if row.words else []
    lines.append(Content.styled(printable(str(row.folder)), "$foreground-muted"))
    if row.blocks:
        lines.append(Content(f"{row.blocks_done} of {text.counted(len(row.blocks), 'block')}"))
        unfinished = [block for block in row.blocks if block.done < block.rows]
        lines += [_block_line(block, width) for block in (*unfinished, *(b for b in row.blocks if b.done >= b.rows))]
    return Content("\n").join(lines)


def _block_line(block: BlockProgress, width: int) -> Content:
    words = f"{block.number + 1:>3}  z {block.first}-{block.first + block.rows}"
    words = f"{words:<18} {block.done:>4} / {block.rows} "
    room = max(0, min(20, width - len(words)))
    state = "done" if block.done >= block.rows else "running" if block.share else "queued"
    return Content.assemble(words, (bar(block.share, room), colour(state)))
