"""Previews one after the other, as an editor asks for them: what does not change between two is kept.

A prediction is read once for a slab around the slice, and a step is carried out again only from the first one
that has changed. A first answer comes from a thin slab; the whole slab follows, where objects and holes are seen
with what lies around them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import Stopped
from cellmap_tui.services.preview_em import PreviewEm
from cellmap_tui.services.process_class import carry_out
from cellmap_tui.services.process_model import Preview, PreviewRequest, PreviewStep
from cellmap_tui.services.process_preview import (
    AXES,
    all_of,
    checked_index,
    preview_job,
    probability_of,
    shifted,
    slab_around,
)
from cellmap_tui.services.process_recipe import Recipe, parse_recipe
from cellmap_tui.services.process_volume import inputs_for, may_lack_core

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.services.process_class import Carried, Inputs
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.services.process_steps import Step
    from cellmap_tui.services.process_volume import VolumeJob
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable
    from cellmap_tui.volumes.geometry import Box

QUICK_CONTEXT = 3
"""Voxels on both sides of the first answer."""
MEMORY_BYTES = 10**9


@dataclass(frozen=True, slots=True)
class _Place:
    """What a slab was read for; everything else may change without reading it again."""

    request: PreviewRequest
    predictions: str | None
    source: str | None
    by_sigmoid: bool
    starts_from_others: bool
    may_lack_core: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Slab:
    job: VolumeJob
    box: Box
    inputs: Inputs
    cores: dict[str | None, Readable | None]


class PreviewSession:
    """Previews for an editor; used from one thread at a time."""

    def __init__(self) -> None:
        self._slabs: dict[_Place, _Slab] = {}
        self._done: dict[int, tuple[_Slab, list[tuple[Step, Carried, PreviewStep]]]] = {}
        self._em = PreviewEm()

    def show(self, request: PreviewRequest, is_stale: Callable[[], bool] = lambda: False) -> Preview:
        """Return a slice of a class through a recipe; see `process_preview.preview`.

        Parameters
        ----------
        request
            What is looked at.
        is_stale
            Asked between two steps whether somebody still waits for it.

        Raises
        ------
        Stopped
            When nobody does.
        CellmapError
            As `process_preview.preview`.
        """
        started = time.perf_counter()
        recipe = parse_recipe(request.recipe) if request.recipe.strip() else Recipe()
        slab = self._slab(request, recipe)
        own = _own(request, recipe)
        axis = AXES.index(request.axis)
        index = checked_index(request, slab.job)
        carried, steps = self._carried(own, slab, request.context, is_stale)
        plane = _plane(slab.box, axis, index)
        import numpy as np

        return Preview(
            np.squeeze(probability_of(slab.inputs, plane), axis),
            np.squeeze(carried.volume.read(plane), axis).copy(),
            tuple(steps),
            request.axis,
            index,
            slab.job.grid.shape[axis],
            slab.job.grid.translation_nm[axis] + index * slab.job.grid.voxel_size_nm[axis],
            slab.box.shape == slab.job.grid.shape,
            round(time.perf_counter() - started, 4),
        )

    def voxel_nm_of(self, request: PreviewRequest) -> tuple[float, float, float]:
        """Return the voxel size in nm of the prediction that a request is about."""
        recipe = parse_recipe(request.recipe) if request.recipe.strip() else Recipe()
        return self._slab(request, recipe).job.grid.voxel_size_nm

    def em(self, request: PreviewRequest) -> Voxels | None:
        """Return the EM of a slice, uint8 ``[rows, columns]``; None where there is none to be read."""
        if request.data_root is None:
            return None
        recipe = parse_recipe(request.recipe) if request.recipe.strip() else Recipe()
        job = self._slab(request, recipe).job
        axis = AXES.index(request.axis)
        return self._em.plane(request.data_root, job.crop, job.grid, axis, checked_index(request, job))

    def _slab(self, request: PreviewRequest, recipe: Recipe) -> _Slab:
        own = _own(request, recipe)
        place = _Place(
            replace(request, recipe=""),
            own.predictions,
            own.source,
            any(step.name == "sigmoid" for step in own.steps),
            own.steps[0].name == "union",
            may_lack_core(own),
        )
        found = self._slabs.pop(place, None)
        if found is None or place.starts_from_others:
            found = _read_slab(request, recipe)
        self._slabs = {**dict(list(self._slabs.items())[-1:]), place: found}
        return found

    def _carried(
        self, own: ClassRecipe, slab: _Slab, context: int, is_stale: Callable[[], bool]
    ) -> tuple[Carried, list[PreviewStep]]:
        """Carry out the steps from the first one that has changed."""
        import numpy as np

        from cellmap_tui.volumes.blocks import Held, Workspace

        known, before = self._done.get(context, (None, []))
        kept = _same(before, own) if known is slab else []
        everything = all_of(slab.box)

        def after(step: Step, carried: Carried) -> None:
            if is_stale():
                raise Stopped("a newer preview is wanted")
            if carried.objects is not None:
                # What objects have in voxels is known: they are read only where they are looked at.
                told = PreviewStep(step.words, int(carried.objects.facts.sizes[1:].sum()), carried.objects.count)
                kept.append((step, carried, told))
            else:
                values = np.asarray(carried.volume.read(everything))
                foreground = int(np.count_nonzero(values)) if carried.form != "probability" else None
                kept.append((step, replace(carried, volume=Held(values)), PreviewStep(step.words, foreground, None)))
            self._done[context] = (slab, list(kept))

        carried = kept[-1][1] if kept else None
        rest = own.steps[len(kept) :]
        for step in rest:
            one = replace(own, steps=(step,))
            carried = carry_out(one, slab.inputs, Workspace(), after=after, start=kept[-1][1] if kept else None)
        if not rest:
            self._done[context] = (slab, list(kept))
        assert carried is not None
        return carried, [told for _, _, told in kept]


def _own(request: PreviewRequest, recipe: Recipe) -> ClassRecipe:
    from cellmap_tui.scoring.profiles import scoring_of

    return recipe.of(request.label, scoring_of(request.label))


def _same(
    before: list[tuple[Step, Carried, PreviewStep]], own: ClassRecipe
) -> list[tuple[Step, Carried, PreviewStep]]:
    kept = []
    for done, step in zip(before, own.steps, strict=False):
        if done[0] != step:
            break
        kept.append(done)
    return kept


def _plane(box: Box, axis: int, index: int) -> Box:
    start, stop = [0, 0, 0], list(box.shape)
    start[axis] = index - box.start[axis]
    stop[axis] = start[axis] + 1
    return type(box)(tuple(start), tuple(stop))  # type: ignore[arg-type]


def _read_slab(request: PreviewRequest, recipe: Recipe) -> _Slab:
    from cellmap_tui.volumes.blocks import Held
    from cellmap_tui.volumes.geometry import sub_grid

    job = preview_job(request, recipe)
    box = slab_around(job, AXES.index(request.axis), checked_index(request, job), request.context)
    inputs = shifted(inputs_for(job, warn=lambda _: None, memory_bytes=MEMORY_BYTES), job, box)
    inputs = replace(inputs, grid=sub_grid(job.grid, box))
    cores: dict[str | None, Readable | None] = {}

    def held(volume: Readable | None) -> Readable | None:
        values: Voxels | None = None if volume is None else volume.read(all_of(box))
        return None if values is None else Held(values)

    find_core = inputs.core

    def core(name: str | None) -> Readable | None:
        if name not in cores:
            cores[name] = held(find_core(name))
        return cores[name]

    return _Slab(job, box, replace(inputs, probability=held(inputs.probability), core=core), cores)
