"""A fetch in words: the whole, a crop of it, and what one crop still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.run_words import bar, eta_words, progress_words, share, state_words
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.fetch_live import CropProgress, FetchTally, PartProgress
    from cellmap_tui.jobs.summary import RunSummary

DETACHED = "a job of its own: closing the app does not stop it"
_SIGNS = {"queued": "queued", "fetching": "partial", "verified": "done", "failed": "failed", "stopped": "stopped"}
_LOOKS = {"queued": "dim", "fetching": "accent", "verified": "good", "failed": "bad", "stopped": "dim"}


def crop_number(ref: str) -> str:
    """Return the number of a crop as the tables show it."""
    return printable(ref.rpartition("/")[2].removeprefix("crop"))


def dataset_of(ref: str) -> str:
    """Return the dataset of a crop's reference."""
    return printable(ref.rpartition("/")[0])


def parts_words(names: Sequence[str], *, short: bool) -> str:
    """Return what belongs to a crop: ``em s0 s1 + 35 lbl``."""
    levels = [name.rpartition("/")[2] for name in names if name.startswith("em/")]
    labels = len(names) - len(levels)
    em = "em " + " ".join(levels) if levels else ""
    label = f"{labels} {'lbl' if short else 'labels' if labels != 1 else 'label'}" if labels else ""
    return " + ".join(filter(None, (em, label)))


def done_words(crop: CropProgress) -> str:
    """Return how much of a crop is here: ``0.3 / 1.9 G  16 %``, or ``-`` before anything is."""
    if crop.total_bytes is None or (not crop.bytes_done and crop.state == "queued"):
        return "-"
    return f"{of_words(crop.bytes_done, crop.total_bytes)} {100 * (crop.share or 0):3.0f} %"


def of_words(done: float, total: float) -> str:
    """Return two sizes with their unit once where it is the same: ``0.3 / 1.9 G``."""
    done_text, total_text = text.size(done), text.size(total)
    figure, _, unit = done_text.partition(" ")
    return f"{figure} / {total_text}" if total_text.endswith(f" {unit}") else f"{done_text} / {total_text}"


def crop_state_words(crop: CropProgress) -> str:
    """Return sign and state: ``✓ verified``, ``✗ 3 failed (⏎)``."""
    if crop.state == "failed" or crop.failed:
        return f"{sign('failed')} {text.count(crop.failed)} failed"
    return f"{sign(_SIGNS[crop.state])} {crop.state}"


def crop_columns() -> tuple[Column[CropProgress], ...]:
    """Return the columns of the crops of a fetch."""
    return (
        Column("crop", "crop", 5, lambda crop: crop_number(crop.ref), align="right", max_width=7,
               sort_key=lambda crop: crop.ref),
        Column("dataset", "dataset", 12, lambda crop: dataset_of(crop.ref), max_width=22, priority=3,
               sort_key=lambda crop: crop.ref),
        Column("what", "what", 12, lambda crop: parts_words([part.name for part in crop.parts], short=True),
               max_width=22, priority=2),
        Column("done", "done", 20, done_words, align="right", max_width=22,
               sort_key=lambda crop: -(crop.share or 0)),
        Column("speed", "speed", 9, lambda crop: f"{text.size(crop.rate)}/s" if crop.rate else "", align="right",
               priority=1, sort_key=lambda crop: -(crop.rate or 0)),
        Column("state", "state", 12, crop_state_words, max_width=16, sort_key=lambda crop: crop.state,
               look=lambda crop: "bad" if crop.failed else _LOOKS[crop.state]),
    )  # fmt: skip


def total_words(run: RunSummary, tally: FetchTally, crops: Sequence[CropProgress], width: int, free: str) -> Content:
    """Return the whole fetch in two lines: figures, and a bar with its share.

    Parameters
    ----------
    run
        Where it stands.
    tally, crops
        What its events say.
    width
        Cells of a line.
    free
        Free space of its disk in words; empty where not known.
    """
    state = (f"{state_words(run)}  ", f"bold {colour(run.state)}")
    figures = [_crops_words(crops)] if crops else []
    if run.unit == "bytes" and run.done is not None and run.total is not None:
        figures.append(of_words(run.done, run.total))
    elif tally.phase and run.is_live:
        figures.append(f"{listing_words(tally.counted, run.rate)}")
    if run.unit == "bytes" and run.rate is not None and run.is_live:
        figures.append(f"{text.size(run.rate)}/s")
    if run.eta_s is not None and run.is_live:
        figures.append(f"ETA {eta_words(run)}")
    if run.is_live and (connections := tally.value("width")):
        figures.append(f"{connections:.0f} connections")
    figures += [f"disk free {free}"] if free else []
    line = "   ".join(figures)
    room = width - len(state[0])
    while len(line) > room and len(figures) > 1:
        figures.pop()
        line = "   ".join(figures)
    done = share(run) if run.unit == "bytes" else None
    shown = f" {progress_words(run):>5}" if done is not None else ""
    drawn = bar(done, max(0, width - len(shown)))
    return Content.assemble(state, line, "\n", (drawn, colour(run.state)), shown)


def listing_words(objects: float, rate: float | None) -> str:
    """Return the sign of life while the bucket is listed: ``listing… 1 204 objects, 310/s``."""
    speed = f", {rate:.0f}/s" if rate else ""
    return f"listing… {text.count(int(objects))} objects{speed}"


def _crops_words(crops: Sequence[CropProgress]) -> str:
    done = sum(crop.state == "verified" for crop in crops)
    return f"{text.count(done)} of {text.count(len(crops))} crop{'s' if len(crops) != 1 else ''}"


def crop_page(crop: CropProgress | None, width: int) -> Content:
    """Return what is known of one crop of a fetch: how far each part is, and what went wrong."""
    if crop is None:
        return Content("")
    lines = [
        Content.assemble((crop_state_words(crop), f"bold {colour(_SIGNS[crop.state])}"), f"  {done_words(crop)}")
    ]
    if crop.total_objects is not None:
        lines.append(Content(f"{text.count(crop.objects)} of {text.count(crop.total_objects)} objects"))
    if crop.problem:
        lines += [Content(""), Content.styled(printable(crop.problem), "$text-error")]
    unfinished = [part for part in crop.parts if not _is_complete(part)]
    lines += [Content("")] if crop.parts else []
    lines += [_part_line(part, width) for part in (*unfinished, *(p for p in crop.parts if _is_complete(p)))]
    return Content("\n").join(lines)


def _is_complete(part: PartProgress) -> bool:
    return part.total_objects is not None and part.objects >= part.total_objects


def _part_line(part: PartProgress, width: int) -> Content:
    name = text.cut_middle(printable(part.name), max(8, min(24, width - 20)))
    if part.total_objects is None:
        return Content(f"{name:<24} {text.count(part.objects)}")
    mark = sign("done") if _is_complete(part) else " "
    return Content(f"{name:<24} {text.count(part.objects)} / {text.count(part.total_objects)} {mark}".rstrip())
