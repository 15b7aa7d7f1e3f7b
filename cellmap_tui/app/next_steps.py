"""What a user can do next, by what is there: nothing, a demo under way, data, an import to make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellmap_tui import text
from cellmap_tui.app.run_words import eta_words, progress_words
from cellmap_tui.app.signs import sign

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.app.local_data import LocalData
    from cellmap_tui.jobs.summary import RunSummary

IMPORT_COMMAND = (
    "cellmap-tui --batch import --dataset mine --raw em.tif --label mito=mito.tif --voxel-size 8 8 8 --crop 1"
)


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing to do."""

    id: str
    """Name of the step."""
    key: str
    """The key that does it wherever the cursor is; empty: ``enter`` alone."""
    title: str
    """What to do."""
    note: str
    """What it brings, or how far it is."""


def next_steps(
    local: LocalData | None, demo: RunSummary | None, demo_data: Path | None, *, demo_in_use: bool = False
) -> list[NextStep]:
    """Return the steps, the likeliest first.

    Parameters
    ----------
    local
        What the data root holds; None while it is looked at.
    demo
        The newest demo run.
    demo_data
        The data root of a finished demo; None when it is gone.
    demo_in_use
        Whether that is the data root already.
    """
    browse = _browse(local)
    demo_steps = _demo(demo, demo_data) if not demo_in_use else []
    has_data = local is not None and local.full_crops + local.partial_crops > 0
    steps = [browse, *demo_steps] if has_data else [*demo_steps, browse]
    return [
        *steps,
        NextStep("import", "", "Import EM and labels of your own", "enter copies the command below"),
        NextStep("doctor", "d", "Check this machine", "Python, GPU, disk, bucket, terminal"),
    ]


def _browse(local: LocalData | None) -> NextStep:
    if local is None:
        return NextStep("browse", "1", "Browse the crops", "")
    return NextStep("browse", "1", "Browse the crops", f"{text.count(local.known_crops)} crops, offline")


def _demo(demo: RunSummary | None, demo_data: Path | None) -> list[NextStep]:
    make = NextStep("demo", "n", "Make the demo data", "synthetic challenge, 60 MB, a minute")
    if demo is None:
        return [make]
    if demo.is_live:
        left = f", {eta_words(demo)} left" if demo.eta_s is not None else ""
        how_far = f"{sign(demo.state)} {text.printable(demo.state)} {progress_words(demo)}{left}"
        return [NextStep("watch", "", "Watch the demo being made", how_far)]
    if demo.state == "done":
        if demo_data is None:
            return [make]
        return [
            NextStep("demo_data", "b", "Browse the demo data", text.cut_middle(text.printable(str(demo_data)), 48))
        ]
    at = f" at {progress_words(demo)}" if demo.done is not None else ""
    return [
        NextStep("resume_demo", "r", "Go on with the demo", f"{sign(demo.state)} {text.printable(demo.state)}{at}")
    ]
