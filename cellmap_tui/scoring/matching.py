"""Which predicted component stands for which truth object.

One minimum-cost flow over the whole crop, with the costs, the nodes and the order of arcs of the official
scorer: where several matchings are equally good, the solver's choice depends on all of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cellmap_tui.scoring.limits import COST_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cellmap_tui.scoring.overlaps import Overlaps

Matches = tuple["NDArray[np.int64]", "NDArray[np.int64]"]
"""Truth ids and component numbers of the matched pairs."""

MAX_NODES = 8_000_000
"""The graph has a node for every number up to the largest truth id; above this, unused ones are left out."""


class MatchingFailed(Exception):  # noqa: N818 - a status of the official scorer, not an error of the user
    """The solver found no optimum."""


def match_by_cost(overlaps: Overlaps) -> Matches:
    """Return the one-to-one matching of least total cost over pairs that share a voxel.

    A pair costs ``int((1 - float32 IoU) * 10⁶)``, an unmatched truth object ``10⁶ + 1``.

    Raises
    ------
    MatchingFailed
        If the solver finds no optimum.
    """
    if len(overlaps.rows) == 0:
        return overlaps.rows, overlaps.columns
    rows, truths = overlaps.rows - 1, overlaps.largest_id
    if truths + len(overlaps.component_sizes) > MAX_NODES:
        rows, truths = np.searchsorted(overlaps.truth_ids, overlaps.rows), len(overlaps.truth_ids)
    iou = overlaps.iou().astype(np.float32).astype(np.float64)
    costs = ((1.0 - iou) * COST_SCALE).astype(np.int64)
    chosen = _solve(rows, overlaps.columns - 1, costs, truths, len(overlaps.component_sizes))
    return overlaps.rows[chosen], overlaps.columns[chosen]


def match_by_iou(overlaps: Overlaps, threshold: float = 0.5) -> Matches:
    """Return the pairs with an IoU above a threshold of at least 0.5, which leaves each object one partner."""
    chosen = overlaps.iou() > threshold
    return overlaps.rows[chosen], overlaps.columns[chosen]


def _solve(
    rows: NDArray[np.int64], columns: NDArray[np.int64], costs: NDArray[np.int64], truths: int, components: int
) -> NDArray[np.bool_]:
    """Return which pairs the flow uses; nodes are source, truths, components, sink."""
    from ortools.graph.python import min_cost_flow  # type: ignore[import-untyped]

    solver = min_cost_flow.SimpleMinCostFlow()
    truth_nodes = np.arange(1, truths + 1)
    component_nodes = np.arange(truths + 1, truths + components + 1)
    sink = truths + components + 1
    tails = np.concatenate((np.zeros(truths, np.int64), truth_nodes, rows + 1, component_nodes))
    heads = np.concatenate((truth_nodes, np.full(truths, sink), columns + truths + 1, np.full(components, sink)))
    all_costs = np.zeros(len(tails), np.int64)
    all_costs[truths : 2 * truths] = COST_SCALE + 1
    all_costs[2 * truths : 2 * truths + len(costs)] = costs
    arcs = solver.add_arcs_with_capacity_and_unit_cost(
        tails.astype(np.int32), heads.astype(np.int32), np.ones(len(tails), np.int64), all_costs
    )
    solver.set_node_supply(0, truths)
    solver.set_node_supply(sink, -truths)
    if solver.solve() != solver.OPTIMAL:
        raise MatchingFailed
    flows = solver.flows(arcs[2 * truths : 2 * truths + len(costs)])
    used: NDArray[np.bool_] = np.asarray(flows) == 1
    return used
