"""Weights from elsewhere: read them safely, lay them into a network layer by layer, and say what became of each.

A head of another width keeps the rows of the columns that both networks have. Files are read with
``weights_only``: no code in them runs.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch

from cellmap_tui.errors import DataError, MissingDataError
from cellmap_tui.learning.model_card import OWN
from cellmap_tui.learning.net_cost import without_values
from cellmap_tui.text import count, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from cellmap_tui.learning.model_card import ModelCard

EMA_KEYS = ("ema", "ema_state_dict", "ema_model", "model_ema", "state_dict_ema")
"""Where files keep averaged weights."""
PLAIN_KEYS = ("state_dict", "model_state_dict", "model", "network_weights", "network", "weights", "net")
"""Where files keep weights beside other things; ``network_weights`` is nnU-Net's."""
PREFIXES = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
"""What wrappers put before the names of weights: several processes, the compiler, averaging."""
_AT_ONCE_BYTES = 1 << 20
MAX_LINES = 12
MAX_NAMED = 4
"""Layers that a refusal names of those that are missing, spare or of another shape."""

Outcome = Literal["loaded", "rows", "other shape", "missing", "not used"]
_MISMATCHES: dict[Outcome, str] = {
    "other shape": "of another shape",
    "missing": "not in the file",
    "not used": "only in the file",
}


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What became of one layer."""

    name: str
    """Its name in the network, or in the file if it is only there."""
    outcome: Outcome
    """``loaded``; ``rows``: some output channels; ``other shape`` and ``missing``: fresh; ``not used``."""
    wanted: tuple[int, ...] | None
    """Its shape in the network."""
    found: tuple[int, ...] | None
    """Its shape in the file."""
    rows: int = 0
    """Output channels that were taken over, of ``rows``."""


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What became of each layer of a network and of each in a file."""

    source: str
    """The file."""
    layers: tuple[LayerReport, ...]
    """The network's in order, then those of the file that no layer took."""
    loaded_share: float
    """Share of the network's numbers that came from the file."""

    def of(self, outcome: Outcome) -> tuple[LayerReport, ...]:
        """Return the layers of one outcome."""
        return tuple(layer for layer in self.layers if layer.outcome == outcome)

    @property
    def is_complete(self) -> bool:
        """Whether every layer came from the file and every one in the file was taken."""
        return all(layer.outcome == "loaded" for layer in self.layers)

    def lines(self, most: int = MAX_LINES) -> Iterator[str]:
        """Yield it in words: a line of numbers, then each layer that is not as in the file."""
        taken = len(self.of("loaded"))
        wanted = sum(layer.wanted is not None for layer in self.layers)
        share = 1.0 if self.loaded_share == 1 else min(self.loaded_share, 0.999)
        yield f"{count(taken)} of {count(wanted)} layers from {self.source}, {share:.1%} of the weights"
        others = [layer for layer in self.layers if layer.outcome != "loaded"]
        for layer in others[:most]:
            yield _line(layer)
        if len(others) > most:
            yield f"and {count(len(others) - most)} more layers that differ"

    def mismatch(self, most: int = MAX_NAMED) -> str:
        """Return in one line which layers do not match, the first ones by name."""
        parts = []
        for outcome, words in _MISMATCHES.items():
            layers = self.of(outcome)
            named = ", ".join(_shown(layer) for layer in layers[:most])
            more = f" and {count(len(layers) - most)} more" if len(layers) > most else ""
            parts += [f"{words}: {named}{more}"] if layers else []
        return "; ".join(parts)


def init_from(
    network: nn.Module,
    path: Path,
    *,
    columns: Sequence[str] = (),
    from_columns: Sequence[str] = (),
    heads: Collection[str] | None = None,
    use_ema: bool = True,
) -> WeightsReport:
    """Lay the weights of a file into a network; what does not fit stays as it is.

    Parameters
    ----------
    network
        The network; changed in place.
    path
        A checkpoint: plain weights by name, or a table that holds them.
    columns, from_columns
        Output channels of the network and of the one that was saved. Where both are known and differ, the
        heads' rows of shared columns are taken over.
    heads
        Names of the layers whose outputs are the columns; None: the last two.
    use_ema
        Whether averaged weights are taken where the file has them.

    Returns
    -------
    WeightsReport
        Layer by layer.

    Raises
    ------
    MissingDataError
        If the file is not there.
    DataError
        If it holds no weights, is cut short, or no layer fits.
    """
    given = read_weights(path, use_ema=use_ema)
    report = lay_in(network, given, str(path), columns=columns, from_columns=from_columns, heads=heads)
    if report.loaded_share == 0:
        raise DataError(
            f"{path} holds weights of another network: none of its {count(len(given))} layers fits",
            "name the network that it was trained with (architecture, model_kwargs), or give other weights",
        )
    return report


def init_from_checkpoint(
    network: nn.Module, card: ModelCard, path: Path, from_card: ModelCard | None = None, *, use_ema: bool = True
) -> WeightsReport:
    """Lay the weights of a checkpoint into the network of a card; see `init_from`."""
    before = () if from_card is None else from_card.columns
    return init_from(
        network, path, columns=card.columns, from_columns=before, heads=head_layers(card), use_ema=use_ema
    )


def head_layers(card: ModelCard) -> frozenset[str] | None:
    """Return the names of the layers whose outputs are the columns; None for a configuration's own network."""
    if card.architecture == OWN:
        return None
    few, more = (without_values(replace(card, columns=card.columns + extra)) for extra in ((), ("one more",)))
    wider = more.state_dict()
    return frozenset(name for name, part in few.state_dict().items() if part.shape != wider[name].shape)


def lay_in(
    network: nn.Module,
    given: Mapping[str, Tensor],
    source: str = "",
    *,
    columns: Sequence[str] = (),
    from_columns: Sequence[str] = (),
    heads: Collection[str] | None = None,
) -> WeightsReport:
    """Lay weights into a network and report; see `init_from`."""
    own = network.state_dict()
    changed = bool(columns and from_columns) and tuple(columns) != tuple(from_columns)
    ends = frozenset(list(own)[-2:] if heads is None else heads) if changed else frozenset()
    layers = []
    taken = 0
    with torch.no_grad():
        for name, tensor in own.items():
            found = given.get(name)
            if found is not None and name in ends:
                layer = _head_laid(name, tensor, found, columns, from_columns)
            else:
                layer = _laid(name, tensor, found)
            layers.append(layer)
            taken += _numbers_taken(layer, tensor)
    spare = (name for name in given if name not in own)
    layers += [LayerReport(name, "not used", None, tuple(given[name].shape)) for name in spare]
    total = sum(tensor.numel() for tensor in own.values())
    return WeightsReport(source, tuple(layers), taken / max(1, total))


def read_weights(path: Path, *, use_ema: bool = True) -> dict[str, Tensor]:
    """Return the weights in a file by name, on the CPU, without the names of wrappers.

    Raises
    ------
    MissingDataError
        If it is not there.
    DataError
        If it is cut short, no checkpoint, or holds objects rather than weights.
    """
    found = _weights_in(load_file(path), use_ema=use_ema)
    if not found:
        raise DataError(f"{path} holds no weights", "give a .pth file of a training run")
    return {_bare(name): tensor for name, tensor in found.items()}


def load_file(path: Path) -> Any:
    """Return what a file of torch holds, without running code from it.

    Raises
    ------
    MissingDataError
        If it is not there.
    DataError
        If it is cut short or damaged, no file of torch, or holds more than weights and plain values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old pickle protocols; what cannot be read is an error below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        _check_sums(path)
        return loaded
    except FileNotFoundError:
        raise MissingDataError(f"no checkpoint {path}", "check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder", "give a .pth file in it") from None
    except pickle.UnpicklingError as error:
        raise DataError(*_unpickling(path, error)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        # The rest of what torch says is advice about its own parts; a key alone says nothing.
        told = "" if isinstance(error, KeyError) else printable(" ".join(str(error).split()).partition(". ")[0])[:160]
        raise DataError(
            f"{path} is cut short or no checkpoint{told and f': {told}'}", "copy it anew, or take an older checkpoint"
        ) from None


def _check_sums(path: Path) -> None:
    """Refuse a file whose bytes have changed since it was written, which torch reads without a word.

    Raises
    ------
    DataError
        If a part of it is not what its checksum says.
    """
    if not zipfile.is_zipfile(path):
        return  # torch's format of before 2020 has no checksums
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if not part.CRC:
                continue  # torch can be told to write none
            try:
                with archive.open(part) as data:
                    while data.read(_AT_ONCE_BYTES):
                        pass
            except zipfile.BadZipFile:
                raise DataError(
                    f"{path} is damaged: {printable(part.filename)} is not as it was written",
                    "copy it anew, or take an older checkpoint",
                ) from None


def _unpickling(path: Path, error: Exception) -> tuple[str, str]:
    if "nsupported global" in str(error) or "nsupported class" in str(error):
        return (
            f"{path} holds Python objects beside weights, and these are not loaded: they can run code",
            "save the network's state_dict() and give that",
        )
    return f"{path} is cut short or no checkpoint", "copy it anew, or take an older checkpoint"


def _weights_in(loaded: Any, *, use_ema: bool) -> dict[str, Tensor]:
    if not isinstance(loaded, dict):
        return {}
    places = (*EMA_KEYS, *PLAIN_KEYS) if use_ema else (*PLAIN_KEYS, *EMA_KEYS)
    for place in places:
        if isinstance(loaded.get(place), dict):
            inner = _weights_in(loaded[place], use_ema=use_ema)
            if inner:
                return inner
    return {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        while name.startswith(prefix):
            name = name.removeprefix(prefix)
    return name


def _laid(name: str, tensor: Tensor, given: Tensor | None) -> LayerReport:
    wanted = tuple(tensor.shape)
    if given is None:
        return LayerReport(name, "missing", wanted, None)
    found = tuple(given.shape)
    if wanted != found:
        return LayerReport(name, "other shape", wanted, found)
    tensor.copy_(given)
    return LayerReport(name, "loaded", wanted, found)


def _head_laid(
    name: str, tensor: Tensor, given: Tensor, columns: Sequence[str], before: Sequence[str]
) -> LayerReport:
    wanted, found = tuple(tensor.shape), tuple(given.shape)
    if not (wanted and found) or wanted[1:] != found[1:] or (wanted[0], found[0]) != (len(columns), len(before)):
        return LayerReport(name, "other shape", wanted, found)
    shared = [(row, before.index(word)) for row, word in enumerate(columns) if word in before]
    for row, place in shared:
        tensor[row].copy_(given[place])
    return LayerReport(name, "rows", wanted, found, len(shared))


def _numbers_taken(layer: LayerReport, tensor: Tensor) -> int:
    if layer.outcome == "loaded":
        return tensor.numel()
    return tensor[0].numel() * layer.rows if layer.outcome == "rows" else 0


def _line(layer: LayerReport) -> str:
    wanted, found = (_shape(shape) for shape in (layer.wanted, layer.found))
    name = printable(layer.name)
    if layer.outcome == "rows":
        kept = layer.wanted[0] if layer.wanted else 0
        return f"{name}: {layer.rows} of {kept} output channels taken over, the others start fresh"
    if layer.outcome == "other shape":
        return f"{name}: {found} in the file, {wanted} in the network; starts fresh"
    if layer.outcome == "missing":
        return f"{name}: not in the file; starts fresh"
    return f"{name}: only in the file; not used"


def _shown(layer: LayerReport) -> str:
    name = printable(layer.name)
    if layer.outcome != "other shape":
        return name
    return f"{name} ({_shape(layer.found)} in the file, {_shape(layer.wanted)} in the network)"


def _shape(shape: tuple[int, ...] | None) -> str:
    return "×".join(map(str, shape)) if shape else "a number"
