"""The transfer of a plan, watched crop by crop."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from cellmap_tui.services.fetch_bucket import WaitingWords, bucket_address
from cellmap_tui.services.fetch_model import FetchFailure
from cellmap_tui.services.fetch_state import CropState, CropWork, FetchState, PartState, Phase, write_state
from cellmap_tui.text import count, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.fetch_model import FetchRequest
    from cellmap_tui.services.fetch_plan import Prepared
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.ledger import Ledger
    from cellmap_tui.storage.transfer import State, Transfer, TransferOutcome, TransferProgress

_WRITE_EVERY_S = 0.5
_MOST_WARNINGS = 20


class _CropWork:
    """The counts of one crop."""

    def __init__(self, ref: str, what: str, parts: dict[str, list[int]], done_bytes: int, total_bytes: int) -> None:
        self.ref = ref
        self.what = what
        self.parts = parts
        self.objects = sum(wanted for _, wanted in parts.values())
        self.done = sum(here for here, _ in parts.values())
        self.bytes = total_bytes
        self.done_bytes = done_bytes
        self.failed = 0
        self.is_begun = False

    @property
    def state(self) -> CropWork:
        if self.done == self.objects:
            return "complete"
        if self.done + self.failed == self.objects:
            return "incomplete"
        return "fetching" if self.is_begun else "queued"

    def shown(self) -> CropState:
        state = self.state
        parts = tuple(PartState(name, *counts) for name, counts in self.parts.items()) if state == "fetching" else ()
        return CropState(
            self.ref, self.what, state, self.done, self.objects, self.done_bytes, self.bytes, self.failed, parts
        )


class FetchWatch:
    """Hears of every object, and tells of crops: a `TransferReport`.

    Parameters
    ----------
    prepared
        The plan.
    report
        Told bytes, finished crops, and trouble; its checkpoint is heeded.
    folder
        Where the state is written; None: nowhere.
    data_root
        Folder of the data.
    """

    def __init__(self, prepared: Prepared, report: Reporter, folder: Path | None, data_root: Path) -> None:
        self._report = report
        self._folder = folder
        self._data_root = data_root
        self._total_bytes = prepared.objects.bytes
        self._in_flight: dict[str, int] = {}
        self._words = WaitingWords(report)
        self._waiting: tuple[float, str] | None = None
        self._progress: TransferProgress | None = None
        self._written_s = 0.0
        self._warned: Counter[int] = Counter()
        self.phase: Phase = "transferring"
        self.skipped_bytes = 0
        self._paths = [data_root / _artefact_of(crop) for crop in prepared.crops]
        self.crops = [_work_of(prepared, place) for place in range(len(prepared.plan.crops))]

    def transfers(self, prepared: Prepared) -> Iterator[Transfer]:
        """Yield what is to be fetched, and remember whose it is while it is under way."""
        from cellmap_tui.storage.transfer import Transfer

        for planned in prepared.objects:
            self._in_flight[planned.key] = planned.crop
            self.crops[planned.crop].is_begun = True
            yield Transfer(planned.key, planned.size_bytes, planned.etag, planned.is_required)

    def settled(self, transfer: Transfer, state: State) -> None:
        """Count an object."""
        from cellmap_tui.services.fetch_plan import part_of

        place = self._in_flight.pop(transfer.key)
        crop = self.crops[place]
        if state == "failed":
            crop.failed += 1
            self._warn(place, transfer.key)
        else:
            self.skipped_bytes += (transfer.size_bytes or 0) if state == "skipped" else 0
            crop.done += 1
            crop.done_bytes += transfer.size_bytes or 0
            crop.parts[part_of(transfer.key)][0] += 1
        if crop.done + crop.failed == crop.objects:
            self._tell_end(place)

    def progress(self, progress: TransferProgress) -> None:
        """Pass the bytes on, and write the state now and then."""
        self._progress = progress
        self._report.progress(progress.done_bytes, self._total_bytes, "bytes")
        if time.monotonic() - self._written_s >= _WRITE_EVERY_S:
            self.write()

    def waiting(self, since_s: float, reason: str) -> None:
        """Tell that the server is away."""
        self._waiting = (since_s, reason)
        self._words.waiting(since_s, reason)
        self.write()

    def resumed(self, waited_s: float) -> None:
        """Tell that it is back."""
        self._waiting = None
        self._words.resumed(waited_s)
        self.write()

    def checkpoint(self) -> None:
        """Give the user a say."""
        self._report.checkpoint()

    def tell_finished(self) -> None:
        """Tell of the crops of which everything was there before the start."""
        for place, crop in enumerate(self.crops):
            if crop.state == "complete":
                self._report.artefact(self._paths[place], "crop")

    def write(self) -> None:
        """Write the state."""
        self._written_s = time.monotonic()
        if self._folder is not None:
            write_state(self._folder, self.state())

    def state(self) -> FetchState:
        """Return how far the fetch is."""
        seen = self._progress
        since_s, reason = self._waiting or (None, "")
        return FetchState(
            v=1,
            time=round(time.time(), 3),
            phase=self.phase,
            done_bytes=seen.done_bytes if seen else 0,
            total_bytes=self._total_bytes,
            fetched=seen.fetched if seen else 0,
            skipped=seen.skipped if seen else 0,
            absent=seen.absent if seen else 0,
            failed=seen.failed if seen else 0,
            in_flight=seen.in_flight if seen else 0,
            width=seen.width if seen else 0,
            requests=seen.requests if seen else 0,
            waiting_since=since_s,
            waiting_for=reason,
            crops=tuple(crop.shown() for crop in self.crops),
        )

    def _tell_end(self, place: int) -> None:
        crop = self.crops[place]
        if crop.failed:
            self._report.warning(f"{crop.ref}: {count(crop.failed)} of {count(crop.objects)} objects are missing")
            return
        self._report.note(f"{crop.ref}: verified, {count(crop.objects)} objects, {size(crop.bytes)}")
        self._report.artefact(self._paths[place], "crop")

    def _warn(self, place: int, key: str) -> None:
        self._warned[place] += 1
        if self._warned[place] == 1 and len(self._warned) <= _MOST_WARNINGS:
            self._report.warning(f"{self.crops[place].ref}: {key} was not fetched")


def transfer_plan(prepared: Prepared, request: FetchRequest, ledger: Ledger, watch: FetchWatch) -> TransferOutcome:
    """Fetch everything that a plan lists and that is not verified yet.

    Raises
    ------
    Stopped
        When the user asked to stop; what is done is recorded.
    """
    from cellmap_tui.storage.bucket import open_bucket
    from cellmap_tui.storage.transfer import TransferOptions, run_transfers
    from cellmap_tui.storage.width import WIDEST

    options = TransferOptions(width=request.workers or WIDEST, limit_rate=request.limit_rate)
    return run_transfers(
        open_bucket(bucket_address(request)),
        watch.transfers(prepared),
        request.data_root,
        ledger=ledger,
        options=options,
        report=watch,
    )


def failures_of(prepared: Prepared, outcome: TransferOutcome | None) -> list[FetchFailure]:
    """Return what is missing after a transfer, problems of the plan included."""
    found = list(prepared.plan.problems)
    if outcome is None:
        return found
    if outcome.ended is not None:
        ended = outcome.ended
        found.append(FetchFailure(ended.key, ended.kind, ended.message, _crop_of(prepared, ended.key), ended.tries))
    known = {failure.key for failure in found}
    for failed in outcome.failed:
        if failed.key not in known:
            crop = _crop_of(prepared, failed.key)
            found.append(FetchFailure(failed.key, failed.kind, failed.message, crop, failed.tries))
    return found


def incomplete_crops(prepared: Prepared, watch: FetchWatch, failures: list[FetchFailure]) -> set[int]:
    """Return which crops of a plan miss something, chunks included that an earlier crop was to bring."""
    places = {place for place, crop in enumerate(watch.crops) if crop.done < crop.objects}
    for failure in failures:
        places.update(_users(prepared, failure.key))
    return places


def _users(prepared: Prepared, key: str) -> Iterator[int]:
    """Yield the crops that need an object of the EM or of the groups above."""
    from cellmap_tui.services.fetch_levels import holds
    from cellmap_tui.services.fetch_listing import is_metadata

    for prefix, users in prepared.boxes.items():
        if key.startswith(prefix):
            for place, level, box in users:
                if is_metadata(key) or holds(box, _index(key[len(prefix) :], level.separator)):
                    yield place
    folder = key.rpartition("/")[0]
    for place, crop in enumerate(prepared.crops):
        path = _label_folder(crop)
        if key.startswith(f"{path}/") or key == path or (is_metadata(key) and path.startswith(f"{folder}/")):
            yield place


def _index(name: str, separator: str) -> tuple[int, ...]:
    parts = name.split(separator)
    is_chunk = len(parts) == 3 and all(part.isdecimal() for part in parts)
    return tuple(map(int, parts)) if is_chunk else (-1, -1, -1)


def _crop_of(prepared: Prepared, key: str) -> str:
    refs = {prepared.plan.crops[place].ref for place in _users(prepared, key)}
    return refs.pop() if len(refs) == 1 else ""


def _work_of(prepared: Prepared, place: int) -> _CropWork:
    crop = prepared.plan.crops[place]
    # Files that are there but not known yet are checked in the run: they count once they are.
    return _CropWork(crop.ref, crop.what, prepared.parts[place], prepared.verified_bytes[place], crop.wanted.bytes)


def _label_folder(crop: Crop) -> str:
    from cellmap_tui.challenge.layout import crop_path

    return str(crop_path(crop))


def _artefact_of(crop: Crop) -> str:
    """Return what of a crop exists once it is complete: its labels, or for a test crop its EM."""
    from cellmap_tui.challenge.layout import crop_em_path

    return _label_folder(crop) if crop.split == "train" else str(crop_em_path(crop))
