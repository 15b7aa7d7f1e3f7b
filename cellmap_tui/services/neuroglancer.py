"""A crop in neuroglancer: the layers of a view, and the view as a link; serving the volumes is not its business."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from cellmap_tui.challenge.grid import Vec3  # noqa: TC001 - models are read by their annotations
from cellmap_tui.challenge.layout import ALL_IDS, crop_em_path, label_path, local_classes
from cellmap_tui.errors import MissingDataError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Crop
    from cellmap_tui.challenge.grid import Shape3

VIEWER = "https://neuroglancer-demo.appspot.com"
"""Where the viewer itself is loaded from; it runs in the browser and reads the volumes itself."""
MOST_LAYERS = 12
"""Label layers of a view when no class is named; each costs the browser memory."""
PREDICTED = ("predictions", "processed")
_AXES = "zyx"


@dataclass(frozen=True, slots=True)
class ViewLayer:
    """One volume of a view."""

    name: str
    """As the viewer lists it."""
    place: str
    """Its group or array: a path below the bucket, or on this disk."""
    kind: Literal["image", "segmentation"]
    """Grey values and probabilities, or ids."""
    colour: tuple[int, int, int] | None = None
    """Colour of everything in it; None: each id its own."""
    placement: tuple[Vec3, Vec3] | None = None
    """Voxel size and translation of an array that does not say them in a way the viewer knows."""


def public_layers(
    crop: Crop, classes: Sequence[str], table: ClassTable, *, is_own_bucket: bool = False
) -> tuple[ViewLayer, ...]:
    """Return the layers of a published crop, below the bucket.

    Parameters
    ----------
    crop
        The crop.
    classes
        Classes that are shown; none: all ids at once.
    table
        Knows the colours.
    is_own_bucket
        Whether the bucket is not the public one: then it is taken to have what a manifest lists.

    Raises
    ------
    RequestError
        If the crop is not published, or not annotated for a class.
    """
    if crop.source not in {"challenge", "manifest"}:
        raise RequestError(f"{crop.ref} is not in the bucket", "serve it from this disk: --neuroglancer --serve")
    if crop.source == "manifest" and not is_own_bucket and not _is_published(crop):
        raise RequestError(
            f"{crop.ref} is not one of the published crops, so the public bucket will not have it",
            "serve it from this disk: --neuroglancer --serve; or name the bucket that has it with --endpoint-url",
        )
    missing = [name for name in classes if name not in crop.classes]
    if missing:
        raise RequestError(f"{crop.ref} is not annotated for {missing[0]}", f"it has {', '.join(crop.classes[:8])} …")
    labels = [ViewLayer(name, str(label_path(crop, name)), "segmentation") for name in classes]
    if not classes and crop.split == "train":
        labels = [ViewLayer(f"{crop.name} all", str(label_path(crop, ALL_IDS)), "segmentation")]
    return (ViewLayer("em", str(crop_em_path(crop)), "image"), *labels)


def _is_published(crop: Crop) -> bool:
    from cellmap_tui.challenge.catalog import builtin_catalog

    return any((known.dataset, known.id) == (crop.dataset, crop.id) for known in builtin_catalog().crops)


def local_layers(
    crop: Crop,
    data_root: Path,
    kinds: Sequence[str],
    classes: Sequence[str],
    places: Mapping[str, str],
    table: ClassTable,
) -> tuple[ViewLayer, ...]:
    """Return the layers of a crop on this disk.

    Parameters
    ----------
    crop, data_root
        The crop.
    kinds
        ``gt``, ``predictions``, ``processed``; what is not there is left out.
    classes
        Classes that are shown; none: those predicted, or all ids at once.
    places
        Kind to the folder or template of its predictions.
    table
        Knows the colours.

    Raises
    ------
    MissingDataError
        If the EM is not on disk, or nothing of a kind that was asked for.
    """
    em = data_root / crop_em_path(crop)
    if not em.is_dir():
        raise MissingDataError(f"the EM of {crop.ref} is not on disk: {em}", "fetch the crop, or look at a local one")
    layers = [ViewLayer("em", str(em), "image")]
    predicted = [layer for kind in PREDICTED if kind in kinds for layer in _predicted(crop, kind, classes, places)]
    if "gt" in kinds:
        layers += _truth(crop, data_root, classes, table)
    return (*layers, *predicted)


def viewer_state(
    crop: Crop, layers: Sequence[ViewLayer], url_of: Callable[[ViewLayer], str], voxel: Shape3 | None = None
) -> dict[str, Any]:
    """Return the state of the viewer, looking at a voxel of the crop, or at its middle.

    Parameters
    ----------
    crop
        What is looked at.
    layers
        What is shown.
    url_of
        Where the browser finds the volume of a layer.
    voxel
        Voxel of the crop that is looked at.
    """
    grid = crop.grid
    point = voxel or tuple(n // 2 for n in grid.shape)
    at = [t + s * i for t, s, i in zip(grid.translation_nm, grid.voxel_size_nm, point, strict=True)]
    size = max(grid.extent_nm)
    return {
        "dimensions": {axis: [1e-9, "m"] for axis in reversed(_AXES)},
        "position": at[::-1],
        "crossSectionScale": size / 600,
        "projectionScale": 2 * size,
        "layers": [_layer(layer, url_of(layer)) for layer in layers],
        "selectedLayer": {"layer": layers[-1].name, "visible": True},
        "layout": "4panel",
    }


def viewer_link(state: Mapping[str, Any], viewer: str = VIEWER) -> str:
    """Return the link that opens the viewer in this state."""
    return f"{viewer.rstrip('/')}/#!{quote(json.dumps(state, separators=(',', ':')), safe='')}"


def bucket_url(bucket: str, endpoint_url: str | None) -> str:
    """Return where a browser finds the objects of a bucket.

    Raises
    ------
    RequestError
        If the endpoint is a folder, which no browser reads.
    """
    if endpoint_url and not endpoint_url.startswith(("http://", "https://")):
        raise RequestError(
            f"no browser reads {endpoint_url}: it is no web address", "serve the crop from this disk: --serve"
        )
    if not endpoint_url or "amazonaws.com" in endpoint_url:
        return f"https://{bucket}.s3.amazonaws.com"
    return f"{endpoint_url.rstrip('/')}/{bucket}"


def _layer(layer: ViewLayer, url: str) -> dict[str, Any]:
    source: Any = f"zarr://{url}"
    if layer.placement is not None:
        source = {"url": source, "transform": _transform(*layer.placement)}
    shown: dict[str, Any] = {"type": layer.kind, "source": source, "name": layer.name}
    if layer.kind == "segmentation":
        shown |= {"selectedAlpha": 0.4, "hideSegmentZero": True, "segments": []}
        if layer.colour is not None:
            shown["segmentDefaultColor"] = "#{:02x}{:02x}{:02x}".format(*layer.colour)
    elif layer.name != "em":
        shown |= {"opacity": 0.5, "blend": "additive", "shader": "#uicontrol invlerp normalized\n"
                  "void main() { emitRGB(vec3(1.0, 0.9, 0.2) * normalized()); }"}  # fmt: skip
    return shown


def _transform(voxel_size_nm: Vec3, translation_nm: Vec3) -> dict[str, Any]:
    """Place an array: the viewer counts from a voxel's corner, our translation is the centre of voxel 0."""
    shift = [t / s - 0.5 for t, s in zip(translation_nm, voxel_size_nm, strict=True)]
    return {
        "outputDimensions": {axis: [s * 1e-9, "m"] for axis, s in zip(_AXES, voxel_size_nm, strict=True)},
        "matrix": [[float(i == j) for j in range(3)] + [shift[i]] for i in range(3)],
    }


def _truth(crop: Crop, data_root: Path, classes: Sequence[str], table: ClassTable) -> list[ViewLayer]:
    present = local_classes(data_root, crop)
    names = [name for name in classes if name in present]
    if not classes:
        has_all = (data_root / label_path(crop, ALL_IDS)).is_dir()
        names = [ALL_IDS] if has_all else sorted(present)[:MOST_LAYERS]
    return [_segmentation(f"{name} truth", data_root / label_path(crop, name), name, table) for name in names]


def _predicted(crop: Crop, kind: str, classes: Sequence[str], places: Mapping[str, str]) -> list[ViewLayer]:
    from cellmap_tui.services.predicted_folder import class_folders

    found = {label or path.name: path for label, path in class_folders(places[kind], crop)}
    names = [name for name in classes if name in found] if classes else list(found)[:MOST_LAYERS]
    if not names:
        what = f"{' '.join(classes)} in {crop.ref}" if classes else crop.ref
        raise MissingDataError(
            f"{places[kind]} has no {kind} of {what}", "name another folder, or leave the kind out"
        )
    return [_array(f"{name} {kind}", found[name]) for name in names]


def _segmentation(name: str, path: Path, class_name: str, table: ClassTable) -> ViewLayer:
    from cellmap_tui.volumes.annotation import read_annotation
    from cellmap_tui.volumes.colours import class_colour
    from cellmap_tui.volumes.ngff import open_volume

    info = table.named(class_name)
    is_mask = class_name != ALL_IDS and read_annotation(open_volume(path)).is_instance is False
    colour = class_colour(class_name, info.id) if is_mask and info is not None else None
    return ViewLayer(name, str(path), "segmentation", colour)


def _array(name: str, path: Path) -> ViewLayer:
    """Return the layer of a prediction: ids as a segmentation, probabilities as an image."""
    from cellmap_tui.volumes.ngff import open_volume

    volume = open_volume(path)
    level = volume.finest
    kind: Literal["image", "segmentation"] = "image" if level.dtype.kind == "f" else "segmentation"
    if level.path != volume.path:
        return ViewLayer(name, str(path), kind)
    return ViewLayer(name, str(path), kind, None, (level.grid.voxel_size_nm, level.grid.translation_nm))
