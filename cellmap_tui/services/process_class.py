"""The steps of a recipe carried out on one class of one crop, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cellmap_tui.challenge.grid import Grid
    from cellmap_tui.services.process_recipe import ClassRecipe
    from cellmap_tui.services.process_steps import Form, Step
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.blocks import Readable, Workspace
    from cellmap_tui.volumes.geometry import Box
    from cellmap_tui.volumes.object_labels import Objects
    from cellmap_tui.volumes.voxel_steps import VoxelStep

SPLIT_BYTES_PER_VOXEL = 60
"""What a watershed takes for a voxel of an object's box."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a recipe reads."""

    grid: Grid
    """Where the voxels lie."""
    probability: Readable | None
    """Probabilities of the class; None where the recipe starts from other classes."""
    core: Callable[[str | None], Readable | None]
    """Returns probabilities of the class's core, by the name of a prediction or as usual; None: not predicted."""
    other: Callable[[str], Readable]
    """Returns probabilities of another prediction."""
    labels: Callable[[str], Readable]
    """Returns the labels of another class."""
    members: tuple[str, ...] = ()
    """Classes that the class is made of, where it is a group."""
    memory_bytes: int = 1_200_000_000
    """Memory for voxels."""
    warn: Callable[[str], None] = lambda _: None
    """Told what may need attention."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What there is after a step."""

    form: Form
    """What it is."""
    volume: Readable
    """Its voxels."""
    objects: Objects | None = None
    """Its objects, where they are told apart."""
    is_cheap: bool = True
    """Whether reading a voxel takes no more than decoding it."""


def carry_out(
    recipe: ClassRecipe,
    inputs: Inputs,
    work: Workspace,
    *,
    after: Callable[[Step, Carried], None] = lambda _step, _carried: None,
    start: Carried | None = None,
) -> Carried:
    """Carry out the steps of a recipe.

    Parameters
    ----------
    recipe
        The steps of the class.
    inputs
        What they read.
    work
        Where volumes in between are kept.
    after
        Told what there is after each step.
    start
        Where to go on; None: from the probabilities.

    Returns
    -------
    Carried
        A mask or objects, worked out where they are read.

    Raises
    ------
    MissingDataError
        If a prediction that a step needs is not there.
    DataError
        If one is of other voxels than the class, or no prediction at all.
    """
    from cellmap_tui.volumes.blocks import Computed

    nothing = Computed(inputs.grid.shape, _unused)
    state = start or Carried("probability", inputs.probability or nothing)
    for number, step in enumerate(recipe.steps, start=1):
        if inputs.probability is None and state.form == "probability" and step.name != "union":
            raise DataError(f"{step.name}: there is no prediction to start from", "predict the class, or use union")
        state = _STEPS[step.name](step, state, inputs, work, f"{number}-{step.name}")
        after(step, state)
    return state


def passes(recipe: ClassRecipe) -> int:
    """Return how often the voxels of a volume are gone over, for progress and time."""
    return 1 + sum(_PASSES.get(step.name, 0) for step in recipe.steps)


def _unused(box: Box) -> Voxels:
    raise AssertionError("a class without a prediction is not read")


def _sigmoid(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    # What is stored has become probabilities by then: see `process_sources`.
    return state


def _smooth(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.voxel_steps import Smooth

    z, y, x = (step["sigma_nm"] / size for size in inputs.grid.voxel_size_nm)
    return _stepped(state, Smooth((z, y, x))) if step["sigma_nm"] > 0 else state


def _threshold(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.voxel_steps import Threshold

    done = _stepped(state, Threshold(step["above"]))
    return replace(done, form="mask", is_cheap=state.is_cheap)


def _reshape(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.voxel_steps import Reshape

    what: Literal["open", "close"] = "open" if step.name == "open" else "close"
    return _stepped(state, Reshape(what, float(step["radius_nm"]), inputs.grid.voxel_size_nm))


def _fill_holes(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_labels import without_holes

    mask = _settled(state, work, name)
    return Carried("mask", without_holes(mask, work, name, step["max_voxels"]))


def _remove_small(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_labels import find_objects, sized

    least, most = _range_voxels(step, inputs.grid)
    if state.objects is not None:
        kept = sized(state.objects, least, most)
        return Carried("objects", kept, kept)
    kept = sized(find_objects(_settled(state, work, name), work, name), least, most)
    return Carried("mask", kept)


def _components(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_labels import find_objects

    mask = _settled(state, work, name)
    connectivity: Literal[6, 26] = 6 if step["connectivity"] == 6 else 26
    objects = find_objects(mask, work, name, connectivity=connectivity)
    return Carried("objects", objects, objects)


def _cores(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_grow import grown_from_cores
    from cellmap_tui.volumes.object_labels import find_objects
    from cellmap_tui.volumes.voxel_steps import Threshold, stepped

    core = inputs.core(step["core"])
    mask = _settled(state, work, name)
    if core is None:
        objects = find_objects(mask, work, name)
    else:
        inside = stepped(core, [Threshold(step["above"])])
        size = inputs.grid.voxel_size_nm
        objects = grown_from_cores(inside, mask, work, name, size, step["min_seed_voxels"])
    return Carried("objects", objects, objects)


def _watershed(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_labels import find_objects
    from cellmap_tui.volumes.object_split import Split, split_objects

    how = Split(step["by"], inputs.grid.voxel_size_nm, step["apart_nm"], step["below"], step["min_seed_voxels"])
    boundary = _boundary(step, inputs) if how.by == "boundary" else None
    found = find_objects(_settled(state, work, name), work, name)
    objects = split_objects(
        found,
        how,
        work,
        name,
        boundary=boundary,
        limit_voxels=inputs.memory_bytes // SPLIT_BYTES_PER_VOXEL,
        warn=inputs.warn,
    )
    return Carried("objects", objects, objects)


def _boundary(step: Step, inputs: Inputs) -> Readable:
    """Return the map that is flooded: a prediction of its own, or what the class is not."""
    from cellmap_tui.volumes.blocks import Computed

    if step["boundary"] is not None:
        return inputs.other(step["boundary"])
    own = inputs.probability
    if own is None:
        raise DataError("watershed: there is no prediction whose boundaries could be flooded", "name one")
    return Computed(own.shape, lambda box: 1 - own.read(box))


def _exclude(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.object_labels import ordered
    from cellmap_tui.volumes.voxel_steps import Beaten, Without, stepped

    if step["by"] == "labels":
        taken: VoxelStep = Without(tuple(inputs.labels(other) for other in step.classes))
    elif inputs.probability is None:
        raise DataError("exclude by probability: the class has no prediction of its own", "exclude by labels")
    else:
        taken = Beaten(inputs.probability, tuple(inputs.other(other) for other in step.classes))
    rest = stepped(state.volume, [taken])
    if state.objects is None:
        return Carried("mask", rest, is_cheap=False)
    objects = ordered(rest, state.objects.count, work)
    return Carried("objects", objects, objects)


def _union(step: Step, state: Carried, inputs: Inputs, work: Workspace, name: str) -> Carried:
    from cellmap_tui.volumes.voxel_steps import joined

    names = step.classes or inputs.members
    if not names:
        raise DataError(
            "union: it is not said of which classes", 'add for example classes = ["mito_mem", "mito_lum"]'
        )
    return Carried("mask", joined([inputs.labels(other) for other in names]), is_cheap=False)


def _range_voxels(step: Step, grid: Grid) -> tuple[int, int | None]:
    import math

    voxel_nm3 = math.prod(grid.voxel_size_nm)
    least = [step["min_voxels"], None if step["min_nm3"] is None else math.ceil(step["min_nm3"] / voxel_nm3)]
    most = [step["max_voxels"], None if step["max_nm3"] is None else math.floor(step["max_nm3"] / voxel_nm3)]
    return max((v for v in least if v is not None), default=0), min((v for v in most if v is not None), default=None)


def _stepped(state: Carried, step: VoxelStep) -> Carried:
    from cellmap_tui.volumes.voxel_steps import stepped

    is_cheap = state.is_cheap and step.reach == (0, 0, 0)
    return replace(state, volume=stepped(state.volume, [step]), is_cheap=is_cheap)


def _settled(state: Carried, work: Workspace, name: str) -> Readable:
    """Return a mask that is read several times: worked out once, unless that is cheap."""
    from cellmap_tui.volumes.blocks import settled

    return state.volume if state.is_cheap else settled(state.volume, work, f"{name}-mask")


_STEPS = {
    "sigmoid": _sigmoid,
    "smooth": _smooth,
    "threshold": _threshold,
    "open": _reshape,
    "close": _reshape,
    "fill_holes": _fill_holes,
    "remove_small": _remove_small,
    "components": _components,
    "cores": _cores,
    "watershed": _watershed,
    "exclude": _exclude,
    "union": _union,
}
_PASSES = {"smooth": 1, "open": 1, "close": 1, "fill_holes": 1, "remove_small": 1, "components": 1, "cores": 3,
           "watershed": 3, "exclude": 1}  # fmt: skip
"""How often each step goes over the voxels."""
