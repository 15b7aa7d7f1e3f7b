"""The scan of what label arrays hold, cached: how much of each class, how many objects, how many of them touch.

The split leaves out what is empty by it, counts are read from it, and the proposal of a configuration learns
object sizes and touching objects from it. Arrays are looked through by a few threads; what is known is kept crop by
crop, so that a scan that was killed goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Literal

from cellmap_tui.challenge.layout import label_path, local_classes
from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.content_cache import CacheEntry, ContentCache, array_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.services.report import Reporter

ScanState = Literal["present", "absent", "not on disk", "broken"]
"""The class is there; annotated and not there; not fetched; not readable."""

WORKERS = 4
"""Threads; decompression releases the interpreter, and more would only wait for the disk."""
LISTEN_EVERY_S = 0.1
"""How soon a wish to stop or pause is heard."""


@dataclass(frozen=True, slots=True)
class LabelArray:
    """A label array to be looked through."""

    ref: str
    """Its crop, as ``dataset/crop234``."""
    name: str
    """Its class."""
    path: Path
    """Its multiscale group."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What became of one array."""

    state: ScanState
    """How it stands with it."""
    content: LabelContent | None = None
    """What it holds; None where it was not read."""
    problem: str = ""
    """Why it could not be read."""


def label_arrays(data_root: Path, crop: Crop, classes: Iterable[str] | None = None) -> tuple[LabelArray, ...]:
    """Return the label arrays of a crop that are on disk, in the order of its classes.

    Parameters
    ----------
    classes
        Only these; None: all.
    """
    wanted = None if classes is None else set(classes)
    present = local_classes(data_root, crop)
    names = [name for name in crop.classes if name in present and (wanted is None or name in wanted)]
    return tuple(LabelArray(crop.ref, name, data_root / label_path(crop, name)) for name in names)


def scan_labels(
    arrays: Sequence[LabelArray],
    cache: ContentCache,
    report: Reporter,
    *,
    with_objects: bool = False,
    workers: int = WORKERS,
) -> dict[tuple[str, str], Scanned]:
    """Look through label arrays, those that are not known yet.

    Parameters
    ----------
    arrays
        What to look through.
    cache
        What is known; new findings are kept in it after each crop.
    report
        Told of the progress in arrays and of broken ones, and asked whether to go on.
    with_objects
        Whether the parts of masks are counted too.
    workers
        Arrays looked through at a time.

    Returns
    -------
    dict
        By crop and class. A broken array does not stop the others.

    Raises
    ------
    Stopped
        If the reporter says so; what was found is kept.
    """
    from concurrent.futures import ThreadPoolExecutor

    found: dict[tuple[str, str], Scanned] = {}
    by_crop: dict[str, list[LabelArray]] = {}
    for array in arrays:
        by_crop.setdefault(array.ref, []).append(array)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for ref, members in by_crop.items():
            look = _Look(cache, with_objects)
            try:
                _follow([pool.submit(look, array) for array in members], look, report)
            finally:
                if look.is_new:
                    cache.save(ref)
            for array in members:
                found[ref, array.name] = scanned = look.results[array]
                if scanned.state == "broken":
                    report.warning(f"{ref}, {array.name}: {scanned.problem}")
            report.progress(len(found), len(arrays), "label arrays")
    return found


def _follow(running: list[Future[None]], look: _Look, report: Reporter) -> None:
    """Wait for a crop's arrays; the reporter is asked here, because it belongs to this thread."""
    from concurrent.futures import wait

    try:
        waiting = set(running)
        while waiting:
            report.checkpoint()
            waiting = wait(waiting, timeout=LISTEN_EVERY_S).not_done
    except BaseException:
        look.give_up.set()
        for future in running:
            future.cancel()
        wait(running)
        raise
    for future in running:
        future.result()


class _Look:
    """Looks through the arrays of one crop, in any thread."""

    def __init__(self, cache: ContentCache, with_objects: bool) -> None:
        self._cache = cache
        self._with_objects = with_objects
        self.give_up = Event()
        self.results: dict[LabelArray, Scanned] = {}
        self.is_new = False

    def __call__(self, array: LabelArray) -> None:
        """Look through one array, if it is not known."""
        self.results[array] = self._scanned(array)

    def _scanned(self, array: LabelArray) -> Scanned:
        try:
            key = array_key(array.path)
        except OSError as error:
            return Scanned("not on disk", problem=f"{array.path}: {error.strerror}")
        content = self._cache.get(array.ref, array.name, key, with_objects=self._with_objects)
        if content is None:
            from cellmap_tui.volumes.content import scan_label  # zarr and numpy, 0.3 s: not where all is known

            try:
                content = scan_label(array.path, with_objects=self._with_objects, checkpoint=self._go_on)
            except Stopped:
                raise
            except CellmapError as error:
                return Scanned("broken", problem=error.message)
            self._cache.keep(array.ref, array.name, CacheEntry(key, content, self._with_objects))
            self.is_new = True
        return Scanned("present" if content.is_present else "absent", content)

    def _go_on(self) -> None:
        if self.give_up.is_set():
            raise Stopped("the scan was given up")
