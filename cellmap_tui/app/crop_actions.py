"""What can be done with a crop from any screen: copy where it lies, leave it out, look at slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from cellmap_tui.app.fetch_start import start_verify
from cellmap_tui.app.widgets.ask_text import AskText
from cellmap_tui.app.widgets.confirm import Confirm
from cellmap_tui.challenge.exclusions import exclude, include
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.app.browsing import Browsed, CropItem
    from cellmap_tui.app.screens.base import BaseScreen

REASON = "Splits will leave this crop out; browsing and fetching go on as before. Why is it left out?"


class VerifyStarted(Message):
    """The job that checks a crop has begun."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__()


def copy_place(screen: BaseScreen, browsed: Browsed, item: CropItem, what: str) -> None:
    """Copy a crop's folder (``path``) or its S3 address (``address``) to the terminal's clipboard.

    The folder of a crop that is not on disk would lead nowhere, so its address is copied in its place.
    """
    from cellmap_tui.services.crop_facts import crop_detail

    detail = crop_detail(browsed.catalog, item.crop.ref, bucket=screen.cellmap.settings.bucket)
    place = detail.s3_address if what == "address" or (not item.share and detail.s3_address) else detail.local_path
    if not place:
        screen.app.notify(f"{item.crop.ref} is not in the bucket: it was made or imported here.", severity="warning")
        return
    screen.app.copy_to_clipboard(place)
    screen.app.notify(f"Copied {place}; the terminal must allow OSC 52.")


def toggle_excluded(screen: BaseScreen, item: CropItem, done: Callable[[], None]) -> None:
    """Leave a crop out of splits after asking why, or take it back; `done` is called when that is written."""
    data_root, crop = screen.cellmap.settings.data_root, item.crop

    def write(change: Callable[[], object], words: str) -> None:
        try:
            change()
        except CellmapError as error:
            screen.tell_error(error)
        else:
            screen.app.notify(words)
            done()

    def leave_out(reason: str | None) -> None:
        if reason:
            write(lambda: exclude(data_root, crop, reason), f"{crop.ref} is left out: {reason}")

    if item.excluded is not None:
        write(lambda: include(data_root, crop), f"{crop.ref} is no longer left out")
    else:
        screen.app.push_screen(AskText(f"leave out {crop.ref}", REASON, "for example: empty resin"), leave_out)


def ask_verify(screen: BaseScreen, ref: str, *, repair: bool) -> None:
    """Ask, then check a crop against the bucket as a job; with `repair` what is wrong is fetched again."""

    def start() -> None:
        screen.post_message(VerifyStarted(start_verify(screen.cellmap.settings, ref, repair=repair)))

    def answered(answer: bool | None) -> None:
        if answer:
            screen.run_worker(start, thread=True, exclusive=True, group="crop.verify", exit_on_error=False)

    if repair:
        cost = "Its files are read and compared with the bucket; what is missing or corrupt is fetched again."
        question = Confirm(f"Repair {ref}?", cost, yes="repair it", no="leave it")
    else:
        cost = "Its files are read and compared with the bucket. Nothing is changed; R repairs."
        question = Confirm(f"Check {ref}?", cost, yes="check it", no="not now")
    screen.app.push_screen(question, answered)
