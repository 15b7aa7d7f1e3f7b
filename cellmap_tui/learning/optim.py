"""The optimiser of a configuration: one of torch by name, or an object of a Python file."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from cellmap_tui.errors import RequestError
from cellmap_tui.learning.config_objects import PythonObject
from cellmap_tui.text import nearest

if TYPE_CHECKING:
    from torch import nn

    from cellmap_tui.learning.config_model import TrainConfig

_SETTLED = frozenset({"params", "self", "lr", "foreach", "fused", "capturable", "differentiable", "maximize"})
"""Arguments that are not options of a configuration."""
_FUSED = frozenset({"AdamW", "Adam", "SGD", "Adagrad"})


def build_optimizer(config: TrainConfig, network: nn.Module, own: Any = None) -> torch.optim.Optimizer:
    """Return the optimiser of a configuration for the weights of a network that is on its device.

    Parameters
    ----------
    config
        A checked configuration.
    network
        The network.
    own
        The object that the configuration's Python file holds as ``optimizer``, where it is one.

    Raises
    ------
    RequestError
        If an option is none of the optimiser's, names the nearest; or if the object belongs to another network.
    """
    given = config.optimizer if own is None or isinstance(config.optimizer, str) else own
    if isinstance(given, PythonObject):
        raise RequestError("the configuration's own optimizer is not at hand", "give its Python file")
    if isinstance(given, torch.optim.Optimizer):
        return _checked_instance(given, network)
    kind = getattr(torch.optim, given) if isinstance(given, str) else given
    options = {"lr": config.learning_rate, **_options(kind, config.optimizer_kwargs)}
    weights = [part for part in network.parameters() if part.requires_grad]
    if not weights:
        raise RequestError(
            "the network has no weights to learn", "give a network whose parameters require a gradient"
        )
    if isinstance(given, str) and given in _FUSED and weights[0].device.type == "cuda":
        options["fused"] = True
    try:
        made = kind(weights, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"optimizer {_name(kind)}: {error}", "check optimizer_kwargs") from None
    if not isinstance(made, torch.optim.Optimizer):
        raise RequestError(f"optimizer {_name(kind)} makes no optimiser of torch", "give a torch.optim.Optimizer")
    return made


def group_step_sizes(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return the step size of each group of weights."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def _options(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return options with lists as tuples, after a look at whether the optimiser has them."""
    try:
        takes = inspect.signature(kind).parameters
    except (TypeError, ValueError):
        return dict(given)
    if any(part.kind is inspect.Parameter.VAR_KEYWORD for part in takes.values()):
        return dict(given)
    known = [name for name in takes if name not in _SETTLED]
    for name in given:
        if name == "lr":
            raise RequestError(
                "optimizer_kwargs: the step size is learning_rate", "say learning_rate = … instead of lr"
            )
        if name not in takes:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
            raise RequestError(f"optimizer_kwargs: {_name(kind)} has no option {name!r}", hint)
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _checked_instance(given: torch.optim.Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    held = {id(part) for group in given.param_groups for part in group["params"]}
    if not held <= {id(part) for part in network.parameters()}:
        raise RequestError(
            "the configuration's optimizer holds the weights of another network",
            "make it from the configuration's own model, or name it: optimizer = torch.optim.AdamW",
        )
    return given


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", type(kind).__name__))
