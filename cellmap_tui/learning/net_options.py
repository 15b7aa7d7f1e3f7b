"""Options of a network: held against what its class takes, and told in words where they do not fit."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.text import nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

OFFICIAL_ENDS = frozenset(
    {"n_channels", "n_classes", "input_nc", "output_nc", "ndims", "input_channels", "num_classes"}
)
"""Options that say how many channels there are; these follow from the configuration."""


def checked_options(
    kind: Callable[..., Any],
    options: Mapping[str, Any],
    ends: Mapping[str, Any],
    name: str,
    *,
    extra: Sequence[str] = (),
) -> dict[str, Any]:
    """Return options that a class takes.

    Parameters
    ----------
    kind
        The class.
    options
        What is given.
    ends
        What follows from the card, such as channels; nobody else says it.
    name
        Name of the network, for words.
    extra
        Options beside those of the class, for words.

    Raises
    ------
    RequestError
        If an option is unknown, names the nearest; or says how many channels there are, and is wrong.
    """
    known = [word for word in inspect.signature(kind).parameters if word not in ends and word != "self"]
    taken = {}
    for option, value in options.items():
        if option in known:
            taken[option] = value
        elif option in ends or option in OFFICIAL_ENDS:
            if option in ends and value != ends[option]:
                raise RequestError(
                    f"model_kwargs: {option} is {value!r}, and the configuration makes it {ends[option]!r}",
                    f"leave {option} out: it follows from classes and inputs",
                )
        else:
            known = [*known, *extra]
            near = nearest(option, known)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
            raise RequestError(f"model_kwargs: {name} has no option {printable(option)!r}", hint)
    return taken


def made(kind: Callable[..., Any], options: Mapping[str, Any], ends: Mapping[str, Any], name: str) -> nn.Module:
    """Return a network made from options.

    Raises
    ------
    RequestError
        If its class refuses them.
    """
    taken = checked_options(kind, options, ends, name)
    try:
        network: nn.Module = kind(**ends, **{option: _tuples(value) for option, value in taken.items()})
    except (TypeError, ValueError, AssertionError, KeyError, IndexError, RuntimeError, NotImplementedError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise RequestError(f"{name} cannot be built: {printable(told[:300])}", "check model_kwargs") from error
    return network


def _tuples(value: Any) -> Any:
    """Return lists as tuples: a file has lists only, and some classes tell the two apart."""
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
