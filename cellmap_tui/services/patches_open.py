"""From a request to batches: targets, bank, rules, loader. What `patches` and `cm.patches` share."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.datasplit import Split, read_split
from cellmap_tui.challenge.targets import read_targets, targets_of
from cellmap_tui.errors import MissingDataError, RequestError
from cellmap_tui.services.settings import load_settings

if TYPE_CHECKING:
    from cellmap_tui.challenge.grid import Shape3
    from cellmap_tui.challenge.targets import Targets
    from cellmap_tui.learning.bank import Bank
    from cellmap_tui.learning.loader import PatchLoader
    from cellmap_tui.learning.patch_plan import PatchRules
    from cellmap_tui.learning.patch_source import PatchSource
    from cellmap_tui.services.patches_model import PatchesRequest
    from cellmap_tui.services.report import Reporter

BANK_SHARE = 0.4
"""Part of a GPU's free memory that a bank may take; the rest is for the network."""


def open_bank_of(request: PatchesRequest, report: Reporter) -> Bank:
    """Return the bank that a request draws from, from the cache or built.

    Raises
    ------
    MissingDataError
        If the split has no crop of that usage, paths are gone, or nobody annotated a class.
    RefusedError
        If the disk has too little room.
    """
    from cellmap_tui.learning.bank import BankRequest, open_bank, sources_of

    split = Split(read_split(request.split).of(request.usage))
    if not split.rows:
        raise MissingDataError(
            f"{request.split} has no crop for {request.usage}", "check its first column, or choose the other usage"
        )
    labels = _own_labels(split)
    return open_bank(
        BankRequest(
            crops=sources_of(split),
            targets=_targets(request, split, labels),
            voxel_size_nm=request.voxel_size_nm,
            cache_dir=request.cache_dir or (request.state_dir or load_settings().state_dir) / "banks",
            context_voxels=request.context_voxels or context_of(request),
            use_mutual_exclusion=request.use_mutual_exclusion,
            coarse_labels=request.coarse_labels,
            labels=labels,
        ),
        report,
    )


def open_loader(request: PatchesRequest, bank: Bank) -> PatchLoader:
    """Return what feeds a loop with the patches of a bank; imports torch and numba, about 2 s."""
    import torch

    from cellmap_tui.learning.augment_values import GreyAugmentation
    from cellmap_tui.learning.buffers import BufferPool
    from cellmap_tui.learning.loader import PatchLoader
    from cellmap_tui.learning.patch_source import PatchSource

    grey = GreyAugmentation(request.values, request.seed) if request.augment else None
    source = PatchSource(bank, rules_of(request), BufferPool(request.buffer_bytes), grey)
    if request.device is not None and fits_on(request.device, source):
        source.move_to(torch.device(request.device))
    return PatchLoader(
        source,
        request.batch_size,
        request.batches,
        workers=request.workers,
        budget_bytes=request.buffer_bytes,
        device=request.device,
        epoch=request.epoch,
    )


def fits_on(device: str, source: PatchSource) -> bool:
    """Return whether the bank may be kept on a GPU: when it takes at most `BANK_SHARE` of its free memory."""
    import torch

    from cellmap_tui.learning.device_bank import DeviceBank

    if torch.device(device).type != "cuda":
        return False
    free_bytes, _ = torch.cuda.mem_get_info(torch.device(device))
    return DeviceBank.bytes_of(source.planner.sampler.crops) <= BANK_SHARE * free_bytes


def rules_of(request: PatchesRequest) -> PatchRules:
    """Return what a sample of a request is."""
    from cellmap_tui.learning.config_arrays import SpatialTransforms
    from cellmap_tui.learning.patch_plan import PatchRules
    from cellmap_tui.learning.sampler import SamplerRules

    return PatchRules(
        inputs=request.input_infos,
        target=request.target_info,
        usage=request.usage,
        sampler=SamplerRules(request.foreground_share, request.empty_share, request.balanced),
        spatial=request.spatial if request.augment else SpatialTransforms(),
        slicing_axes=request.slicing_axes,
        seed=request.seed,
    )


def context_of(request: PatchesRequest) -> Shape3:
    """Return how much EM around a crop its patches can reach, in voxels of the bank.

    Half a patch: turned about a middle that is in the crop, or around a crop that is smaller. Patches that
    may lie any way round take half of their longest edge along every axis.
    """
    arrays = (*request.input_infos, request.target_info)
    extents = [max(info.shape[axis] * info.scale_nm[axis] for info in arrays) for axis in range(3)]
    moves = request.augment and (request.spatial.rotate or request.spatial.transpose)
    if moves or 1 in request.shape:
        extents = [max(extents)] * 3
    z, y, x = (math.ceil(extent / size / 2) for extent, size in zip(extents, request.voxel_size_nm, strict=True))
    return (z, y, x)


def _own_labels(split: Split) -> tuple[str, ...]:
    """Return the classes of a split that the class table does not know: those of imported crops."""
    names = dict.fromkeys(split.classes)
    for row in split.rows:
        folder = Path(row.label_address)
        if not row.classes and not row.is_remote and folder.is_dir():
            names |= dict.fromkeys(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    table = builtin_classes()
    return tuple(name for name in names if table.named(name) is None and name != "all")


def _targets(request: PatchesRequest, split: Split, labels: tuple[str, ...]) -> Targets:
    if request.targets is not None:
        targets = read_targets(request.targets, labels=labels)
    else:
        names = request.classes or split.classes
        if not names:
            raise RequestError("no class is named, and the split names none", "for example: -c mito,er")
        targets = targets_of(names, labels=labels)
    for name in request.cores:
        if targets.get(name).kind != "instance":
            raise RequestError(f"{name!r} is no instance target, so it has no cores", "leave it out of the cores")
    with_cores = tuple(replace(one, core=one.core or one.name in request.cores) for one in targets.targets)
    return replace(targets, targets=with_cores)
