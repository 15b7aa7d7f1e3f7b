"""Two evaluations side by side for the screen, from their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellmap_tui.services.compare_runs import CompareResult, Evaluation
    from cellmap_tui.services.evaluate_model import EvaluateResult


def comparison(result: EvaluateResult, name: str, other: EvaluateResult, other_name: str) -> CompareResult:
    """Return two evaluations side by side, the other first: changes say how much better this one is."""
    from cellmap_tui.services.compare_runs import compare

    return compare((_plain(other, other_name), _plain(result, name)))


def _plain(result: EvaluateResult, name: str) -> Evaluation:
    from cellmap_tui.services.compare_runs import OVERALL, Evaluation

    return Evaluation(
        name=name,
        profile=result.profile,
        overall={key: getattr(result, key) for key in OVERALL},
        classes={row.label: row.score for row in result.classes},
        pairs={(row.crop, row.label): row.score for row in result.pairs},
    )
