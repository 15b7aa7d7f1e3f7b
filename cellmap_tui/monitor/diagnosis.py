"""What is wrong with a training, in plain sentences: every rule looks at what the run has told, none at the run.

Owns the order of the rules and of what they find. The rules stand in `rules_*`, their thresholds all in
`thresholds`. A rule that knows too little says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.monitor.finding import LEVELS, Finding, Level

if TYPE_CHECKING:
    from cellmap_tui.monitor.series import RunSeries
    from cellmap_tui.monitor.source import RunFacts, Telemetry

__all__ = ["LEVELS", "Finding", "Level", "diagnose"]


def diagnose(
    series: RunSeries, telemetry: Telemetry | None = None, facts: RunFacts | None = None
) -> tuple[Finding, ...]:
    """Return what the rules find, the worst first; empty: nothing is wrong, or too little is known.

    Parameters
    ----------
    series
        The metrics of the run, by the names of docs/metrics.md; names of other tools are left alone.
    telemetry
        The machine's readings; None: there are none.
    facts
        What is planned and configured; None: not known.
    """
    return ()
