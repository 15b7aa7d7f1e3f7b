"""Which patches are asked for on screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from cellmap_tui.app.split_form import Option
from cellmap_tui.app.typed_form import TypedForm, absolute
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from cellmap_tui.app.split_form import SplitForm
    from cellmap_tui.services.patches_model import PatchesRequest
    from cellmap_tui.services.settings import Settings

SHOWN = 8
"""Patches of one draw that can be looked at; the statistics count more."""


@dataclass(frozen=True, slots=True)
class PatchForm(TypedForm):
    """Patches of a split or of a configuration; the options mean what they mean in `PatchesRequest`."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("source", "split", "A datasplit.csv, or a configuration such as plans/train_8nm.toml.", unset="none"),
        Option("classes", "classes", "Classes, a channel each, such as: nuc mito.", unset="those of the split"),
        Option("targets", "targets file", "A targets.toml in place of classes.", unset="none"),
        Option("voxel_size_nm", "voxel nm", "Voxel size of a patch: 8 or 8 8 8.", unset="8, or the configuration's"),
        Option("shape", "patch", "Voxels: 128, or 1 256 256 for slices.", unset="128, or the configuration's"),
        Option("cores", "cores", "Classes with a channel for their objects' cores.", unset="none more"),
        Option("coarse_labels", "coarse labels", "Crops whose labels are coarser.", ("", "drop", "upsample"), "drop"),
        Option("usage", "crops", "Which crops of the split are drawn from.", ("train", "validate")),
        Option("count", "counted", "Patches that the statistics are made of."),
        Option("seed", "seed", "Another seed, other patches.", unset="42, or the configuration's"),
    )

    source: str = ""
    """A split, or a configuration."""
    classes: tuple[str, ...] = ()
    """Classes; none: those of the split."""
    targets: str = ""
    """File of targets."""
    voxel_size_nm: tuple[float, float, float] | None = None
    """Voxel size."""
    shape: tuple[int, int, int] | None = None
    """Voxels of a patch."""
    cores: tuple[str, ...] = ()
    """Classes with cores."""
    coarse_labels: Literal["", "drop", "upsample"] = ""
    """What becomes of crops with coarser labels."""
    usage: Literal["train", "validate"] = "train"
    """Which crops."""
    count: int = 64
    """Patches that are counted."""
    seed: int | None = None
    """Seed."""

    @classmethod
    def of_split(cls, form: SplitForm) -> PatchForm:
        """Return the form for the split of the screen, once it is written."""
        path = Path(form.csv_path).expanduser().absolute()
        is_there = path.is_file()
        named = () if form.targets or "*" in form.classes else form.classes
        return cls(
            source=str(path) if is_there else "",
            classes=named if is_there else (),
            targets=form.targets,
            voxel_size_nm=form.scale_nm,
            coarse_labels="upsample" if form.coarse_labels == "upsample" else "",
        )

    @classmethod
    def of_request(cls, request: PatchesRequest) -> PatchForm:
        """Return the form of what a job was asked; a configuration has become the split that it names."""
        return cls(
            source=str(request.split),
            classes=request.classes,
            targets=str(request.targets or ""),
            voxel_size_nm=request.voxel_size_nm,
            shape=request.shape,
            cores=request.cores,
            coarse_labels=request.coarse_labels,
            usage=request.usage,
            count=request.count,
            seed=request.seed,
        )

    def request(self, settings: Settings) -> PatchesRequest:
        """Return what the service is asked."""
        path = absolute(self.source)
        if path is None:
            raise RequestError("no split is chosen", "write one with w on the Train screen, or type the path of one")
        if not path.is_file():
            raise RequestError(f"{path} is no file", "type the path of a datasplit.csv or of a configuration")
        if path.suffix == ".py":
            raise RequestError(
                f"{path.name} is code, which is not run here", "turn it into TOML: cellmap-tui config convert"
            )
        targets = absolute(self.targets)
        if targets is not None and not targets.is_file():
            raise RequestError(f"{targets} is no file", "type the path of a targets.toml")
        given: dict[str, Any] = {
            "classes": self.classes,
            "targets": targets,
            "voxel_size_nm": self.voxel_size_nm,
            "shape": self.shape,
            "cores": self.cores,
            "coarse_labels": self.coarse_labels,
            "seed": self.seed,
        }
        options = {name: value for name, value in given.items() if value not in (None, (), "")}
        options |= {"usage": self.usage, "count": self.count, "show": SHOWN}
        from cellmap_tui.services.patches_model import PatchesRequest

        if path.suffix == ".toml":
            from cellmap_tui.services.patches_config import request_of_config

            return request_of_config(path, settings, **options)
        return PatchesRequest(split=path, state_dir=settings.state_dir.absolute(), **options)
