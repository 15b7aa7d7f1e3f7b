"""Where the prediction of each required volume lies, whatever its form: folders, a zip, stacks.

Finds and opens; the rules by which names are looked for are those of `evaluate`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.errors import DataError, MissingDataError, RequestError
from cellmap_tui.services.evaluate_stacks import is_case_folder, is_stack
from cellmap_tui.services.evaluate_targets import LAYOUTS, Target, find_prediction
from cellmap_tui.services.pack_stacks import StackPlace, open_stack_source, stack_places
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cellmap_tui.challenge.catalog import Catalog
    from cellmap_tui.challenge.crops import Annotation
    from cellmap_tui.scoring.sources import Source
    from cellmap_tui.services.pack_model import PackRequest
    from cellmap_tui.services.report import Reporter

DEFAULT_INPUT = "processed/{dataset}.zarr/{crop}"
"""Template below the data root that `process` writes and packing reads."""

PREDICTIONS = "predictions/{dataset}.zarr/{crop}"
"""Template below the data root that `predict` writes."""

Pair = tuple[str, str]
"""Name of a crop, such as ``crop557``, and of a class."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one prediction lies."""

    store: Path
    """Folder or zip, or the file of a stack."""
    key: str = ""
    """Place of the volume in it."""
    stack: StackPlace | None = None
    """The stack, where it is one."""

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return printable(self.stack.file if self.stack else str(self.store / self.key))


@dataclass(frozen=True, slots=True)
class Places:
    """Where predictions lie."""

    input: str
    """What was looked through."""
    found: dict[Pair, Place]
    """Place of each prediction that is there."""


def required_volumes(request: PackRequest, report: Reporter) -> list[Annotation]:
    """Return the volumes that the challenge scores, by crop and class.

    Raises
    ------
    DataError
        If the manifest is wrong or lists nothing.
    """
    catalog = open_test_catalog(request, report)
    found = [annotation for crop in catalog.crops if crop.split == "test" for annotation in crop.annotations()]
    if not found:
        raise DataError("the test manifest lists no volume", "give another with --test-manifest")
    return sorted(found, key=lambda a: (a.crop.id, a.crop.dataset, a.class_name))


def open_test_catalog(request: PackRequest, report: Reporter) -> Catalog:
    """Open the catalog with the test crops of the request."""
    from cellmap_tui.services.catalog import CatalogSource, open_catalog

    return open_catalog(CatalogSource(state_dir=request.state_dir, test_manifest=request.test_manifest), report)


def input_of(request: PackRequest) -> str:
    """Return the folder, template or file that is looked through.

    Raises
    ------
    RequestError
        If neither an input nor a data root is known.
    """
    if request.input is not None:
        return request.input
    if request.data_root is None:
        raise RequestError("where the predictions lie is not said", "give --input-search-path or --data-root")
    return below(request.data_root, DEFAULT_INPUT)


def below(data_root: Path, template: str) -> str:
    """Return a template below a folder whose own name may hold braces."""
    return f"{str(data_root).replace('{', '{{').replace('}', '}}')}/{template}"


def find_places(request: PackRequest, required: Sequence[Annotation]) -> Places:
    """Return where the prediction of each required volume lies.

    Raises
    ------
    MissingDataError
        If there is nothing at the place that was named.
    RequestError
        If it is not clear which crop or class a stack is.
    DataError
        If it is a zip that cannot be read, or a mapping that is wrong.
    """
    word = input_of(request)
    path = Path(word)
    if is_stack(word) or is_case_folder(path):
        stacks = stack_places(request, word, required)
        return Places(word, {pair: Place(stack.path, stack=stack) for pair, stack in stacks.items()})
    if "{" in word:
        return Places(word, dict(_template_places(word, required)))
    if not path.exists():
        raise MissingDataError(printable(f"{word} does not exist"), "name a folder of predictions, a zip or a stack")
    if path.is_file():
        return Places(word, _submission_places(path, required))
    found = dict(_template_places(word, required))
    if not found:
        with contextlib.suppress(DataError):  # neither layout: what was expected is told by who asked
            found = _submission_places(path, required)
    return Places(word, found)


def open_place(place: Place, annotation: Annotation) -> Source:
    """Open one prediction.

    Raises
    ------
    CellmapError
        If it cannot be read; says why.
    """
    from cellmap_tui.scoring.sources import open_source
    from cellmap_tui.scoring.stores import open_store

    if place.stack is not None:
        return open_stack_source(place.stack)
    return open_source(open_store(place.store), place.key, annotation.grid.voxel_size_nm)


def expected_words(word: str, required: Sequence[Annotation]) -> str:
    """Return where the first required volume would be found, for an error about an empty input."""
    first = required[0]
    fields = {"dataset": first.crop.dataset, "crop": first.crop.name, "label": first.class_name}
    if "{" in word:
        path = word.format_map(fields)
        return path if "{label}" in word else f"{path}/{first.class_name}"
    return f"{LAYOUTS[0].format_map(fields)}/{first.class_name} below it"


def _template_places(word: str, required: Sequence[Annotation]) -> Iterator[tuple[Pair, Place]]:
    is_only = len({annotation.crop.ref for annotation in required}) == 1
    for annotation in required:
        crop = annotation.crop
        target = Target(crop, crop.name, annotation.class_name, Path())
        path = find_prediction(word, target, is_only=is_only)
        if path is not None:
            yield (crop.name, annotation.class_name), Place(path.parent, path.name)


def _submission_places(path: Path, required: Sequence[Annotation]) -> dict[Pair, Place]:
    """Return the volumes of what is laid out as a submission; none where it holds none of the crops."""
    from cellmap_tui.scoring.submission import open_submission

    wanted = {annotation.crop.name for annotation in required}
    volumes = open_submission(path, is_guarded=False).volumes(wanted)
    due = {(annotation.crop.name, annotation.class_name) for annotation in required}
    return {key: Place(Path(v.ref.store), v.ref.key) for key, v in volumes.items() if key in due}
