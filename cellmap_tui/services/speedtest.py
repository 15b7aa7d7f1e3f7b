"""`speedtest`: what the bucket gives from here, measured with a few of its own chunks.

A handful of objects is listed, then fetched for a few seconds at each of several widths (requests in
flight). The bytes are counted and thrown away; nothing that was downloaded is read, kept or run. The
number of bytes is bounded beforehand and never exceeded.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - models are read by their annotations
from typing import TYPE_CHECKING, TypeVar

from cellmap_tui.errors import CellmapError, DataError, MissingDataError, RequestError
from cellmap_tui.services.settings import BUCKET
from cellmap_tui.text import number, size

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Sequence

    from cellmap_tui.services.report import Reporter
    from cellmap_tui.storage.bucket import Bucket
    from cellmap_tui.storage.faults import Fault
    from cellmap_tui.storage.objects import RemoteObject

T = TypeVar("T")

WIDTHS = (8, 32, 128)
MAX_BYTES = 200_000_000
SECONDS = 3.0
_LARGEST_SAMPLE_BYTES = 8_000_000
_GOOD_SHARE = 0.9
"""A width is enough when it carries this share of what the best carries."""
_FEW_OBJECTS = 64  # fewer are asked for again and again, and a server may have them at hand
_MOST_FAILURES = 20
_WIDEST_SUGGESTION = 256


@dataclass(frozen=True, slots=True)
class SpeedtestRequest:
    """Which bucket to measure, and how much may be spent.

    Raises
    ------
    RequestError
        If a number is out of range.
    """

    widths: tuple[int, ...] = WIDTHS
    """Requests in flight, one measurement each."""
    seconds: float = SECONDS
    """Duration of each measurement at most."""
    max_bytes: int = MAX_BYTES
    """Bytes of all measurements together at most."""
    dataset: str = "jrc_cos7-1a"
    """Dataset whose EM chunks are fetched; another one where the bucket does not have it."""
    endpoint_url: str = ""
    """S3 endpoint; empty: the public one."""
    bucket: str = BUCKET
    """Name of the bucket."""
    profile: str = ""
    """AWS profile; empty: anonymous."""
    state_dir: Path | None = None
    """Folder that remembers the rate, for the estimates of `fetch-data`; None: it is not remembered."""

    def __post_init__(self) -> None:
        if not self.widths or not all(1 <= width <= 1024 for width in self.widths):
            raise RequestError(f"--widths {','.join(map(str, self.widths))} is out of range", "give 1 to 1024 each")
        if not (math.isfinite(self.seconds) and 0.1 <= self.seconds <= 600):
            raise RequestError(f"--seconds {number(self.seconds)} is out of range", "give 0.1 to 600")
        if self.max_bytes < 1_000_000:
            raise RequestError(f"--max-bytes {size(self.max_bytes)} is too little to measure", "give 1 M or more")


@dataclass(frozen=True, slots=True)
class SpeedPoint:
    """What was measured at one width."""

    width: int
    """Requests in flight."""
    objects: int
    """Objects that were fetched whole."""
    bytes: int
    """Their bytes."""
    seconds: float
    """Time that it took."""
    objects_per_s: float
    """Objects a second."""
    bytes_per_s: float
    """Bytes a second."""
    latency_p50_s: float | None
    """Median time from request to last byte; None without an answer."""
    latency_p95_s: float | None
    """Time that 95 of 100 objects took at most."""
    failures: int
    """Requests that failed, those that were asked to slow down included."""


@dataclass(frozen=True, slots=True)
class SpeedtestResult:
    """What the bucket gives from here."""

    address: str
    """Bucket and endpoint, for people."""
    sample: str
    """Where the objects came from."""
    sample_objects: int
    """Different objects among them."""
    mean_bytes: int
    """Their mean size."""
    points: tuple[SpeedPoint, ...]
    """A measurement per width."""
    best_width: int
    """The smallest width that carries 90 % of the most."""
    suggestion: str
    """What to give to ``fetch-data``, in a sentence."""
    total_bytes: int
    """Bytes that were downloaded in all."""

    @property
    def best(self) -> SpeedPoint:
        """The measurement at `best_width`."""
        return next(point for point in self.points if point.width == self.best_width)


def speedtest(request: SpeedtestRequest, report: Reporter) -> SpeedtestResult:
    """Measure objects a second, bytes a second and latency of a bucket.

    Parameters
    ----------
    request
        Which bucket, which widths, and the most bytes to spend.
    report
        Told the bytes as they come, and each measurement.

    Returns
    -------
    SpeedtestResult
        The measurements and a suggestion for ``--num-workers``.

    Raises
    ------
    MissingDataError
        If the bucket has no chunk to fetch.
    CellmapError
        If the bucket cannot be reached or read; says why.
    Stopped
        When the user asked to stop.
    """
    from cellmap_tui.services.fetch_model import Amount
    from cellmap_tui.services.fetch_rate import save_rate
    from cellmap_tui.storage.bucket import BucketAddress, open_bucket

    address = BucketAddress(request.endpoint_url, request.bucket, profile=request.profile)
    bucket = open_bucket(address)
    report.note(
        f"at most {size(request.max_bytes)} from {address}, "
        f"{len(request.widths)} × {number(request.seconds)} s; nothing is kept"
    )
    result = asyncio.run(_measure_all(bucket, request, report))
    best = result.best
    save_rate(request.state_dir, str(address), Amount(best.objects, best.bytes), best.seconds)
    return result


async def _measure_all(bucket: Bucket, request: SpeedtestRequest, report: Reporter) -> SpeedtestResult:
    sample, objects = await _sample(bucket, request.dataset)
    meter = _Meter(bucket, request, report)
    await meter.warm_up(objects[0])
    points = []
    shares = [math.sqrt(width) for width in request.widths]
    for place, width in enumerate(request.widths):
        allowed = (request.max_bytes - meter.total_bytes) * shares[place] / sum(shares[place:])
        points.append(await meter.measure(width, objects, allowed))
        report.note(point_words(points[-1]))
    if not any(point.objects for point in points):
        raise CellmapError(f"{bucket.address}: no object could be fetched: {meter.trouble}", "try again later")
    best_width = _enough(points)
    return SpeedtestResult(
        address=str(bucket.address),
        sample=sample,
        sample_objects=len(objects),
        mean_bytes=round(sum(remote.size_bytes for remote in objects) / len(objects)),
        points=tuple(points),
        best_width=best_width,
        suggestion=_suggestion(points, best_width),
        total_bytes=meter.total_bytes,
    )


class _Meter:
    """Fetches objects at a given width and keeps the time."""

    def __init__(self, bucket: Bucket, request: SpeedtestRequest, report: Reporter) -> None:
        self._bucket = bucket
        self._request = request
        self._report = report
        self.total_bytes = 0
        self.trouble = ""

    async def warm_up(self, remote: RemoteObject) -> None:
        """Fetch one object, so that resolving the name and the first handshake are not measured."""
        await _asked(self._bucket, self._fetch(remote))
        self.total_bytes += remote.size_bytes

    async def measure(self, width: int, objects: Sequence[RemoteObject], allowed_bytes: float) -> SpeedPoint:
        """Fetch at one width until time or bytes are used up."""
        from cellmap_tui.storage.running import work_side_by_side

        started_s = time.monotonic()
        spent_before = self.total_bytes
        latencies_s: list[float] = []
        failures = fetched_bytes = 0
        turn = self._turn(objects, started_s, spent_before + allowed_bytes)

        async def work() -> None:
            nonlocal failures, fetched_bytes
            for remote in turn:
                began_s = time.monotonic()
                try:
                    await self._fetch(remote)
                except CellmapError:
                    raise
                except Exception as error:  # noqa: BLE001 - whatever the client raises is one failed request
                    failures += 1
                    self.trouble = _words(error)
                    if failures > _MOST_FAILURES and not latencies_s:
                        return
                else:
                    latencies_s.append(time.monotonic() - began_s)
                    fetched_bytes += remote.size_bytes

        await work_side_by_side((work() for _ in range(width)), self._tick)
        seconds = max(time.monotonic() - started_s, 1e-9)
        return SpeedPoint(
            width=width,
            objects=len(latencies_s),
            bytes=fetched_bytes,
            seconds=round(seconds, 3),
            objects_per_s=round(len(latencies_s) / seconds, 1),
            bytes_per_s=round(fetched_bytes / seconds),
            latency_p50_s=_quantile(latencies_s, 0.5),
            latency_p95_s=_quantile(latencies_s, 0.95),
            failures=failures,
        )

    def _tick(self) -> bool:
        self._report.checkpoint()
        return True

    def _turn(self, objects: Sequence[RemoteObject], started_s: float, allowed: float) -> Iterator[RemoteObject]:
        """Yield objects while there is time and the next one is within the bytes allowed."""
        for remote in itertools.cycle(objects):
            is_over = self.total_bytes + remote.size_bytes > min(allowed, self._request.max_bytes)
            if is_over or time.monotonic() - started_s > self._request.seconds:
                return
            self.total_bytes += remote.size_bytes
            self._report.progress(self.total_bytes, self._request.max_bytes, "bytes")
            yield remote

    async def _fetch(self, remote: RemoteObject) -> None:
        answer = await self._bucket.get(remote.key)
        body = await answer.bytes_async()
        if len(body) != remote.size_bytes:
            raise DataError(f"{remote.key} has {len(body)} bytes, not {remote.size_bytes}")


async def _sample(bucket: Bucket, dataset: str) -> tuple[str, list[RemoteObject]]:
    """Return where the sample comes from and its objects, from the middle of an EM level if possible."""
    from cellmap_tui.challenge.layout import em_path

    for name in (dataset, *await _other_datasets(bucket, dataset)):
        for prefix in (*(f"{em_path(name)}/{level}/" for level in ("s2", "s1", "s0")), f"{name}/"):
            objects = _chunks(await _plane(bucket, prefix))
            if objects:
                return prefix, objects
    raise MissingDataError(f"{bucket.address} has no chunk to measure with", "check --bucket and --endpoint-url")


async def _other_datasets(bucket: Bucket, dataset: str) -> list[str]:
    """Return a few datasets to take the sample from when the bucket does not have the known one."""
    if await _asked(bucket, bucket.list_page(f"{dataset}/")):
        return []
    folder = await _asked(bucket, bucket.list_folder(""))
    return [name.strip("/") for name in folder.folders][:5]


async def _plane(bucket: Bucket, prefix: str) -> Sequence[RemoteObject]:
    """Return up to 1,000 objects from the middle of a level: its edges are often empty."""
    folder = await _asked(bucket, bucket.list_folder(prefix))
    planes = sorted(folder.folders)
    if planes:
        middle = planes[len(planes) // 2].rstrip("/") + "/"
        objects = await _asked(bucket, bucket.list_page(middle))
        if len(objects) >= _FEW_OBJECTS:
            return objects
    return await _asked(bucket, bucket.list_page(prefix))


def _chunks(objects: Sequence[RemoteObject]) -> list[RemoteObject]:
    chunks = [
        remote
        for remote in objects
        if 0 < remote.size_bytes <= _LARGEST_SAMPLE_BYTES and not remote.key.rpartition("/")[2].startswith(".")
    ]
    # Neighbours in the listing may lie on one machine of the server; a stride spreads them.
    return [chunk for first in range(7) for chunk in chunks[first::7]]


async def _asked(bucket: Bucket, question: Awaitable[T]) -> T:
    """Return the answer, or raise what a user can do about having none."""
    from cellmap_tui.storage.faults import classify

    try:
        return await question
    except CellmapError:
        raise
    except Exception as error:  # noqa: BLE001 - sorted here into what a user can do about it
        raise _explained(bucket, classify(error)) from None


def _explained(bucket: Bucket, fault: Fault) -> CellmapError:
    from cellmap_tui.storage.faults import Kind

    if fault.kind in {Kind.NETWORK, Kind.SLOW_DOWN, Kind.BROKEN}:
        remedy = "check the network, the proxy settings and --endpoint-url"
        return CellmapError(f"{bucket.address} cannot be read: {fault.message}", remedy)
    remedy = "check --bucket and --endpoint-url"
    if fault.kind is Kind.ABSENT:
        return MissingDataError(f"{bucket.address}: {fault.message}", remedy)
    return CellmapError(f"{bucket.address}: {fault.message}", remedy)


def _words(error: Exception) -> str:
    from cellmap_tui.storage.faults import classify

    return error.message if isinstance(error, CellmapError) else classify(error).message


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value that a share of all do not exceed, rounded to 0.1 ms; None without any."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 4)


def _enough(points: Sequence[SpeedPoint]) -> int:
    most = max(point.objects_per_s for point in points)
    return min(point.width for point in points if point.objects_per_s >= _GOOD_SHARE * most)


def _suggestion(points: Sequence[SpeedPoint], best_width: int) -> str:
    widest = max(points, key=lambda point: point.width)
    others = [point for point in points if point.width < widest.width and point.objects_per_s > 0]
    second = max(others, key=lambda point: point.width, default=None)
    if best_width == widest.width and second and widest.width < _WIDEST_SUGGESTION:
        gain = widest.objects_per_s / second.objects_per_s
        if gain > 0.7 * widest.width / second.width:
            return (
                f"--num-workers {_WIDEST_SUGGESTION}: {widest.width} requests in flight are still "
                f"{gain:.1f} times as fast as {second.width}"
            )
    return f"--num-workers {best_width}: more requests in flight bring less than 10 % more from here"


def point_words(point: SpeedPoint) -> str:
    """Return a measurement in one line for people."""
    if point.latency_p50_s is None or point.latency_p95_s is None:
        return f"{point.width} in flight: nothing arrived, {point.failures} requests failed"
    failed = f", {point.failures} failed" if point.failures else ""
    return (
        f"{point.width} in flight: {number(point.objects_per_s)} objects/s, {size(point.bytes_per_s)}B/s, "
        f"latency {point.latency_p50_s * 1e3:.0f} ms, 95 % within {point.latency_p95_s * 1e3:.0f} ms{failed}"
    )
