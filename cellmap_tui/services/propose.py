"""`plan`: from labels, test volumes, objects and a GPU to groups of targets, a configuration each.

The rules stand beside their constants in `propose_targets` (scale), `propose_groups` (what is learned
together) and `propose_sizes` (patch, batch, network, hours); here they are put together and written.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RefusedError, RequestError
from cellmap_tui.services.class_facts import nominal_nm
from cellmap_tui.services.propose_crops import choose_crops, choose_targets, scan_objects
from cellmap_tui.services.propose_gpu import planned_gpu
from cellmap_tui.services.propose_groups import grouped
from cellmap_tui.services.propose_model import GroupProposal, LeftOutTarget, ProposeResult, SizeShare, TargetProposal
from cellmap_tui.services.propose_reasons import Decision, group_reasons
from cellmap_tui.services.propose_sizes import sizes_of
from cellmap_tui.services.propose_targets import TOLERANCE, facts_of, wants_core, wishes
from cellmap_tui.services.propose_write import config_files
from cellmap_tui.text import count, voxel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.content import LabelContent
    from cellmap_tui.challenge.grid import Grid, Vec3
    from cellmap_tui.services.propose_crops import ChosenCrops
    from cellmap_tui.services.propose_gpu import Gpu
    from cellmap_tui.services.propose_groups import Group
    from cellmap_tui.services.propose_model import ProposeRequest
    from cellmap_tui.services.propose_targets import TargetFacts, Wish
    from cellmap_tui.services.report import Reporter


def propose(request: ProposeRequest, report: Reporter) -> ProposeResult:
    """Propose groups of targets and write a configuration for each.

    Raises
    ------
    RefusedError
        If a configuration is there already.
    CellmapError
        If crops or classes are wrong, or nothing can be learned.
    """
    result, texts = drafts(request, report)
    _check_places(texts, request)
    for path, text in texts.items():
        from cellmap_tui.services.config import write_text

        write_text(path, text)
        report.artefact(path, "configuration")
    return result


def plan_propose(request: ProposeRequest, report: Reporter) -> ProposeResult:
    """Return what `propose` would propose and write; writes no configuration."""
    import dataclasses

    result, _texts = drafts(request, report)
    groups = tuple(dataclasses.replace(group, path=None) for group in result.groups)
    return dataclasses.replace(result, groups=groups, written=())


def drafts(request: ProposeRequest, report: Reporter) -> tuple[ProposeResult, dict[Path, str]]:
    """Return what is proposed and the text of each file that would be written; writes none of them."""
    catalog = _catalog(request)
    chosen = choose_crops(request, catalog)
    targets = choose_targets(request, catalog, chosen.crops)
    contents = scan_objects(request, catalog, chosen, targets, report)
    labels = catalog.vocabulary.other_classes
    every = [
        facts_of(target, chosen.crops, chosen.tests, catalog.classes, labels, contents) for target in targets.targets
    ]
    left_out = tuple(_left_out(facts, chosen, catalog, contents) for facts in every)
    usable = [facts for facts, out in zip(every, left_out, strict=True) if out is None]
    if not usable:
        first = next(out for out in left_out if out is not None)
        raise RequestError(f"nothing can be learned: {first.name} {first.reason}", "choose other classes or crops")
    gpu = planned_gpu(request.gpu_memory_gb)
    groups = grouped((wishes(facts) for facts in usable), request.max_groups)
    decisions = [_decided(at, groups, request, gpu) for at in range(len(groups))]
    folder = request.output.absolute()
    texts = {path: text for one in decisions for path, text in config_files(one, request, targets, folder).items()}
    result = ProposeResult(
        groups=tuple(_told(decision, folder) for decision in decisions),
        left_out=tuple(out for out in left_out if out is not None),
        gpu=gpu.words,
        gpu_memory_gb=gpu.memory_gb,
        crops=len(chosen.crops),
        crops_from=chosen.words,
        written=tuple(texts),
        notes=tuple(_notes(request, chosen, contents, gpu, decisions)),
    )
    return result, texts


def _catalog(request: ProposeRequest) -> Catalog:
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    return open_catalog(
        CatalogSource(
            request.data_root, request.state_dir, request.manifest, request.train_manifest, request.test_manifest
        )
    )


def _left_out(
    facts: TargetFacts, chosen: ChosenCrops, catalog: Catalog, contents: Mapping[tuple[str, str], LabelContent]
) -> LeftOutTarget | None:
    name = facts.target.name
    if not facts.crops:
        info = catalog.classes.named(name)
        why = f" ({info.not_scored_reason})" if info is not None and info.not_scored_reason else ""
        return LeftOutTarget(name, f"is annotated in none of {_crops(len(chosen.crops))} that were searched{why}")
    looked = [
        content for (ref, label), content in contents.items() if ref in facts.crops and label in facts.target.classes
    ]
    if len(looked) == len(facts.crops) and not any(content.is_present for content in looked):
        some = ", ".join(sorted(facts.crops)[:3]) + (" …" if len(facts.crops) > 3 else "")
        return LeftOutTarget(name, f"is annotated in {_crops(len(looked))} ({some}) and absent there")
    return None


def _crops(number: int) -> str:
    return f"{count(number)} crop{'' if number == 1 else 's'}"


def _decided(at: int, groups: Sequence[Group], request: ProposeRequest, gpu: Gpu) -> Decision:
    group = groups[at]
    known: dict[str, Grid] = {}
    for wish in group.wishes:
        known |= wish.facts.crops
    fine = {ref: grid for ref, grid in known.items() if nominal_nm(grid.voxel_size_nm) <= group.scale_nm * TOLERANCE}
    used = fine or known
    cores = tuple(w.facts.target.name for w in group.wishes if wants_core(w.facts) or w.facts.target.core)
    channels = len(group.wishes) + len(cores)
    sizes = sizes_of(used, group.scale_nm, channels, gpu, request.dimensions, request.hours)
    return Decision(_name(sizes.scale_nm, at, groups), group, sizes, gpu, known, used, cores)


def _told(decision: Decision, folder: Path) -> GroupProposal:
    sizes = decision.sizes
    low, high = sizes.hours_range
    return GroupProposal(
        name=decision.name,
        path=folder / f"train_{decision.name}.toml",
        targets=tuple(_target(wish, decision) for wish in decision.group.wishes),
        scale_nm=sizes.scale_nm,
        patch=sizes.patch,
        batch_size=sizes.batch_size,
        network=sizes.network.name,
        crops=len(decision.used),
        crops_too_coarse=len(decision.known) - len(decision.used),
        labelled_voxels=sizes.labelled_voxels,
        epochs=sizes.epochs,
        iterations_per_epoch=sizes.iterations,
        memory_gb=round(sizes.memory_gb, 1),
        hours=round(sizes.hours, 3),
        hours_range=(round(low, 3), round(high, 3)),
        reasons=group_reasons(decision),
    )


def _name(scale_nm: Vec3, at: int, groups: Sequence[Group]) -> str:
    size = voxel(scale_nm).replace("×", "x")
    twice = sum(group.scale_nm == groups[at].scale_nm for group in groups) > 1
    return f"{size}nm_{at + 1}" if twice else f"{size}nm"


def _target(wish: Wish, decision: Decision) -> TargetProposal:
    facts, objects = wish.facts, wish.facts.objects
    return TargetProposal(
        name=facts.target.name,
        crops=len(facts.crops),
        voxel_sizes=_shares(facts.sizes_nm),
        scored=_shares(Counter(facts.scored_nm)),
        object_nm=None if objects is None else round(objects.diameter_nm, 1),
        objects=None if objects is None else objects.count,
        touching_share=None if objects is None or objects.touching is None else round(objects.touching, 4),
        core=facts.target.name in decision.cores,
        reason=wish.reason,
    )


def _shares(sizes: Counter[int]) -> tuple[SizeShare, ...]:
    return tuple(SizeShare(size, crops) for size, crops in sorted(sizes.items()))


def _notes(
    request: ProposeRequest, chosen: ChosenCrops, contents: Mapping[Any, Any], gpu: Gpu, decisions: Sequence[Decision]
) -> list[str]:
    notes = []
    if gpu.is_assumed:
        notes.append(f"no GPU of NVIDIA is seen here: {gpu.memory_gb:.0f} GB are assumed; say --gpu-memory")
    for decision in decisions:
        if not decision.sizes.fits:
            least = f"even the smallest patch takes about {decision.sizes.memory_gb:.1f} GB"
            notes.append(f"{decision.name}: {least}, more than the {gpu.memory_gb:g} GB of the GPU")
    if not contents and request.scan:
        notes.append("no labels on disk to look through: sizes of objects are assumed, touching objects not known")
    if not chosen.tests:
        notes.append("no test volumes belong to these crops: scales follow labels and objects alone")
    return notes


def _check_places(texts: Mapping[Path, str], request: ProposeRequest) -> None:
    there = [path for path in texts if path.exists()]
    if there and not request.overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise RefusedError(f"{there[0]}{more} is there already", "add --overwrite, or another folder with --output")
