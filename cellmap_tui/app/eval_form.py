"""What a new evaluation is asked on screen: the fields, what can be typed there, the request that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cellmap_tui.errors import CellmapError, RequestError
from cellmap_tui.text import number

if TYPE_CHECKING:
    from cellmap_tui.services.evaluate_model import EvaluateRequest
    from cellmap_tui.services.settings import Settings

PROFILES = ("2026-06", "2026-07", "panoptic")
"""Names of the rules, the default first; the scorer itself would cost 0.3 s to ask."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form."""

    name: str
    """Field of `EvalForm`."""
    label: str
    """What it is called on screen."""
    help: str
    """What it does, in a sentence."""
    unset: str = "-"
    """What stands there while it is not given."""
    kind: Literal["text", "choice"] = "text"
    """Typed, or changed by ``enter`` alone."""


FIELDS = (
    Field("predictions", "predictions", "A folder, a template with {dataset} {crop} {label}, or a stack."),
    Field("crops", "crops", "Crops that the predictions belong to: 234,236 or 200-210 or a filter.", "which?"),
    Field("submission", "submission", "In place of predictions: a submission, zip or folder."),
    Field("truth", "truth", "Ground truth of the submission: a zarr store of crop<N>/<class> arrays.", "which?"),
    Field("test_manifest", "test manifest", "Test volumes: a CSV or its address.", "the published one"),
    Field("profile", "profile", "Rules: 2026-06 as published, 2026-07 provisional, panoptic quality.", kind="choice"),
    Field("classes", "classes", "These classes alone, such as: mito nuc", "all"),
    Field("voxel_size_nm", "voxel size", "Of stacks, z y x in nm, such as: 8 8 8", "as the files say"),
    Field("labels", "label values", "Classes in stacks of several, such as: mito=1 er=2", "one class a file"),
)
"""The fields in the order in which the form lists them."""

_NEEDS = {"predictions": frozenset({"submission", "truth"}), "crops": frozenset({"submission", "truth"}),
          "submission": frozenset({"predictions", "crops", "voxel_size_nm", "labels"}),
          "truth": frozenset({"predictions", "crops", "voxel_size_nm", "labels"})}  # fmt: skip
"""Field to those that exclude it: a form scores predictions or a submission; the one set last counts."""


@dataclass(frozen=True, slots=True)
class EvalForm:
    """A new evaluation as it is filled in now."""

    predictions: str = ""
    """Where the predictions lie."""
    crops: str = ""
    """Which crops they belong to."""
    submission: str = ""
    """Where the submission lies."""
    truth: str = ""
    """Its ground truth."""
    profile: str = PROFILES[0]
    """Rules."""
    classes: tuple[str, ...] = ()
    """These classes alone."""
    voxel_size_nm: tuple[float, float, float] | None = None
    """Of stacks."""
    labels: dict[str, int] = field(default_factory=dict)
    """Of stacks."""
    test_manifest: str = ""
    """Test volumes in place of the published ones."""

    def request(self, settings: Settings) -> EvaluateRequest:
        """Return what the service is asked.

        Raises
        ------
        RequestError
            If something is missing.
        """
        from cellmap_tui.services.evaluate_model import EvaluateRequest

        if not self.predictions and not self.submission:
            raise RequestError("nothing to score", "name predictions or a submission")
        if self.predictions and not self.crops:
            raise RequestError("which crops the predictions belong to is not clear", "name them under crops")
        if self.submission and not self.truth:
            raise RequestError("the ground truth of the submission is not named", "name it under truth")
        return EvaluateRequest(
            submission=_path(self.submission),
            truth=_path(self.truth),
            predictions=str(_path(self.predictions)) if self.predictions else None,
            crops=self.crops or None,
            profile=self.profile,
            classes=self.classes,
            voxel_size_nm=self.voxel_size_nm,
            labels=self.labels,
            test_manifest=self.test_manifest or None,
            data_root=settings.data_root.absolute() if self.predictions else None,
            state_dir=settings.state_dir.absolute(),
        )

    def words(self, of: Field) -> str:
        """Return a field as the form shows it."""
        return self.typed(of) or of.unset

    def typed(self, of: Field) -> str:
        """Return a field as it is typed; empty while it is not given."""
        value = getattr(self, of.name)
        if not value:
            return ""
        if of.name == "labels":
            return " ".join(f"{name}={at}" for name, at in value.items())
        if isinstance(value, str):
            return value
        return " ".join(number(part) if isinstance(part, float) else part for part in value)

    def with_next_profile(self) -> EvalForm:
        """Return the form with the next rules."""
        return replace(self, profile=PROFILES[(PROFILES.index(self.profile) + 1) % len(PROFILES)])

    def with_text(self, of: Field, typed: str) -> EvalForm:
        """Return the form with a field as it was typed; an empty line takes it back.

        Raises
        ------
        RequestError
            If it cannot be read, or there is no such file.
        """
        value = _parsed(of, typed.strip())
        form = replace(self, **{of.name: value})  # type: ignore[arg-type]
        if value:
            blank = EvalForm()
            form = replace(form, **{name: getattr(blank, name) for name in _NEEDS.get(of.name, ())})
        return form


def _parsed(of: Field, typed: str) -> object:
    if not typed:
        return getattr(EvalForm(), of.name)
    if of.name in {"predictions", "submission", "truth"}:
        return _existing(typed)
    if of.name == "classes":
        return tuple(dict.fromkeys(typed.replace(",", " ").split()))
    if of.name == "voxel_size_nm":
        return _triple(typed)
    return _labels(typed) if of.name == "labels" else typed


def _existing(typed: str) -> str:
    path = _path(typed)
    if path is not None and "{" not in typed and not path.exists():
        raise RequestError(f"{path} does not exist", "type a path that does")
    return typed


def _triple(typed: str) -> tuple[float, float, float]:
    try:
        values = [float(part) for part in typed.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3 or not all(0 < value < 1e9 for value in values):
        raise RequestError(f"{typed!r} is no voxel size", "type three lengths in nm, such as: 8 8 8")
    z, y, x = values
    return (z, y, x)


def _labels(typed: str) -> dict[str, int]:
    labels = {}
    for part in typed.replace(",", " ").split():
        name, _, value = part.partition("=")
        if not name or not value.isdecimal() or len(value) > 19:
            raise RequestError(f"{part!r} is not of the form class=value", "type such as: mito=1 er=2")
        labels[name] = int(value)
    return labels


def _path(typed: str) -> Path | None:
    return Path(typed).expanduser().absolute() if typed else None


def problem(form: EvalForm, of: Field, typed: str) -> str:
    """Return what is wrong with a typed value; empty when it is right."""
    try:
        form.with_text(of, typed)
    except CellmapError as error:
        return str(error)
    return ""
