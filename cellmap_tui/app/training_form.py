"""Which training is asked for on screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from cellmap_tui.app.split_form import Option
from cellmap_tui.app.typed_form import TypedForm, absolute
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from cellmap_tui.services.settings import Settings
    from cellmap_tui.services.train_model import TrainRequest


@dataclass(frozen=True, slots=True)
class TrainingForm(TypedForm):
    """A training; the options mean what they mean in `TrainRequest`."""

    OPTIONS: ClassVar[tuple[Option, ...]] = (
        Option("source", "configuration", "A .toml file, such as plans/train_8nm.toml, or a run.", unset="none"),
        Option("sets", "set", "Keys on top of it, such as: epochs=40 device=cpu", unset="nothing"),
        Option("name", "name", "Name of the model in files.", unset="as it says"),
        Option("init_from", "first weights", "A .pth file or a run's folder to start from.", unset="random"),
        Option("devices", "GPUs", "GPUs of this machine that train together.", unset="as it says"),
        Option("hours", "most hours", "Stop after so many hours, with a checkpoint.", unset="as it says"),
        Option("what", "what", "Train, or look at memory, disk and time alone.", ("train", "look only")),
        Option("force", "in spite of", "Train although the look finds a problem.", ("no", "yes")),
    )

    source: str = ""
    """The configuration."""
    sets: str = ""
    """``key=value`` words, separated by spaces."""
    name: str = ""
    """Name of the model."""
    init_from: str = ""
    """First weights."""
    devices: str = ""
    """GPUs."""
    hours: float | None = None
    """Most hours."""
    what: Literal["train", "look only"] = "train"
    """Whether to train or only to look."""
    force: Literal["no", "yes"] = "no"
    """Whether problems that the look finds count."""

    @classmethod
    def of_request(cls, request: TrainRequest) -> TrainingForm:
        """Return the form of a request as it came from the command line."""
        return cls(
            source=str(request.config or ""),
            sets=" ".join(request.sets),
            name=request.name,
            init_from=str(request.init_from or ""),
            devices="" if request.devices is None else str(request.devices),
            hours=request.max_hours,
            what="look only" if request.dry_run else "train",
            force="yes" if request.force else "no",
        )

    def request(self, settings: Settings) -> TrainRequest:
        """Return what the service is asked; a typo in the configuration is found here."""
        from cellmap_tui.services.train_model import TrainRequest
        from cellmap_tui.services.train_prepare import absolute_sets, settled_config

        path = self._path(settings)
        init_from = absolute(self.init_from)
        if init_from is not None and not init_from.exists():
            raise RequestError(f"no checkpoint {init_from}", "type the path of a .pth file or of a run")
        request = TrainRequest(
            config=path,
            sets=absolute_sets(tuple(self.sets.split()), Path.cwd()),
            name=self.name,
            devices=self._devices(),
            max_hours=self.hours,
            init_from=init_from,
            dry_run=self.what == "look only",
            force=self.force == "yes",
            data_root=settings.data_root,
            state_dir=settings.state_dir.absolute(),
        )
        settled_config(request)
        return request

    def _path(self, settings: Settings) -> Path:
        path = absolute(self.source)
        if path is None:
            raise RequestError("no configuration is chosen", "P on the Train screen proposes one and writes it")
        if path.suffix == ".py":
            from cellmap_tui.learning.config_python import python_facts
            from cellmap_tui.services.trust import is_trusted

            if not is_trusted(settings.state_dir, python_facts(path).sha256):
                raise RequestError(
                    f"{path.name} is Python code that has not been allowed to run",
                    "look at it, then once: cellmap-tui config check --trust-config FILE",
                )
        return path

    def _devices(self) -> int | None:
        if not self.devices:
            return None
        if not self.devices.isdecimal():
            raise RequestError(f"{self.devices!r} is no number of GPUs", "type digits, or nothing to take it back")
        return int(self.devices)
