"""What a split is asked on screen: its options, the crops that are bound by hand, the request that comes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui.errors import RequestError
from cellmap_tui.text import number, voxel

if TYPE_CHECKING:
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.split_model import SplitRequest

Side = Literal["drawn", "train", "validate", "out"]
"""Who decides about a crop: the draw, or the user, and what."""

SIDES: tuple[Side, ...] = ("drawn", "train", "validate")
"""What the key that moves a crop goes through."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the form."""

    name: str
    """Field of `SplitForm`."""
    label: str
    """What it is called on screen."""
    help: str
    """What it does, in a sentence."""
    choices: tuple[str, ...] = ()
    """What ``enter`` goes through; none: it is typed."""
    unset: str = "-"
    """What stands there while it is not given."""


OPTIONS = (
    Option("classes", "classes", "Classes, such as: nuc mito er. * is every annotated one."),
    Option("targets", "targets file", "A targets.toml in place of classes.", unset="none"),
    Option("scale_nm", "scale nm", "Crops that cannot serve this voxel size stay out: 8 or 8 8 8.", unset="any"),
    Option("validate_ratio", "validate", "Share of the crops that validates, such as: 0.1"),
    Option("seed", "seed", "Another seed, another draw."),
    Option("group_by", "kept together", "What stays on one side.", ("crop", "dataset")),
    Option("min_foreground", "foreground", "Least share of a class: 0.1% or mito=1% nuc=0", unset="any"),
    Option(
        "force_all_classes",
        "lack a class",
        "Crops that lack a class: used, left out, …",
        ("none", "all", "train", "validate"),
    ),
    Option("coarse_labels", "coarse labels", "Labels coarser than the scale.", ("drop", "upsample")),
    Option("datasets", "datasets", "Only these, such as: jrc_hela-2 jrc_mus*", unset="all"),
    Option("crops", "crops", "Only these: 234,236 or 200-210 or a filter.", unset="all"),
    Option("k_folds", "folds", "Several splits, each crop validating in one.", unset="none"),
    Option("csv_path", "file", "Where w writes the split."),
)
"""The options in the order in which the screen lists them."""

_FORCE_WORDS = {"none": "are used", "all": "left out", "train": "only validate", "validate": "only train"}


@dataclass(frozen=True, slots=True)
class SplitForm:
    """A split as it is set now; the options mean what they mean in `SplitRequest`."""

    base: SplitRequest | None = None
    """A request from the command line, for what the screen has no option for, such as manifests."""
    classes: tuple[str, ...] = ("nuc", "er")
    """Classes."""
    targets: str = ""
    """File of targets."""
    scale_nm: tuple[float, float, float] | None = None
    """Voxel size to train at."""
    validate_ratio: float = 0.1
    """Share that validates."""
    seed: int = 42
    """Seed of the draw."""
    group_by: Literal["crop", "dataset"] = "crop"
    """What stays together."""
    min_foreground: tuple[tuple[str, float], ...] = ()
    """Least shares."""
    force_all_classes: Literal["none", "all", "train", "validate"] = "none"
    """Crops that lack a class."""
    coarse_labels: Literal["drop", "upsample"] = "drop"
    """Labels coarser than the scale."""
    datasets: tuple[str, ...] = ()
    """Only these."""
    crops: str = ""
    """Only these."""
    k_folds: int | None = None
    """Several splits."""
    csv_path: str = "datasplit.csv"
    """File to write."""
    train_crops: tuple[str, ...] = ()
    """Crops bound to training."""
    validate_crops: tuple[str, ...] = ()
    """Crops bound to validation."""
    leave_out: tuple[str, ...] = ()
    """Crops left out by hand."""

    @classmethod
    def of_request(cls, request: SplitRequest) -> SplitForm:
        """Return the form of a request as it came from the command line."""
        same: dict[str, Any] = {
            name: getattr(request, name)
            for name in (
                *("classes", "scale_nm", "validate_ratio", "seed", "group_by", "min_foreground", "force_all_classes"),
                *("coarse_labels", "datasets", "k_folds", "train_crops", "validate_crops", "leave_out"),
            )
        }
        return cls(
            base=request,
            targets=str(request.targets or ""),
            crops="" if request.crops == "all" else request.crops,
            csv_path=str(request.csv_path),
            **same,
        )

    def request(self, settings: Settings) -> SplitRequest:
        """Return what the service is asked; nothing to learn of a class is shown in the matrix, and no error.

        Raises
        ------
        RequestError
            If options contradict each other.
        """
        from cellmap_tui.services.split_model import SplitRequest

        path = Path(self.csv_path).expanduser().absolute()
        given = self.base or SplitRequest(
            csv_path=path,
            data_root=settings.data_root,
            endpoint_url=settings.endpoint_url,
            bucket=settings.bucket,
            state_dir=settings.state_dir.absolute(),
        )
        return replace(
            given,
            csv_path=path,
            classes=self.classes,
            targets=Path(self.targets).expanduser().absolute() if self.targets else None,
            scale_nm=self.scale_nm,
            validate_ratio=self.validate_ratio,
            seed=self.seed,
            group_by=self.group_by,
            min_foreground=self.min_foreground,
            force_all_classes=self.force_all_classes,
            coarse_labels=self.coarse_labels,
            datasets=self.datasets,
            crops=self.crops or "all",
            k_folds=self.k_folds,
            train_crops=self.train_crops,
            validate_crops=self.validate_crops,
            leave_out=self.leave_out,
            force=True,
        )

    def words(self, option: Option) -> str:
        """Return the value of an option as the screen shows it."""
        if option.name == "force_all_classes":
            return _FORCE_WORDS[self.force_all_classes]
        return self.typed(option) or option.unset

    def typed(self, option: Option) -> str:
        """Return the value of an option as it is typed; empty while it is not given."""
        value = getattr(self, option.name)
        if value is None or value == () or value == "":
            return ""
        if option.name == "scale_nm":
            return voxel(value).replace("×", " ")
        if option.name == "min_foreground":
            return " ".join(f"{name}={100 * share:g}%" if name else f"{100 * share:g}%" for name, share in value)
        if isinstance(value, tuple):
            return " ".join(value)
        return number(value) if isinstance(value, float) else str(value)

    def is_set(self, option: Option) -> bool:
        """Tell whether an option differs from what it is by itself."""
        return bool(getattr(self, option.name) != getattr(SplitForm(), option.name))

    def with_next(self, option: Option) -> SplitForm:
        """Return the form with the next choice of an option."""
        at = option.choices.index(getattr(self, option.name))
        return self._changed(option.name, option.choices[(at + 1) % len(option.choices)])

    def with_text(self, option: Option, typed: str) -> SplitForm:
        """Return the form with an option as it was typed; an empty line takes it back.

        Raises
        ------
        RequestError
            If it cannot be read.
        """
        return self._changed(option.name, _parsed(option.name, typed.strip()))

    def side_of(self, ref: str) -> Side:
        """Return who decides about a crop, and what."""
        if ref in self.leave_out:
            return "out"
        if ref in self.train_crops:
            return "train"
        return "validate" if ref in self.validate_crops else "drawn"

    def with_side(self, ref: str, side: Side) -> SplitForm:
        """Return the form with a crop bound to a side, left out, or drawn again."""
        bound = {
            name: tuple(other for other in getattr(self, name) if other != ref)
            for name in ("train_crops", "validate_crops", "leave_out")
        }
        field = {"train": "train_crops", "validate": "validate_crops", "out": "leave_out"}.get(side)
        if field is not None:
            bound[field] = tuple(sorted((*bound[field], ref)))
        return replace(self, **bound)  # type: ignore[arg-type]

    def _changed(self, name: str, value: Any) -> SplitForm:
        form = replace(self, **{name: value})
        if name == "classes":
            form = replace(form, targets="")  # the one that was set last counts
        return form


def _parsed(name: str, typed: str) -> object:
    if not typed:
        return getattr(SplitForm(), name)
    if name in {"classes", "datasets"}:
        return tuple(dict.fromkeys(typed.replace(",", " ").split()))
    if name == "scale_nm":
        return _triple(typed)
    if name == "min_foreground":
        return tuple(_share(word) for word in typed.replace(",", " ").split())
    if name == "targets" and not Path(typed).expanduser().is_file():
        raise RequestError(f"{typed} is no file", "type the path of a targets.toml")
    if name in {"seed", "k_folds", "validate_ratio"}:
        try:
            return float(typed) if name == "validate_ratio" else int(typed)
        except ValueError:
            raise RequestError(f"{typed!r} is not a number", "type digits, or nothing to take it back") from None
    return typed


def _triple(typed: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in typed.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) not in {1, 3}:
        raise RequestError(f"{typed!r} is no voxel size", "type one length in nm or three, z y x")
    z, y, x = values * 3 if len(values) == 1 else values
    return (z, y, x)


def _share(word: str) -> tuple[str, float]:
    name, _, value = word.rpartition("=")
    try:
        return name, float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        raise RequestError(f"{word!r} is no share", "type such as: 0.1% or mito=1%") from None
