"""`process` with the ``process_func`` of a Python configuration, as the official toolbox has it.

The function gets probabilities ``[1, 1, z, y, x]``, as a tensor, and returns as many voxels. It is
foreign code: what it raises is shown with the class it was given, and nothing of it is written.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cellmap_tui.errors import CellmapError, DataError, RefusedError, Stopped
from cellmap_tui.services.process_model import ProcessedVolume
from cellmap_tui.services.process_plan import prepare
from cellmap_tui.services.process_recipe import ClassRecipe, Recipe
from cellmap_tui.services.process_steps import Step
from cellmap_tui.services.process_volume import FORMAT, attributes_of, inputs_for, told_of, work_folder
from cellmap_tui.text import printable, size, triple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cellmap_tui.services.process_model import ProcessRequest, ProcessResult
    from cellmap_tui.services.process_plan import Prepared
    from cellmap_tui.services.process_volume import VolumeJob
    from cellmap_tui.services.report import Reporter
    from cellmap_tui.volumes.arrays import Voxels
    from cellmap_tui.volumes.geometry import Box

Function = Any
"""A callable of a user's own."""
TRUST_TIMEOUT_S = 120.0
BYTES_PER_VOXEL = 16
"""Probabilities, what the function makes of them, and a copy."""


class FunctionLeftError(DataError):
    """A function that would have ended the program; unlike one that raises it is not called for other volumes."""


def process_by_function(request: ProcessRequest, report: Reporter) -> ProcessResult:
    """Process every class by a configuration's function; parameters and errors as `process`."""
    from cellmap_tui.services.process import check_refused, result_of

    started = time.perf_counter()
    function, digest = _function(request)
    # The function stands in a recipe as a threshold whose key is its own, so that planning is the same.
    recipe = ClassRecipe((Step("threshold", {}),), source=None)
    prepared = prepare(request, report, Recipe(instance=recipe, semantic=recipe))
    prepared = _keyed(prepared, f"{FORMAT} {digest} {request.whole}", overwrite=request.overwrite)
    check_refused(prepared)
    warnings: list[str] = []
    volumes = [told_of(job) for job in prepared.kept]
    total, done = sum(job.grid.voxels for job in prepared.jobs), 0
    for job in prepared.jobs:
        report.checkpoint()
        try:
            volumes.append(_one(job, function, request, prepared, report))
        except (RefusedError, Stopped, FunctionLeftError):
            raise
        except CellmapError as error:
            warnings.append(f"{job.name}: {error.message}")
            report.warning(f"{job.name}: {error}")
            volumes.append(
                ProcessedVolume(
                    job.crop.ref, job.label, None, "semantic", "", None, None, job.grid.voxels, problem=error.message
                )
            )
        done += job.grid.voxels
        report.progress(done, total, "voxels")
    return result_of(request, prepared, volumes, warnings, started)


def call(function: Function, values: Voxels, device: str, where: str) -> Voxels:
    """Return what a function makes of probabilities.

    Parameters
    ----------
    function
        The user's own.
    values
        Probabilities ``[z, y, x]``, float32.
    device
        Where its tensor is.
    where
        What the values are of, for errors.

    Returns
    -------
    Voxels
        Values of the same shape: bool, whole numbers from 0, or floats.

    Raises
    ------
    FunctionLeftError
        If it calls ``sys.exit`` or ``os._exit``.
    DataError
        If it raises, or returns anything else.
    """
    import numpy as np
    import torch  # about 2 s; the official toolbox's functions expect tensors

    # Any exception that foreign code may raise is shown, not passed on.
    try:
        with _without_exit():
            answer = function(torch.from_numpy(np.ascontiguousarray(values))[None, None].to(device))
    except SystemExit as left:
        told = left.code if isinstance(left, _Left) else f"sys.exit({'' if left.code is None else repr(left.code)})"
        raise FunctionLeftError(
            f"process_func called {told} on {where}{_line_of(left)}", "take the call out; raise an error instead"
        ) from None
    except Exception as error:  # noqa: BLE001 - foreign code
        words = printable(str(error)).strip()[:300]
        raise DataError(
            f"process_func raised {type(error).__name__}: {words} on {where}{_line_of(error)}", "correct the function"
        ) from None
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().numpy()
    result = np.asarray(answer)
    while result.ndim > values.ndim and result.shape[0] == 1:
        result = result[0]
    if result.shape != values.shape:
        raise DataError(
            f"process_func returned {triple(result.shape) or type(answer).__name__} voxels for "
            f"{triple(values.shape)} of {where}",
            "it has to keep the shape",
        )
    if result.dtype.kind not in "buif" or (result.dtype.kind == "i" and result.min(initial=0) < 0):
        raise DataError(f"process_func returned {result.dtype} values that are no labels", "return numbers from 0")
    return result


def narrowed(values: Voxels) -> Voxels:
    """Return values in the narrowest type: bool as uint8, whole numbers by the largest; floats as they are."""
    import numpy as np

    if values.dtype.kind == "f":
        return values.astype(np.float32) if values.dtype.itemsize > 4 else values
    return values.astype(np.min_scalar_type(max(1, int(values.max(initial=0)))))


def _function(request: ProcessRequest) -> tuple[Function, str]:
    """Return the function and the hash of its file, after making sure that it may run."""
    from cellmap_tui.learning.config_python import load_python_namespace
    from cellmap_tui.services.settings import load_settings
    from cellmap_tui.services.trust import trusted_runner

    path = request.recipe
    assert path is not None  # the caller looked
    state_dir = request.state_dir or load_settings().state_dir
    run = trusted_runner(state_dir, trust=request.trust, timeout_s=TRUST_TIMEOUT_S)
    digest = run(path).sha256
    with _without_exit():
        function = load_python_namespace(path, expected_sha256=digest).get("process_func")
    if not callable(function):
        raise DataError(f"{path} has no function process_func", "define process_func(x), or give a recipe as TOML")
    return function, digest


class _Left(SystemExit):
    """``os._exit`` was called; passes by whatever catches errors."""


@contextlib.contextmanager
def _without_exit() -> Iterator[None]:
    """Let ``os._exit`` raise in this process: it would end the job without a word. Children of it may end."""
    leave, own = os._exit, os.getpid()

    def told(status: int) -> NoReturn:
        if os.getpid() != own:
            leave(status)
        raise _Left(f"os._exit({status})")

    os._exit = told
    try:
        yield
    finally:
        os._exit = leave


def _keyed(prepared: Prepared, told: str, *, overwrite: bool) -> Prepared:
    """Return the same with keys of the function, and what is there sorted by them."""
    import hashlib

    from cellmap_tui.services.process_volume import key_of

    jobs, kept, refused = [], [], []
    for job in (*prepared.jobs, *prepared.kept, *prepared.refused):
        keyed = replace(job, key=hashlib.sha256(f"{told} {job.key}".encode()).hexdigest()[:32])
        if job.output.exists() and key_of(job.output) == keyed.key:
            kept.append(keyed)
        elif job.output.exists() and not overwrite:
            refused.append(keyed)
        else:
            jobs.append(keyed)
    return replace(prepared, jobs=tuple(jobs), kept=tuple(kept), refused=tuple(refused))


def _one(
    job: VolumeJob, function: Function, request: ProcessRequest, prepared: Prepared, report: Reporter
) -> ProcessedVolume:
    import numpy as np

    from cellmap_tui.volumes.geometry import whole
    from cellmap_tui.volumes.write import write_multiscale

    started = time.perf_counter()
    inputs = inputs_for(job, warn=report.warning, memory_bytes=prepared.plan.memory_bytes)
    assert inputs.probability is not None  # every class of a function starts from its prediction
    read, device = inputs.probability.read, request.device or "cpu"
    with work_folder(job):
        if request.whole:
            _check_room(job, prepared.plan.memory_bytes)
            values = call(function, read(whole(job.grid)), device, job.name)
        else:
            values = _by_blocks(job, function, read, device, prepared.plan.block, report)
        values = narrowed(values)
        is_mask = values.dtype.kind == "f" or int(values.max(initial=0)) <= 1
        ids = None if is_mask else int(values.max())
        told = attributes_of(job, ids)
        told["cellmap_tui"]["process"]["recipe"] = f"process_func of {Path(str(request.recipe)).name}"
        kind: Literal["em", "label"] = "em" if values.dtype.kind == "f" else "label"
        write_multiscale(job.output, values, job.grid, kind=kind, attributes=told, overwrite=request.overwrite)
    _remove(job)
    report.artefact(job.output, "labels")
    return ProcessedVolume(
        job.crop.ref,
        job.label,
        job.output,
        "semantic" if is_mask else "instance",
        values.dtype.name,
        ids,
        int(np.count_nonzero(values)),
        job.grid.voxels,
        elapsed_s=round(time.perf_counter() - started, 3),
    )


def _check_room(job: VolumeJob, memory_bytes: int) -> None:
    needed = job.grid.voxels * BYTES_PER_VOXEL
    if needed > memory_bytes:
        raise RefusedError(
            f"{job.name} has {triple(job.grid.shape)} voxels: as a whole it takes about {size(needed)}, and "
            f"{size(memory_bytes)} are allowed",
            "--memory allows more, --blocks gives the function blocks, which breaks objects at their borders",
        )


def _by_blocks(
    job: VolumeJob, function: Function, read: Callable[[Box], Voxels], device: str, block: int, report: Reporter
) -> Voxels:
    import numpy as np

    from cellmap_tui.volumes.blocks import Workspace

    values: Voxels | None = None
    blocks = Workspace(job.work_folder, block).blocks(job.grid.shape)
    for box in blocks:
        report.checkpoint()
        part = call(function, read(box), device, f"{job.name}, voxels {triple(box.start)} on")
        if values is None:
            values = np.zeros(job.grid.shape, part.dtype)
        elif (values.dtype.kind == "f") != (part.dtype.kind == "f"):
            raise DataError(f"process_func returned {values.dtype} for one block and {part.dtype} for another")
        if part.dtype != values.dtype:
            values = values.astype(np.promote_types(values.dtype, part.dtype))
        values[box.slices] = part
    assert values is not None  # a volume has at least one block
    return values


def _remove(job: VolumeJob) -> None:
    import shutil

    shutil.rmtree(job.work_folder, ignore_errors=True)


def _line_of(error: BaseException) -> str:
    """Return the place in the user's file that raised."""
    from cellmap_tui.learning.config_runner import MODULE

    step, line = error.__traceback__, None
    while step is not None:
        if step.tb_frame.f_globals.get("__name__") == MODULE:
            line = step.tb_lineno
        step = step.tb_next
    return "" if line is None else f" (line {line} of the configuration)"
