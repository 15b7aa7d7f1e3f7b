"""The catalog: every crop that is known here, from the built-in or refreshed tables and beside the data."""

from __future__ import annotations

from collections import Counter
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.challenge.classes import builtin_classes
from cellmap_tui.challenge.crop_table import parse_crop_table
from cellmap_tui.errors import CellmapError, DataError, RequestError, UnknownNameError
from cellmap_tui.text import cut_middle, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cellmap_tui.challenge.classes import ClassTable
    from cellmap_tui.challenge.crops import Annotation, Crop, Split
    from cellmap_tui.challenge.grid import Vec3
    from cellmap_tui.challenge.manifests import Manifests
    from cellmap_tui.challenge.matching import Query
    from cellmap_tui.challenge.vocabulary import Vocabulary

_TABLE = Path(__file__).parent / "tables" / "crops.tsv"


class Catalog:
    """Classes and crops, and questions about them.

    Parameters
    ----------
    classes
        The class table.
    crops
        The crops; each ``dataset/crop`` once.
    data_root
        Where `local` and `excluded` in a filter are looked up; None: nothing is either.
    notes
        What the user should know about how the catalog came about.
    """

    def __init__(
        self,
        classes: ClassTable,
        crops: Iterable[Crop],
        *,
        data_root: Path | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.classes = classes
        self.crops = tuple(sorted(crops, key=lambda crop: (crop.dataset, crop.id)))
        self.data_root = data_root
        self.notes = notes

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets, sorted."""
        return tuple(dict.fromkeys(crop.dataset for crop in self.crops))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names that a filter may use."""
        from cellmap_tui.challenge.vocabulary import Vocabulary

        used = frozenset().union(*{crop.classes for crop in self.crops})
        others = frozenset(name for name in used if name not in self.classes)
        return Vocabulary(self.classes, self.datasets, self.crops, others)

    def find(self, ref: str | int) -> Crop:
        """Return the crop called ``234``, ``crop234``, ``dataset/234`` or ``dataset/crop234``.

        Raises
        ------
        UnknownNameError
            If there is none; the remedy names the nearest.
        RequestError
            If a bare number exists in several datasets, or `ref` is no crop's name at all.
        """
        dataset, _, name = str(ref).strip().rpartition("/")
        digits = name.lower().removeprefix("crop")
        shown = cut_middle(printable(str(ref)), 60)
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise RequestError(f"'{shown}' is no crop", "name one as 234, crop234 or dataset/crop234")
        found = [
            crop
            for crop in self.crops
            if crop.id == int(digits) and (not dataset or crop.dataset.lower() == dataset.lower())
        ]
        if not found:
            from cellmap_tui.challenge.vocabulary import missing_crop

            problem, remedy = missing_crop(dataset, int(digits), self.crops)
            raise UnknownNameError(f"'{shown}' {problem}", remedy)
        if len(found) > 1:
            raise _ambiguous(found)
        return found[0]

    def query(self, text: str, *, partial: bool = False) -> Query:
        """Parse a filter over this catalog's names; see `parse_query`."""
        from cellmap_tui.challenge.query import parse_query  # a fifth of what `crops` without a filter takes

        return parse_query(text, self.vocabulary, partial=partial)

    def select(self, expression: str) -> tuple[Crop, ...]:
        """Return the crops that ``--crops`` names.

        Parameters
        ----------
        expression
            ``all`` (every training crop), ``test``, ids and ranges, ``dataset/crop``, or a filter.

        Raises
        ------
        RequestError
            If a word means nothing, a number names crops of several datasets, or nothing is selected.
        """
        if not expression.strip():
            raise RequestError("no crops are named", "use all, test, ids such as 234,236,240-250, or a filter")
        query = self.query(expression)
        selected = tuple(self.matching(query))
        if not selected:
            raise RequestError(f"no crop matches '{cut_middle(printable(expression), 60)}'", "widen the filter")
        self._check_numbers(query, selected)
        return selected

    def matching(self, query: Query) -> list[Crop]:
        """Return the crops that meet a filter, with what is local and excluded looked up below the data root."""
        excluded: frozenset[str] = frozenset()
        if query.asks_excluded and self.data_root is not None:
            from cellmap_tui.challenge.exclusions import read_exclusions

            excluded = frozenset(read_exclusions(self.data_root))
        crops = self.crops
        return [crops[i] for i in query.filter_crops(crops, self.is_local, lambda crop: crop.ref in excluded)]

    def is_local(self, crop: Crop) -> bool:
        """Return whether any data of a crop exist below the data root; asks the disk each time."""
        if self.data_root is None:
            return False
        from cellmap_tui.challenge.layout import is_local

        return is_local(self.data_root, crop)

    def annotations(self) -> tuple[Annotation, ...]:
        """Return every class of every crop, in catalog order."""
        return self._annotations

    @cached_property
    def _annotations(self) -> tuple[Annotation, ...]:
        return tuple(annotation for crop in self.crops for annotation in crop.annotations())

    def of_class(self, name: str | int, split: Split | None = None) -> tuple[Crop, ...]:
        """Return the crops in which a class itself is annotated (test: scored)."""
        class_name = self.class_name(name)
        return tuple(c for c in self.crops if class_name in c.classes and split in {None, c.split})

    def counts(self, split: Split | None = "train") -> dict[str, dict[str, int]]:
        """Return how many crops carry each class, by class and dataset; zeros are left out."""
        counted: dict[str, Counter[str]] = {}
        for crop in self.crops:
            if split in {None, crop.split}:
                for name in crop.classes:
                    counted.setdefault(name, Counter())[crop.dataset] += 1
        return {name: dict(counted[name]) for name in sorted(counted, key=self.classes.order)}

    def voxel_sizes(self, name: str | int, split: Split | None = "train") -> dict[Vec3, int]:
        """Return how many crops annotate a class at each voxel size (nm), the finest first."""
        class_name = self.class_name(name)
        sizes = Counter(crop.grid_of(class_name).voxel_size_nm for crop in self.of_class(class_name, split))
        return dict(sorted(sizes.items()))

    def class_name(self, name: str | int) -> str:
        """Return the one name of a class that is named or numbered; raises as `ClassTable.get`."""
        return str(name) if name in self.vocabulary.other_classes else self.classes.get(name).name

    def _check_numbers(self, query: Query, selected: tuple[Crop, ...]) -> None:
        """Refuse a number that stands for crops of several datasets."""
        ranges = [
            term.numbers for word in query.words if not word.negated for term in word.terms if term.key == "crop"
        ]
        by_id: dict[int, list[Crop]] = {}
        for crop in selected:
            by_id.setdefault(crop.id, []).append(crop)
        for crop_id, crops in by_id.items():
            if len(crops) > 1 and any(numbers and numbers[0] <= crop_id <= numbers[1] for numbers in ranges):
                raise _ambiguous(crops)


def _ambiguous(crops: list[Crop]) -> RequestError:
    refs = " or ".join(crop.ref for crop in crops)
    return RequestError(f"crop {crops[0].id} exists in {len(crops)} datasets", f"say {refs}")


@cache
def builtin_catalog() -> Catalog:
    """Return the catalog as published with the challenge."""
    text = _TABLE.read_text(encoding="utf-8")
    return Catalog(builtin_classes(), parse_crop_table(text, name="built-in crop table"))


def refreshed_table(state_dir: Path) -> Path:
    """Return where a refreshed crop table is kept."""
    return state_dir / "catalog" / "crops.tsv"


def load_catalog(
    *, data_root: Path | None = None, state_dir: Path | None = None, manifests: Manifests | None = None
) -> Catalog:
    """Gather the crops of the challenge and those that were made or imported here.

    Parameters
    ----------
    data_root
        Data root whose local catalog is joined in; may not exist.
    state_dir
        Where a refreshed table is looked for.
    manifests
        Crops given by the user in place of the published ones.

    Returns
    -------
    Catalog
        What is damaged on disk is left out and told in its `notes`.
    """
    notes: list[str] = []
    crops = {crop.ref: crop for crop in _published(state_dir, notes)}
    if data_root is not None and data_root.is_dir():
        crops |= {crop.ref: crop for crop in _beside_the_data(data_root, notes)}
    if manifests is not None:
        crops = {ref: crop for ref, crop in crops.items() if not manifests.replaces(crop)}
        crops |= {crop.ref: crop for crop in manifests.crops}
        notes += manifests.notes
    return Catalog(builtin_classes(), crops.values(), data_root=data_root, notes=tuple(notes))


def _published(state_dir: Path | None, notes: list[str]) -> tuple[Crop, ...]:
    builtin = builtin_catalog().crops
    path = None if state_dir is None else refreshed_table(state_dir)
    if path is None:
        return builtin
    try:
        return parse_crop_table(path.read_text(encoding="utf-8"), name=str(path))
    except FileNotFoundError:
        return builtin
    except (OSError, UnicodeDecodeError, DataError) as error:
        reason = error if isinstance(error, DataError) else f"{path}: {error}; remove it or refresh again"
        notes.append(f"the refreshed catalog is not used: {reason}")
        return builtin


def _beside_the_data(data_root: Path, notes: list[str]) -> tuple[Crop, ...]:
    from cellmap_tui.challenge.local import read_local_crops

    try:
        return read_local_crops(data_root)
    except CellmapError as error:
        notes.append(f"imported and demo crops are not listed: {error}")
        return ()
