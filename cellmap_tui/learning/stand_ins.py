"""Stand-ins for packages that official configurations import and that are not installed here.

``from cellmap_segmentation_challenge.models import UNet_2D`` works without the toolbox: the name is a
class that remembers how it was called, and `config_settle` knows which network of this tool it means.
A package that is installed is replaced only where importing it fails, as torchvision does beside another torch.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cellmap_tui.learning.config_objects import TOOLBOX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

PACKAGES = (TOOLBOX, "cellmap_data", "torchvision", "monai", "dynamic_network_architectures")
"""Packages that are stood in for."""


class _Named(type):
    """Lets ``torchvision.transforms.v2`` be written whether or not each part was imported."""

    def __getattr__(cls, name: str) -> Any:
        """Return a class inside this one."""
        if name.startswith("_"):
            raise AttributeError(name)
        made = _class(name, f"{cls.__module__}.{cls.__name__}")
        setattr(cls, name, made)
        return made


class Call(metaclass=_Named):
    """Something made by a class or function of a package that is not installed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.call_arguments = arguments
        self.call_options = options

    def __getattr__(self, name: str) -> Any:
        """Let methods such as ``model.to(device)`` be called; they return the thing itself."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_options: self

    def __repr__(self) -> str:
        """Show the call as it was written."""
        parts = [repr(part) for part in self.call_arguments]
        parts += [f"{name}={value!r}" for name, value in self.call_options.items()]
        return f"{type(self).__name__}({', '.join(parts)})"


class StandIn(types.ModuleType):
    """A module of a package that is not installed: every name in it is a class that remembers its calls."""

    __path__: list[str] = []  # noqa: RUF012 - marks it as a package, as the import system wants it

    def __getattr__(self, name: str) -> Any:
        """Return the class of that name, made on first use."""
        if name.startswith("__"):
            raise AttributeError(name)
        made: Any = _tested_classes if name == "get_tested_classes" else _class(name, self.__name__)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of packages that are stood in for."""

    def __init__(self, packages: Collection[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a module of the packages; not for one that an installed package lacks."""
        package = fullname.partition(".")[0]
        if package not in self._packages or (
            package != fullname and not isinstance(sys.modules.get(package), StandIn)
        ):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make the module."""
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Fill it: nothing to do, names come on first use."""


@contextmanager
def standing_in(broken: Collection[str] = ()) -> Iterator[None]:
    """Stand in for missing packages while a configuration runs, and take every trace away afterwards.

    Parameters
    ----------
    broken
        Packages that are installed and cannot be imported; these are stood in for as well.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] in broken]:
        del sys.modules[name]
    first, last = _Finder(broken), _Finder(PACKAGES)
    sys.meta_path.insert(0, first)
    sys.meta_path.append(last)
    try:
        yield
    finally:
        sys.meta_path.remove(first)
        sys.meta_path.remove(last)
        for name in [name for name, module in sys.modules.items() if isinstance(module, StandIn)]:
            del sys.modules[name]


def broken_package(error: BaseException) -> str | None:
    """Return the package of `PACKAGES` whose own import raised an error, or None."""
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in PACKAGES and frame.f_code.co_name == "<module>":
            return package
        step = step.tb_next
    return None


def _class(name: str, module: str) -> Any:
    return _Named(name, (Call,), {"__module__": module})


def _tested_classes() -> list[str]:
    from cellmap_tui.challenge.classes import builtin_classes

    return [info.name for info in builtin_classes().scored]
