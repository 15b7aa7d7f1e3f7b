"""The objects behind a number, found in a process of their own: the app stays quick and small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import CellmapError, Stopped
from cellmap_tui.services.report import SilentReporter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cellmap_tui.services.evaluate_model import EvaluateRequest, Explanation

TARGET = "cellmap_tui.app.eval_explain:explain_task"


class _Teller(SilentReporter):
    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Pass on the share that is done."""
        if total:
            self._tell(done / total)


def explain_task(payload: tuple[EvaluateRequest, str], tell: Callable[[float], None]) -> Explanation:
    """Explain one pair; runs in a worker process."""
    from cellmap_tui.services.explain import explain

    request, pair = payload
    return explain(request, pair, _Teller(tell))


def explain_pair(
    run_path: Path, pair: str, is_cancelled: Callable[[], bool], tell: Callable[[float], None]
) -> Explanation:
    """Return the objects behind the score of a pair; waits for a worker process.

    Parameters
    ----------
    run_path
        The evaluation's run directory.
    pair
        ``crop557/mito``.
    is_cancelled
        Asked several times a second; ends the process.
    tell
        Told the share that is done, now and then.

    Raises
    ------
    CellmapError
        If the pair cannot be scored any more: the data are gone, or memory ran out.
    Stopped
        When nobody waits for it.
    """
    from cellmap_tui.app.evaluations import request_of
    from cellmap_tui.services.evaluate_pool import Outcome, Task, WorkerPool

    request = request_of(run_path)
    outcome: Outcome | None = None
    with WorkerPool(TARGET, 1, 0) as pool:

        def between() -> None:
            if is_cancelled():
                raise Stopped("another pair is wanted")
            for share in pool.progress.values():
                tell(share)

        for outcome in pool.run([Task(pair, (request, pair), 0, 0.0)], between):  # noqa: B007 - one task, one outcome
            pass
    assert outcome is not None
    return _explained(outcome)


def _explained(outcome: Any) -> Explanation:
    if outcome.how == "done":
        explanation: Explanation = outcome.value
        return explanation
    if outcome.how == "error":
        _kind, message, remedy = outcome.value
        raise CellmapError(message, remedy)
    if outcome.how == "bug":
        raise CellmapError(f"a bug: {outcome.value[0]}", "please report it")
    raise CellmapError(str(outcome.value or "memory ran out"), "close other programs and try again")
