"""A mapping in words: its volumes, and the ids that belong to no target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.text import count, printable, size, triple, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.map_labels_model import MapLabelsPlan, MapLabelsResult, MappedVolume, UnmappedId

_SHOWN_IDS = 6
_SHOWN_VOLUMES = 40


def unmapped_warnings(rows: tuple[UnmappedId, ...]) -> list[str]:
    """Return a line about ids that no target has, and one about ids that nobody knows."""
    strange = [row for row in rows if row.name is None]
    known = [row for row in rows if row.name is not None]
    lines = []
    if strange:
        lines.append(f"{_many(strange)} without a meaning, unknown in every target: {_listed(strange)}")
    if known:
        lines.append(f"{_many(known)} in no target: {_listed(known)}")
    return lines


def plan_lines(plan: MapLabelsPlan) -> list[str]:
    """Return what a mapping would do."""
    return [
        *_volume_lines(plan.volumes),
        f"{_totals(plan.volumes)}; {count(plan.voxels)} voxels to look through",
        f"at most {size(plan.needed_bytes)} of {size(plan.free_bytes)} free"
        + (f"; {size(plan.memory_bytes)} of memory" if plan.memory_bytes else ""),
        *(f"! {printable(line)}" for line in plan.warnings),
    ]


def result_lines(result: MapLabelsResult) -> list[str]:
    """Return what a mapping did."""
    end = "nothing was written (--dry-run)" if result.dry_run else f"{size(result.size_bytes)} on disk"
    where = printable(result.output)
    return [*_volume_lines(result.volumes), f"{_totals(result.volumes)}; {end}", f"{where}/<target>"]


def _volume_lines(volumes: tuple[MappedVolume, ...]) -> list[str]:
    shown = [volume for volume in volumes if volume.state != "unannotated"]
    lines = [_volume_line(volume) for volume in shown[:_SHOWN_VOLUMES]]
    if len(shown) > _SHOWN_VOLUMES:
        lines.append(f"and {count(len(shown) - _SHOWN_VOLUMES)} more volumes: --json has them all")
    return lines


def _volume_line(volume: MappedVolume) -> str:
    name = f"{volume.state:8} {volume.crop}/{volume.target}"
    if volume.reason:
        return printable(f"{name}: {volume.reason}")
    parts = [volume.kind, f"{triple(volume.shape)} at {voxel(volume.voxel_size_nm)} nm", f"from {volume.source}"]
    if volume.present_voxels is not None:
        parts.append(f"{_share(volume.present_voxels, volume)} %")
    if volume.objects is not None:
        parts.append(f"{count(volume.objects)} {'object' if volume.objects == 1 else 'objects'}, {volume.dtype}")
    if volume.unknown_voxels:
        parts.append(f"{_share(volume.unknown_voxels, volume)} % unknown")
    return printable(f"{name}: {', '.join(parts)}")


def _share(voxels: int, volume: MappedVolume) -> str:
    depth, height, width = volume.shape
    return f"{100 * voxels / (depth * height * width):.3g}"


def _totals(volumes: tuple[MappedVolume, ...]) -> str:
    words = {
        "planned": "to write",
        "written": "written",
        "kept": "kept",
        "unannotated": "not annotated in their crop",
        "missing": "missing",
        "failed": "failed",
    }
    numbers = {state: sum(volume.state == state for volume in volumes) for state in words}
    found = [f"{count(number)} {words[state]}" for state, number in numbers.items() if number]
    return f"{count(len(volumes))} {'volume' if len(volumes) == 1 else 'volumes'}: {', '.join(found)}"


def _many(rows: list[UnmappedId]) -> str:
    crops = len({crop for row in rows for crop in row.crops})
    ids = "1 id" if len(rows) == 1 else f"{count(len(rows))} ids"
    return f"{ids} in {'1 volume' if crops == 1 else f'{count(crops)} volumes'}"


def _listed(rows: list[UnmappedId]) -> str:
    shown = ", ".join(_id(row) for row in rows[:_SHOWN_IDS])
    return shown if len(rows) <= _SHOWN_IDS else f"{shown} and {count(len(rows) - _SHOWN_IDS)} more"


def _id(row: UnmappedId) -> str:
    name = f"{row.name} ({row.id})" if row.name is not None else str(row.id)
    if row.voxels is None:
        return name
    return f"{name} {count(row.voxels)} {'voxel' if row.voxels == 1 else 'voxels'}"
