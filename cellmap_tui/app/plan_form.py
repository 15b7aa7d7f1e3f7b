"""What a plan of trainings is asked on screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cellmap_tui.app.split_form import Option
from cellmap_tui.app.typed_form import TypedForm, absolute
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from cellmap_tui.app.split_form import SplitForm
    from cellmap_tui.services.propose_model import ProposeRequest
    from cellmap_tui.services.settings import Settings

GPUS = ("", "10", "24", "40", "80")
"""GPU memory to choose from, in GB; empty: this machine's."""


@dataclass(frozen=True, slots=True)
class PlanForm(TypedForm):
    """For what trainings are proposed; the options mean what they mean in `ProposeRequest`."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option(
            "datasplit", "split", "A datasplit.csv: its training crops count, and it is used as it is.", unset="-"
        ),
        Option("crops", "crops", "Without a split: 234,236 or a filter or all.", unset="those on disk"),
        Option("classes", "classes", "Classes, such as: nuc mito er.", unset="all scored ones that crops annotate"),
        Option("targets", "targets file", "A targets.toml in place of classes.", unset="none"),
        Option("gpu", "GPU memory", "Memory of one GPU in GB.", GPUS, unset="of this machine, else 24"),
        Option("hours", "hours", "Most hours of one training.", unset="as the data ask"),
        Option("groups", "groups", "Most configurations, 1 to 8."),
        Option("dimensions", "patches", "Whether patches are flat.", ("auto", "2d", "3d")),
    )

    datasplit: str = ""
    """A split."""
    crops: str = ""
    """Crops in place of a split."""
    classes: tuple[str, ...] = ()
    """Classes."""
    targets: str = ""
    """File of targets."""
    gpu: str = ""
    """GPU memory in GB; empty: of this machine."""
    hours: float | None = None
    """Most hours."""
    groups: int = 3
    """Most configurations."""
    dimensions: Literal["auto", "2d", "3d"] = "auto"
    """Whether patches are flat."""

    @classmethod
    def of_split(cls, form: SplitForm) -> PlanForm:
        """Return the form for the classes of a split, and for its crops once it is written."""
        path = Path(form.csv_path).expanduser().absolute()
        is_there = path.is_file()
        return cls(
            datasplit=str(path) if is_there else "",
            crops="" if is_there else form.crops,
            classes=() if form.targets or "*" in form.classes else form.classes,
            targets=form.targets,
        )

    def request(self, settings: Settings) -> ProposeRequest:
        """Return what the service is asked; where it writes is said when it does."""
        from cellmap_tui.services.propose_model import ProposeRequest

        for path, what in ((absolute(self.datasplit), "datasplit.csv"), (absolute(self.targets), "targets.toml")):
            if path is not None and not path.is_file():
                raise RequestError(f"{path} is no file", f"type the path of a {what}")
        return ProposeRequest(
            data_root=settings.data_root,
            state_dir=settings.state_dir,
            classes=self.classes,
            targets=absolute(self.targets),
            crops=self.crops,
            datasplit=absolute(self.datasplit),
            gpu_memory_gb=float(self.gpu) if self.gpu else None,
            hours=self.hours,
            max_groups=self.groups,
            dimensions=self.dimensions,
        )

    def words(self, option: Option) -> str:
        """Return the value of an option as the screen shows it."""
        return f"{self.gpu} GB" if option.name == "gpu" and self.gpu else super(PlanForm, self).words(option)
