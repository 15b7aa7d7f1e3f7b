"""Services for the tests of jobs, each one way that work can go."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - read by the request models
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError
from cellmap_tui.services.registry import Command

if TYPE_CHECKING:
    from cellmap_tui.services.report import Reporter


@dataclass(frozen=True, slots=True)
class CountRequest:
    steps: int
    """How far to count."""
    pause_s: float = 0.0
    """Time that a step takes."""
    padding: int = 0
    """Length of a note told with every step, for long lines."""


@dataclass(frozen=True, slots=True)
class CountResult:
    counted: int
    exit_code: int = 0


def count(request: CountRequest, report: Reporter) -> CountResult:
    for step in range(request.steps):
        report.checkpoint()
        report.progress(step + 1, request.steps, "steps")
        report.metric(step, {"loss": 1.0 / (step + 1)})
        if request.padding:
            report.note(f"{step} " + "x" * request.padding)
        if request.pause_s:
            time.sleep(request.pause_s)
    return CountResult(request.steps)


@dataclass(frozen=True, slots=True)
class FailRequest:
    how: str
    folder: Path


def fail(request: FailRequest, report: Reporter) -> None:
    report.note("about to fail")
    if request.how == "data":
        raise DataError("volume.zarr: key 'scale' is missing", "write it again")
    if request.how == "memory":
        raise MemoryError
    if request.how == "disk":
        raise OSError(28, "No space left on device", str(request.folder / "s0"))
    if request.how == "crash":
        os.abort()
    raise ZeroDivisionError(request.how)


@dataclass(frozen=True, slots=True)
class WaitRequest:
    until: Path
    """The work ends when this file exists."""
    checkpoints: bool = True
    """Whether it looks at what the user asks meanwhile."""


def wait(request: WaitRequest, report: Reporter) -> CountResult:
    looks = 0
    while not request.until.exists():
        looks += 1
        if request.checkpoints:
            report.checkpoint()
        time.sleep(0.005)
    return CountResult(looks)


def threads(request: WaitRequest, report: Reporter) -> CountResult:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: wait(request, report), range(4)))
    return results[0]


def partly(request: CountRequest, report: Reporter) -> CountResult:
    report.warning("1 of 2 crops failed: crop 7")
    return CountResult(1, exit_code=1)


TEST_COMMANDS = {
    name: Command(name, f"{__name__}:{model}", f"{__name__}:{function}", "for tests")
    for name, model, function in (
        ("count", "CountRequest", "count"),
        ("fail", "FailRequest", "fail"),
        ("wait", "WaitRequest", "wait"),
        ("threads", "WaitRequest", "threads"),
        ("partly", "CountRequest", "partly"),
    )
}
