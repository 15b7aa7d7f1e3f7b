"""What processing and tuning are asked on screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from cellmap_tui.app.split_form import Option
from cellmap_tui.app.typed_form import TypedForm, absolute
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.services.process_model import ProcessRequest
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.tune_model import TuneRequest

YesNo = Literal["no", "yes"]
PROFILES = ("2026-06", "2026-07", "panoptic")


@dataclass(frozen=True, slots=True)
class ProcessForm(TypedForm):
    """Predictions into labels; the options mean what they mean in `ProcessRequest`."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("crops", "crops", "Crops: all, test, 234,236 or 200-210 or a filter."),
        Option("classes", "classes", "Classes, such as: mito er.", unset="all that are predicted"),
        Option(
            "predictions", "predictions", "A folder, or a template with {dataset} {crop}.", unset="of the data root"
        ),
        Option("output", "labels go to", "A folder, or a template.", unset="processed, below the data root"),
        Option("overwrite", "replace", "Whether labels that were made otherwise are replaced.", ("no", "yes")),
        Option("memory", "memory", "For voxels, such as: 2G.", unset="1.2 G, or what is free"),
    )

    crops: str = "test"
    """Crops."""
    classes: tuple[str, ...] = ()
    """Only these."""
    predictions: str = ""
    """Where they lie."""
    output: str = ""
    """Where the labels go."""
    overwrite: YesNo = "no"
    """Whether others are replaced."""
    memory: str = ""
    """Memory for voxels."""
    base: ProcessRequest | None = None
    """A request from the command line, for what the form has no option for."""

    @classmethod
    def of_request(cls, request: ProcessRequest) -> ProcessForm:
        """Return the form of a request."""
        return cls(
            request.crops,
            request.classes,
            request.predictions or "",
            request.output or "",
            "yes" if request.overwrite else "no",
            "" if request.memory_bytes is None else str(request.memory_bytes),
            request,
        )

    def request(self, settings: Settings) -> ProcessRequest:
        """Return what the service is asked; without a recipe."""
        from cellmap_tui.services.memory_budget import parse_size
        from cellmap_tui.services.process_model import ProcessRequest

        base = self.base or ProcessRequest()
        return replace(
            base,
            data_root=base.data_root or settings.data_root.absolute(),
            crops=self.crops,
            classes=self.classes,
            predictions=_place(self.predictions),
            output=_place(self.output),
            overwrite=self.overwrite == "yes",
            memory_bytes=parse_size(self.memory) if self.memory else None,
            state_dir=settings.state_dir.absolute(),
        )


@dataclass(frozen=True, slots=True)
class TuneForm(TypedForm):
    """Recipes that are tried; the options mean what they mean in `TuneRequest`."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("crops", "crops", "Crops with ground truth: 234,236 or 200-210 or a filter.", unset="which?"),
        Option("datasplit", "datasplit", "A datasplit.csv, whose validation crops are taken.", unset="none"),
        Option("classes", "classes", "Classes, such as: mito ves.", unset="all that are predicted and annotated"),
        Option("predictions", "predictions", "Folders, one a run, with a blank between.", unset="of the data root"),
        Option("thresholds", "thresholds", "Probabilities to try, such as: 0.3 0.5 0.7", unset="0.2 to 0.8"),
        Option("sizes", "sizes", "Smallest objects to try, in voxels.", unset="0 50 200 1000 5000"),
        Option("smoothings", "smoothings", "Widths to try, in nm, such as: 0 8", unset="none"),
        Option("profile", "rules", "Scoring rules.", PROFILES),
        Option("seed", "seed", "Another seed, other halves of the crops."),
        Option("output", "recipe", "The file that is written; its table goes beside it."),
        Option("overwrite", "replace", "Whether a recipe that is there may be replaced.", ("no", "yes")),
    )

    crops: str = ""
    """Crops."""
    datasplit: str = ""
    """Split, in their place."""
    classes: tuple[str, ...] = ()
    """Only these."""
    predictions: str = ""
    """Where they lie."""
    thresholds: str = ""
    """Probabilities."""
    sizes: str = ""
    """Voxels."""
    smoothings: str = ""
    """Widths in nm."""
    profile: str = PROFILES[0]
    """Rules."""
    seed: int = 0
    """Seed."""
    output: str = "tuned.toml"
    """The recipe."""
    overwrite: YesNo = "no"
    """Whether it may be replaced."""
    start: Path | None = None
    """Recipe to start from."""
    base: TuneRequest | None = None
    """A request from the command line, for what the form has no option for."""

    def filled_in_as(self, given: TuneForm, filled_in: TuneForm) -> TuneForm:
        """Return this form with what was filled in last; what the editor gives otherwise than then is as it gives it.

        Parameters
        ----------
        given
            What the editor gave then.
        filled_in
            What was made of it.
        """
        changed = {
            name: getattr(self, name)
            for name in ("predictions", "classes")
            if getattr(self, name) != getattr(given, name)
        }
        return replace(filled_in, start=self.start, **changed)

    @classmethod
    def of_request(cls, request: TuneRequest) -> TuneForm:
        """Return the form of a request."""
        plain = {field.name: field.default for field in _fields(request)}

        def words(name: str) -> str:
            value = getattr(request, name)
            return "" if value == plain[name] else " ".join(f"{one:g}" for one in value)

        return cls(
            request.crops or "",
            str(request.datasplit or ""),
            request.classes,
            " ".join(request.predictions),
            words("thresholds"),
            words("sizes"),
            words("smoothings_nm"),
            request.profile,
            request.seed,
            str(request.output or cls().output),
            "yes" if request.overwrite else "no",
            request.recipe,
            request,
        )

    def request(self, settings: Settings) -> TuneRequest:
        """Return what the service is asked."""
        from cellmap_tui.services.tune_model import SIZES, THRESHOLDS, TuneRequest

        output = absolute(self.output)
        if output is None:
            raise RequestError("where the recipe goes is not said", "type a file, such as tuned.toml")
        if output.exists() and self.overwrite == "no":
            raise RequestError(f"{output} exists already", "name another file, or let it be replaced")
        if bool(self.crops) == bool(self.datasplit):
            raise RequestError("which crops to tune on is not clear", "give crops, or a datasplit")
        return replace(
            self.base or TuneRequest(crops="-", data_root=settings.data_root.absolute()),
            predictions=tuple(str(place) for place in map(_place, self.predictions.split())),
            crops=self.crops or None,
            datasplit=absolute(self.datasplit),
            classes=self.classes,
            recipe=self.start,
            thresholds=_numbers(self.thresholds) or THRESHOLDS,
            sizes=tuple(int(value) for value in _numbers(self.sizes)) or SIZES,
            smoothings_nm=_numbers(self.smoothings) or (0.0,),
            output=output,
            overwrite=self.overwrite == "yes",
            profile=self.profile,
            seed=self.seed,
            state_dir=settings.state_dir.absolute(),
        )


def _fields(request: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
    import dataclasses

    return dataclasses.fields(request)  # type: ignore[arg-type]


def _numbers(typed: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in typed.replace(",", " ").split())
    except ValueError:
        raise RequestError(f"{typed!r} are no numbers", "type numbers with blanks between them") from None


def _place(typed: str) -> str | None:
    from pathlib import Path

    return str(Path(typed).expanduser().absolute()) if typed else None
