"""Coroutines run from plain functions, also where an event loop runs already, as in a notebook."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

T = TypeVar("T")

TICK_S = 0.2
"""How often those who watch are told and asked."""


def run_until_done(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return what it returns."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def work_side_by_side(works: Iterable[Coroutine[Any, Any, None]], tick: Callable[[], bool]) -> None:
    """Run coroutines side by side until all are done.

    Parameters
    ----------
    works
        The coroutines. An error of one ends all of them and is raised.
    tick
        Called about five times a second; returns whether to go on, or raises to end everything.
    """
    tasks = [asyncio.create_task(work) for work in works]
    pending = set(tasks)
    try:
        while pending and tick():
            done, pending = await asyncio.wait(pending, timeout=TICK_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
