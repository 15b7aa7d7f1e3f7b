"""A slice through a recipe, for an editor: the same steps on a slab around it, in memory."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.process_class import Inputs, carry_out
from cellmap_tui.services.process_model import Preview, PreviewRequest, PreviewStep, ProcessRequest
from cellmap_tui.services.process_recipe import Recipe, parse_recipe
from cellmap_tui.services.process_volume import inputs_for

if TYPE_CHECKING:
    from cellmap_tui.services.process_class import Carried
    from cellmap_tui.services.process_steps import Step
    from cellmap_tui.services.process_volume import VolumeJob
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable
    from cellmap_tui.volumes.geometry import Box

AXES = ("z", "y", "x")
MAX_VOXELS = 24_000_000
"""A slab with more voxels is made thinner, and then cut around its middle: an editor has to answer at once."""


def preview(request: PreviewRequest) -> Preview:
    """Return a slice of a class through the steps of a recipe.

    Objects and holes are those of a slab around the slice, so ids are not those that `process` writes
    unless `Preview.is_whole`.

    Raises
    ------
    CellmapError
        If the recipe is wrong, there is no prediction, or a step cannot be done.
    """
    import numpy as np

    from cellmap_tui.volumes.blocks import Held, Workspace
    from cellmap_tui.volumes.geometry import sub_grid

    started = time.perf_counter()
    recipe = parse_recipe(request.recipe) if request.recipe.strip() else Recipe()
    job = preview_job(request, recipe)
    axis, index = AXES.index(request.axis), checked_index(request, job)
    box = slab_around(job, axis, index, request.context)
    inputs = shifted(inputs_for(job, warn=lambda _: None, memory_bytes=10**9), job, box)
    inputs = replace(inputs, grid=sub_grid(job.grid, box))
    if inputs.probability is not None:
        inputs = replace(inputs, probability=Held(inputs.probability.read(all_of(box))))
    steps: list[PreviewStep] = []

    def after(step: Step, carried: Carried) -> None:
        foreground = None
        if carried.form != "probability":
            foreground = int(np.count_nonzero(carried.volume.read(all_of(box))))
        steps.append(PreviewStep(step.words, foreground, carried.objects.count if carried.objects else None))

    carried = carry_out(job.recipe, inputs, Workspace(), after=after)
    here = index - box.start[axis]
    start, stop = [0, 0, 0], list(box.shape)
    start[axis], stop[axis] = here, here + 1
    plane = type(box)(tuple(start), tuple(stop))  # type: ignore[arg-type]
    probability = probability_of(inputs, plane)
    return Preview(
        np.squeeze(probability, axis),
        np.squeeze(carried.volume.read(plane), axis).copy(),
        tuple(steps),
        request.axis,
        index,
        job.grid.shape[axis],
        job.grid.translation_nm[axis] + index * job.grid.voxel_size_nm[axis],
        box.shape == job.grid.shape,
        round(time.perf_counter() - started, 4),
    )


def preview_job(request: PreviewRequest, recipe: Recipe) -> VolumeJob:
    """Return what the recipe of a class would be carried out on.

    Raises
    ------
    CellmapError
        If crop, class or prediction cannot be found.
    """
    from cellmap_tui.services.process_plan import prepare

    asked = ProcessRequest(
        crops=request.crop,
        classes=(request.label,),
        predictions=request.predictions,
        data_root=request.data_root,
        state_dir=request.state_dir,
        manifest=request.manifest,
        train_manifest=request.train_manifest,
        test_manifest=request.test_manifest,
    )
    prepared = prepare(asked, recipe=recipe)
    for job in (*prepared.jobs, *prepared.kept, *prepared.refused):
        if job.label == request.label:
            return job
    words = next((plan.words for plan in prepared.plan.volumes if plan.label == request.label), "")
    raise MissingDataError(f"{request.crop} has nothing to show of {request.label}: {words}", "predict it first")


def checked_index(request: PreviewRequest, job: VolumeJob) -> int:
    """Return the slice that is asked for; the middle where none is."""
    size = job.grid.shape[AXES.index(request.axis)]
    if request.index is None:
        return size // 2
    if not 0 <= request.index < size:
        raise RequestError(f"slice {request.index} of {size} along {request.axis}", f"0 to {size - 1}")
    return request.index


def slab_around(job: VolumeJob, axis: int, index: int, context: int) -> Box:
    """Return the voxels that a preview of a slice works on."""
    from cellmap_tui.volumes.geometry import Box

    start, stop = [0, 0, 0], list(job.grid.shape)
    area = job.grid.voxels // job.grid.shape[axis]
    reach = max(0, min(context, (MAX_VOXELS // area - 1) // 2))
    start[axis], stop[axis] = max(0, index - reach), min(job.grid.shape[axis], index + reach + 1)
    return Box(tuple(start), tuple(stop))  # type: ignore[arg-type]


def all_of(box: Box) -> Box:
    """Return the voxels of a box as its own volume has them."""
    return type(box)((0, 0, 0), box.shape)


def shifted(inputs: Inputs, job: VolumeJob, box: Box) -> Inputs:
    """Return inputs whose volumes are the slab."""
    from cellmap_tui.volumes.blocks import Computed

    def cut(volume: Readable) -> Readable:
        def read(part: Box) -> Voxels:
            return volume.read(part.shifted(box.start))

        return Computed(box.shape, read)

    def core(name: str | None) -> Readable | None:
        found = inputs.core(name)
        return None if found is None else cut(found)

    return replace(
        inputs,
        probability=None if inputs.probability is None else cut(inputs.probability),
        core=core,
        other=lambda name: cut(inputs.other(name)),
        labels=lambda name: cut(inputs.labels(name)),
    )


def probability_of(inputs: Inputs, plane: Box) -> Voxels:
    """Return the probabilities of a plane as uint8; 0 where the class starts from others."""
    import numpy as np

    if inputs.probability is None:
        return np.zeros(plane.shape, np.uint8)
    values = inputs.probability.read(plane)
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
