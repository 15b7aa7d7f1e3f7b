"""What a fetch is asked on screen: the crops, and the options that can be changed before it starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cellmap_tui import text
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from cellmap_tui.services.fetch_model import AccessMode, FetchRequest
    from cellmap_tui.services.settings import Settings

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?(?:/s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the form."""

    name: str
    """Field of `FetchRequest` and of `FetchForm`."""
    label: str
    """What it is called on screen."""
    kind: Literal["number", "size", "words", "toggle"]
    """How it is given: typed, or changed by ``enter`` alone."""
    help: str
    """What it does, in a sentence."""
    unset: str = "-"
    """What stands there while it is not given."""


OPTIONS = (
    Option("raw_padding", "padding", "number", "EM around each crop, in voxels of each level.", "none"),
    Option("raw_padding_nm", "padding nm", "number", "EM around each crop in nm; the larger padding counts.", "none"),
    Option("fetch_all_em_resolutions", "all EM levels", "toggle", "Take every level of the EM, however fine."),
    Option("levels", "EM levels", "words", "Take these levels alone, such as: s1 s2", "as the labels need"),
    Option("classes", "classes", "words", "Labels of these classes alone, such as: mito nuc", "all"),
    Option("make_levels", "make levels", "toggle", "Compute coarser EM levels here that the bucket lacks."),
    Option("access_mode", "what is here", "toggle", "Keep what is here and verified, or remove it and fetch anew."),
    Option("num_workers", "connections", "number", "Requests in flight at most.", "as many as the link carries"),
    Option("limit_rate", "limit rate", "size", "Bytes a second at most, such as: 20M", "none"),
    Option("max_bytes", "max bytes", "size", "Refuse a plan that downloads more, such as: 50G", "none"),
    Option("ignore_disk", "ignore disk", "toggle", "Start although the free disk space looks too small."),
)
"""The options in the order in which the screen lists them."""


@dataclass(frozen=True, slots=True)
class FetchForm:
    """Crops and options as they are set now; the options mean what they mean in `FetchRequest`."""

    crops: tuple[str, ...] = ()
    """References of the crops, or an expression that chooses them."""
    base: FetchRequest | None = None
    """A request from the command line, for what the screen has no option for, such as manifests."""
    is_starter: bool = False
    """Whether the crops are the starter set, because the user has chosen none."""
    raw_padding: int = 0
    """Voxels of each level."""
    raw_padding_nm: float = 0.0
    """Nanometres."""
    fetch_all_em_resolutions: bool = False
    """Every level."""
    levels: tuple[str, ...] = ()
    """These levels alone."""
    classes: tuple[str, ...] = ()
    """These classes alone."""
    make_levels: bool = False
    """Compute what the bucket lacks."""
    access_mode: AccessMode = "append"
    """What becomes of what is there."""
    num_workers: int | None = None
    """Requests in flight at most."""
    limit_rate: int | None = None
    """Bytes a second at most."""
    max_bytes: int | None = None
    """Largest plan."""
    ignore_disk: bool = False
    """Start on a disk that looks too small."""

    @classmethod
    def of_request(cls, request: FetchRequest) -> FetchForm:
        """Return the form of a request as it came from the command line."""
        chosen: dict[str, Any] = {option.name: getattr(request, option.name) for option in OPTIONS}
        return cls(crops=(request.crops,), base=request, **chosen)

    def request(self, settings: Settings, *, confirmed: bool = False) -> FetchRequest:
        """Return what the service is asked.

        Raises
        ------
        RequestError
            If options contradict each other.
        """
        from cellmap_tui.services.fetch_model import FetchRequest

        given = self.base or FetchRequest(
            data_root=settings.data_root,
            endpoint_url=settings.endpoint_url,
            bucket=settings.bucket,
            state_dir=settings.state_dir,
        )
        chosen: dict[str, Any] = {option.name: getattr(self, option.name) for option in OPTIONS}
        return replace(given, crops=",".join(self.crops), yes=confirmed or given.yes, **chosen)

    @property
    def needs_plan_of(self) -> FetchForm:
        """The form without the options that change nothing about a plan: how fast, how much at most."""
        return replace(self, is_starter=False, num_workers=None, limit_rate=None, max_bytes=None, ignore_disk=False)

    def words(self, option: Option) -> str:
        """Return the value of an option as the screen shows it."""
        value = getattr(self, option.name)
        if option.name == "access_mode":
            return "kept" if value == "append" else "fetched anew"
        if option.kind == "toggle":
            return "yes" if value else "no"
        return self.typed(option) or option.unset

    def typed(self, option: Option) -> str:
        """Return the value of an option as it is typed; empty while it is not given."""
        value = getattr(self, option.name)
        if not value:
            return ""
        if option.kind == "words":
            return " ".join(value)
        return text.size(value).replace(" ", "").removesuffix("B") if option.kind == "size" else text.number(value)

    def is_set(self, option: Option) -> bool:
        """Tell whether an option differs from what it is by itself."""
        return bool(getattr(self, option.name) != getattr(FetchForm(), option.name))

    def toggled(self, option: Option) -> FetchForm:
        """Return the form with a toggle turned round."""
        if option.name == "access_mode":
            return replace(self, access_mode="overwrite" if self.access_mode == "append" else "append")
        return _changed(self, option.name, not getattr(self, option.name))

    def with_text(self, option: Option, typed: str) -> FetchForm:
        """Return the form with an option as it was typed; an empty line takes it back.

        Raises
        ------
        RequestError
            If it cannot be read.
        """
        return _changed(self, option.name, _parsed(option, typed.strip()))


def _changed(form: FetchForm, name: str, value: Any) -> FetchForm:
    # Taking every level and naming some exclude each other; the one that was set last counts.
    if name == "levels" and value:
        form = replace(form, fetch_all_em_resolutions=False)
    if name == "fetch_all_em_resolutions" and value:
        form = replace(form, levels=())
    return replace(form, **{name: value})


def _parsed(option: Option, typed: str) -> object:
    if not typed:
        return getattr(FetchForm(), option.name)
    if option.kind == "words":
        return tuple(dict.fromkeys(typed.replace(",", " ").split()))
    if option.kind == "size":
        return parsed_size(typed)
    try:
        return float(typed) if option.name == "raw_padding_nm" else int(typed)
    except ValueError:
        kind = "a number" if option.name == "raw_padding_nm" else "a whole number"
        raise RequestError(f"{typed!r} is not {kind}", "type digits, or nothing to take it back") from None


def parsed_size(typed: str) -> int:
    """Return ``20M``, ``1.5 G`` or ``512MiB`` in bytes.

    Raises
    ------
    RequestError
        If it is no size.
    """
    match = _SIZE.fullmatch(typed.strip())
    if match is None:
        raise RequestError(f"{typed!r} is no size", "type one such as 20M or 1.5G")
    figure, unit, binary = match.groups()
    base = 1024.0 if binary else 1000.0
    scale: float = base ** _POWERS[unit.lower()]
    return round(float(figure) * scale)
