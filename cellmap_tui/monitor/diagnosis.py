"""What is wrong with a training, in plain sentences: every rule looks at what the run has told, none at the run.

Owns the order of the rules and of what they find. The rules stand in `rules_*`, their thresholds all in
`thresholds`. A rule that knows too little says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.monitor import rules_loss, rules_machine, rules_steps
from cellmap_tui.monitor.finding import LEVELS, Finding, Level
from cellmap_tui.monitor.told import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cellmap_tui.monitor.series import RunSeries
    from cellmap_tui.monitor.source import RunFacts, Telemetry

__all__ = ["LEVELS", "Finding", "Level", "diagnose"]


RULES: tuple[Callable[[Told], Finding | Iterable[Finding] | None], ...] = (
    rules_machine.lost_gpus,
    rules_loss.not_a_number,
    rules_loss.diverging,
    rules_steps.rate_zero,
    rules_steps.exploding,
    rules_machine.killed_for_memory,
    rules_machine.memory_full,
    rules_machine.disk_full,
    rules_loss.overfitting,
    rules_loss.plateau,
    rules_steps.never_predicted,
    rules_steps.never_measured,
    rules_machine.loader_bound,
    rules_machine.idle_gpus,
    rules_machine.throttled,
)
"""All rules; of findings of one level, those of earlier rules come first."""

_SAID_BY = {"diverging": {"nan"}, "plateau": {"nan", "diverging", "rate_zero", "overfitting"}}
"""Rules whose finding is silent beside another that says the same, or its cause."""


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
    told = Told(series, telemetry, facts)
    found = [finding for rule in RULES for finding in _findings(rule(told))]
    rules = {finding.rule for finding in found}
    kept = [finding for finding in found if not _SAID_BY.get(finding.rule, set()) & rules]
    return tuple(sorted(kept, key=lambda finding: LEVELS.index(finding.level)))


def _findings(answer: Finding | Iterable[Finding] | None) -> Iterable[Finding]:
    if answer is None:
        return ()
    return (answer,) if isinstance(answer, Finding) else answer
