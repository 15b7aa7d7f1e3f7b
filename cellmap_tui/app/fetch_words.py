"""A fetch in words: the whole, a crop of it, and what one crop still lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from cellmap_tui import text
from cellmap_tui.app.fetch_feed import is_incomplete
from cellmap_tui.app.run_words import bar, clock_words, eta_words, progress_words, share, state_words
from cellmap_tui.app.signs import colour, sign
from cellmap_tui.app.widgets.columns import Column
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.app.fetch_live import CropProgress, FetchTally
    from cellmap_tui.jobs.summary import RunSummary
    from cellmap_tui.services.fetch_state import PartState

DETACHED = "a job of its own: closing the app does not stop it"
MOST_PROBLEMS = 20
"""Failures of a crop that its page lists."""
_SIGNS = {"queued": "queued", "fetching": "partial", "verified": "done", "failed": "failed", "stopped": "stopped"}
_LOOKS = {"queued": "dim", "fetching": "accent", "verified": "good", "failed": "bad", "stopped": "dim"}


def crop_number(ref: str) -> str:
    """Return the number of a crop as the tables show it."""
    return printable(ref.rpartition("/")[2].removeprefix("crop"))


def dataset_of(ref: str) -> str:
    """Return the dataset of a crop's reference."""
    return printable(ref.rpartition("/")[0])


def done_words(crop: CropProgress) -> str:
    """Return how much of a crop is here: ``0.3 / 1.9 G  16 %``, or ``-`` before anything is."""
    if not crop.bytes_done and crop.state == "queued":
        return "-"
    return f"{of_words(crop.bytes_done, crop.total_bytes)} {100 * crop.share:3.0f} %"


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
        Column("what", "what", 12, lambda crop: crop.what.replace(" labels", " lbl"), max_width=24, priority=2),
        Column("done", "done", 20, done_words, align="right", max_width=22,
               sort_key=lambda crop: -crop.share),
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
    missing = is_incomplete(run)
    shown_state = "failed" if missing else run.state
    named = f"{sign('failed')} incomplete" if missing else state_words(run)
    state = (f"{named}  ", f"bold {colour(shown_state)}")
    figures = _waiting_words(tally) if run.is_live else []
    figures += [_crops_words(crops)] if crops else []
    if run.unit == "bytes" and run.done is not None and run.total is not None:
        figures.append(of_words(run.done, run.total))
    elif tally.phase and run.is_live:
        figures.append(listing_words(*tally.counted, tally.phase, run.rate))
    if run.unit == "bytes" and run.rate is not None and run.is_live:
        figures.append(f"{text.size(run.rate)}/s")
    if run.eta_s is not None and run.is_live:
        figures.append(f"ETA {eta_words(run)}")
    figures += _connection_words(tally) if run.is_live else []
    figures += [f"disk free {free}"] if free else []
    line = "   ".join(figures)
    room = width - len(state[0])
    while len(line) > room and len(figures) > 1:
        figures.pop()
        line = "   ".join(figures)
    done = share(run) if run.unit == "bytes" else None
    shown = f" {progress_words(run):>5}" if done is not None else ""
    drawn = bar(done, max(0, width - len(shown)))
    return Content.assemble(state, line, "\n", (drawn, colour(shown_state)), shown)


def listing_words(done: float, total: float | None, unit: str, rate: float | None) -> str:
    """Return the sign of life while a plan is made: ``listing… 1 204 objects, 310/s``."""
    speed = f", {rate:.0f}/s" if rate and rate >= 1 else ""
    of = f" of {text.count(int(total))}" if total is not None else ""
    return f"listing… {text.count(int(done))}{of} {printable(unit)}{speed}"


def _crops_words(crops: Sequence[CropProgress]) -> str:
    done = sum(crop.state == "verified" for crop in crops)
    return f"{text.count(done)} of {text.count(len(crops))} crop{'s' if len(crops) != 1 else ''}"


def _waiting_words(tally: FetchTally) -> list[str]:
    state = tally.state
    if state is None or state.phase == "ended" or state.waiting_since is None:
        return []
    return [f"waiting since {clock_words(state.waiting_since)}: {printable(state.waiting_for)}"]


def _connection_words(tally: FetchTally) -> list[str]:
    state = tally.state
    if state is None or state.phase == "ended" or state.waiting_since is not None:
        return []
    if state.phase == "making levels":
        return ["making levels"]
    return [f"{state.width} connections"] if state.width else []


def crop_page(crop: CropProgress | None, width: int) -> Content:
    """Return what is known of one crop of a fetch: how far each part is, and what went wrong."""
    if crop is None:
        return Content("")
    objects = f"{text.count(crop.objects)} of {text.count(crop.total_objects)} objects"
    lines = [
        Content.assemble((crop_state_words(crop), f"bold {colour(_SIGNS[crop.state])}"), f"  {done_words(crop)}"),
        Content(f"{crop.what}, {objects}"),
    ]
    if crop.problems:
        lines.append(Content(""))
        lines += [Content.styled(printable(problem), "$text-error") for problem in crop.problems[:MOST_PROBLEMS]]
        more = len(crop.problems) - MOST_PROBLEMS
        lines += [Content.styled(f"and {more} more: L shows the log", "$text-error")] if more > 0 else []
    unfinished = [part for part in crop.parts if part.done < part.objects]
    lines += [Content("")] if crop.parts else []
    lines += [_part_line(part, width) for part in (*unfinished, *(p for p in crop.parts if p.done >= p.objects))]
    return Content("\n").join(lines)


def _part_line(part: PartState, width: int) -> Content:
    room = max(12, min(28, width - 20))
    name = text.cut_middle(printable(part.name), room)
    mark = sign("done") if part.done >= part.objects else " "
    return Content(f"{name:<{room}} {text.count(part.done)} / {text.count(part.objects)} {mark}".rstrip())
