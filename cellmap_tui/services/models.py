"""Requests and results as JSON: frozen dataclasses, validated when they are read.

msgspec checks every field against its type annotation, so a request that came from a file of
another version or from somebody else's hand is either right or one clear error.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def to_json(model: object) -> bytes:
    """Return a model as compact JSON; paths become strings, NaN and infinity become null."""
    import msgspec

    return msgspec.json.encode(model, enc_hook=_encode_path)


def to_builtins(model: object) -> Any:
    """Return a model as plain dicts, lists, strings and numbers."""
    import msgspec

    return msgspec.to_builtins(model, enc_hook=_encode_path)


def from_json(data: bytes, model: type[T], *, source: str) -> T:
    """Read a model from JSON.

    Raises
    ------
    RequestError
        If the text is not JSON or does not fit the model; names `source` and the field.
    """
    import msgspec

    try:
        return msgspec.json.decode(data, type=model, dec_hook=_decode_path)
    except msgspec.MsgspecError as error:
        raise RequestError(f"{source}: {error}") from None


def from_mapping(values: Mapping[str, object], model: type[T], *, source: str) -> T:
    """Build a model from plain values; lists become tuples, strings become paths.

    Raises
    ------
    RequestError
        If a value does not fit or a name is unknown; names `source` and the field.
    """
    import dataclasses

    import msgspec

    from cellmap_tui.text import nearest

    known = [field.name for field in dataclasses.fields(model)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            near = nearest(name, known)
            raise RequestError(f"{source}: unknown option {name!r}", f"did you mean {near!r}?" if near else "")
    try:
        return msgspec.convert(values, type=model, dec_hook=_decode_path, strict=False)
    except msgspec.MsgspecError as error:
        raise _misfit(str(error), values, model, source) from None


def _misfit(words: str, values: Mapping[str, object], model: type, source: str) -> RequestError:
    """Return the error of a value that does not fit, with the option it was given for."""
    reason, _, place = words.partition(" - at `$.")
    name = place.rstrip("`")
    given = values.get(name)
    if isinstance(given, str) and reason.startswith("Expected `array`"):
        parts = [part.strip() for part in given.split(",")]
        return RequestError(f"{source}: {name}={given!r} is a text where a list is due", f"give {name}={parts!r}")
    choices = _choices(model, name)
    if choices and reason.startswith("Invalid enum value"):
        return RequestError(f"{source}: {name}: {given!r} is none of the choices", f"one of: {', '.join(choices)}")
    return RequestError(f"{source}: {name}: {reason}" if place else f"{source}: {words}")


def _choices(model: type, name: str) -> tuple[str, ...]:
    """Return the values of an option that has a fixed few; empty for any other."""
    from msgspec import inspect

    kinds = [field.type for field in getattr(inspect.type_info(model), "fields", ()) if field.name == name]
    kinds += [one for kind in kinds if isinstance(kind, inspect.UnionType) for one in kind.types]
    return tuple(str(value) for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values)


def _encode_path(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode_path(kind: type, value: object) -> object:
    if issubclass(kind, Path) and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"{kind.__name__} has no JSON form")
