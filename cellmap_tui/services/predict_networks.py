"""The networks of a prediction: found, checked against their weights layer by layer, laid onto devices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import DataError, MissingDataError, RefusedError, RequestError
from cellmap_tui.services.predict_ensemble import Ensemble, RunChoice, read_ensemble
from cellmap_tui.text import nearest, voxel

if TYPE_CHECKING:
    from torch import nn

    from cellmap_tui.learning.checkpoints import CheckpointFiles
    from cellmap_tui.learning.ensemble import Member
    from cellmap_tui.learning.model_card import ModelCard
    from cellmap_tui.services.predict_model import PredictRequest, Which

CONFIG_SUFFIXES = (".toml", ".py")
_CORE = "/core"


@dataclass(slots=True, eq=False)
class Network:
    """One network of a prediction."""

    choice: RunChoice
    """Who asked for it, and how much it counts."""
    files: CheckpointFiles
    """Its weights."""
    card: ModelCard
    """What it takes and gives, at the voxel size that it works at."""
    print: str
    """What tells its weights from others."""
    averaged: bool = True
    """Whether averaged weights are taken."""
    placed: dict[str, nn.Module] = field(default_factory=dict)
    """The network by device."""

    @property
    def words(self) -> str:
        """Return it for people."""
        epoch = f", epoch {self.files.epoch}" if self.files.epoch is not None else ""
        columns = len(self.card.columns)
        size = voxel(self.card.voxel_size_nm)
        return f"{self.files.weights}{epoch}: {self.card.architecture}, {columns} channels at {size} nm"

    def on(self, device: Any) -> nn.Module:
        """Return the network on a device, in evaluation.

        Raises
        ------
        DataError
            If the weights are of another network: names the layers that do not match.
        """
        name = str(device)
        if name not in self.placed:
            self.placed[name] = _loaded(self).to(device).eval()
        return self.placed[name]


def find_networks(request: PredictRequest) -> tuple[Ensemble, list[Network]]:
    """Return the networks that a request names, without their weights.

    Raises
    ------
    MissingDataError
        If a checkpoint is not there.
    RequestError
        If nobody knows what network it is of, or a configuration is wrong.
    """
    if request.ensemble is not None:
        ensemble = read_ensemble(request.ensemble)
    else:
        ensemble = Ensemble(
            tuple(RunChoice(f"{number}", place) for number, place in enumerate(request.checkpoints, 1))
        )
    return ensemble, [_network(choice, request) for choice in ensemble.runs]


def wanted_columns(
    request: PredictRequest, networks: list[Network], classes: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the columns that are predicted of a crop, in the order of the networks' own.

    Parameters
    ----------
    classes
        Classes that the crop asks for; None: whatever the networks know.

    Raises
    ------
    RequestError
        If a class is named that no network knows.
    """
    known = tuple(dict.fromkeys(name for network in networks for name in network.card.columns))
    plain = [name for name in known if not name.endswith(_CORE)]
    for name in request.classes:
        if name not in plain:
            near = nearest(name, plain)
            raise RequestError(
                f"no network knows the class {name!r}",
                f"did you mean {near!r}?" if near else f"they know {', '.join(plain)}",
            )
    chosen = request.classes or (plain if classes is None else [name for name in plain if name in classes])
    return tuple(
        name for name in known
        if name in chosen or (request.cores and name.endswith(_CORE) and name.removesuffix(_CORE) in chosen)
    )  # fmt: skip


def members_of(ensemble: Ensemble, networks: list[Network], columns: tuple[str, ...]) -> list[Member | None]:
    """Return what is taken of each network; None of those that nothing is taken of.

    A core is predicted by the networks of its class that know it.
    """
    from cellmap_tui.learning.ensemble import Member

    taken: dict[str, list[tuple[str, float]]] = {network.choice.name: [] for network in networks}
    for column in columns:
        knowing = [network.choice.name for network in networks if column in network.card.columns]
        name = column.removesuffix(_CORE)
        if column != name:
            of_class = [network.choice.name for network in networks if name in network.card.columns]
            weights = {run: w for run, w in ensemble.weights(name, of_class).items() if run in knowing}
        else:
            weights = ensemble.weights(column, knowing)
        total = sum(weights.values())
        for run, weight in weights.items():
            taken[run].append((column, weight / total))
    return [
        Member(network.choice.name, network.card, tuple(taken[network.choice.name]))
        if taken[network.choice.name]
        else None
        for network in networks
    ]


def _network(choice: RunChoice, request: PredictRequest) -> Network:
    from cellmap_tui.learning.checkpoints import find_checkpoint
    from cellmap_tui.learning.ensemble import at_voxel_size

    which: Which = choice.which or request.which  # type: ignore[assignment]
    place = Path(choice.checkpoint)
    if place.suffix in CONFIG_SUFFIXES and place.is_file():
        files, card = _of_config(place, request, which)
    else:
        files = find_checkpoint(place, which)
        if files.card is None:
            raise RequestError(
                f"nobody wrote down what network {files.weights} is of: no model.json beside it",
                "give the configuration that it was trained with in place of the checkpoint",
            )
        card = files.card
    _check_own(card, request)
    card = card if choice.scale_nm is None else at_voxel_size(card, choice.scale_nm)
    return Network(choice, files, card, _print(files, card, averaged=request.averaged), request.averaged)


def _of_config(path: Path, request: PredictRequest, which: Which) -> tuple[CheckpointFiles, ModelCard]:
    """Return the newest or best checkpoint that a configuration's training wrote, and its network."""
    from cellmap_tui.learning.checkpoints import find_checkpoint, names_of
    from cellmap_tui.learning.codebook import column_names
    from cellmap_tui.learning.config_checks import World, targets_for
    from cellmap_tui.learning.model_card import card_of
    from cellmap_tui.services.config import ConfigSource, known_labels, open_config

    source = ConfigSource(path, state_dir=request.state_dir, data_root=request.data_root, trust=request.trust)
    resolved = open_config(source)
    config = resolved.checked()
    base = Path(config.base_experiment_path) if config.base_experiment_path else path.parent
    try:
        files = find_checkpoint(names_of(config, base).folder, which, config.model_name)
    except MissingDataError as error:
        raise MissingDataError(
            f"the training of {path} has no checkpoints: {error.message}",
            "train first, or give the run's folder or a .pth file",
        ) from None
    if files.card is not None:
        return files, files.card
    targets = targets_for(config, World(labels=known_labels(request.data_root)))
    file, sha256 = resolved.python_files[0] if resolved.python_files else (None, "")
    return files, card_of(config, column_names(targets), python_sha256=sha256, python_path=file)


def _check_own(card: ModelCard, request: PredictRequest) -> None:
    """Refuse to run the Python file of a network that nobody allowed."""
    from cellmap_tui.learning.model_card import OWN
    from cellmap_tui.services.settings import load_settings
    from cellmap_tui.services.trust import is_trusted

    if card.architecture != OWN or request.trust or card.own_model is None:
        return
    state_dir = request.state_dir or load_settings().state_dir
    if not is_trusted(state_dir, card.own_model.sha256):
        raise RefusedError(
            f"the network is one that {card.own_model.path} builds, which is Python code nobody allowed to run",
            "look at it, then add --trust-config",
        )


def _loaded(network: Network) -> nn.Module:
    from cellmap_tui.learning.build_network import build_network
    from cellmap_tui.learning.weights import lay_in, read_weights

    module = build_network(network.card)
    files = network.files
    given = read_weights(files.weights) if network.averaged else _last_weights(files)
    report = lay_in(module, given, str(files.weights))
    if not report.is_complete:
        own = network.card.architecture
        raise DataError(
            f"{files.weights} is of another network than {own} of its card: {report.mismatch()}",
            "give the checkpoint with the model.json of its own run",
        )
    return module


def _last_weights(files: CheckpointFiles) -> Any:
    """Return the weights of the last step, where averaged ones were saved for use."""
    from cellmap_tui.learning.checkpoints import load_state
    from cellmap_tui.learning.weights import read_weights

    state = {} if files.state is None else load_state(files.state)
    own = state.get("model")
    return own if isinstance(own, dict) else read_weights(files.weights, use_ema=False)


def _print(files: CheckpointFiles, card: ModelCard, *, averaged: bool) -> str:
    from cellmap_tui.learning.model_card import card_json

    with files.weights.open("rb") as file:
        weights = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{weights} {card_json(card)} {averaged}".encode()).hexdigest()
