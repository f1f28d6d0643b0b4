"""Where policies come from and go to: torch modules, safetensors files, checkpoints.

Nothing here imports torch before a checkpoint is read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.policies.files import read_file, write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ACTIVATIONS",
    "check_hidden",
    "of_checkpoint",
    "of_file",
    "of_module",
    "refuse_module",
    "to_file",
]

ACTIVATIONS = {"Tanh": "tanh", "ReLU": "relu", "SiLU": "silu"}
"""Activations by the names of torch's modules."""

_BUFFERS = {
    "centre": "centre",
    "scale": "scale",
    "log_std": "log_std",
    "low": "action_low",
    "high": "action_high",
}
"""Names of a policy's arrays in an `ActorCritic`."""
_MEAN_ACTION = ("mean_action", "normalised", "clip", "forward", "__call__")
"""What an `ActorCritic` computes its actions with."""


def refuse_module(where: str, policy: Any) -> None:
    """Refuse a torch module where a function of arrays is wanted: it takes tensors.

    Raises
    ------
    TypeError
        When it is a module; the message says what to hand in instead.
    """
    torch = sys.modules.get("torch")  # who has a module has imported it
    if torch is not None and isinstance(policy, torch.nn.Module):
        raise TypeError(
            f"{where}: must be a function of numpy arrays, got the torch module {type(policy).__name__}; "
            "MlpPolicy.from_torch(module) makes one of it"
        )


def of_module(module: Any) -> dict[str, Any]:
    """Return the arguments of `MlpPolicy` that a torch module holds.

    Raises
    ------
    TypeError
        When the module is no `ActorCritic` and no sequence of layers, or computes something else than its
        layers one after another: a ``forward`` (an `ActorCritic`: a `mean_action`) or hooks of its own.
    ValueError
        When the layers are others than the core computes.
    """
    # Whoever has a module of torch, or an ActorCritic, has imported it already.
    training = sys.modules.get("vecmarket.training.policy")
    if training is None or not isinstance(module, training.ActorCritic):
        return _sequence("module", module)
    for name in _MEAN_ACTION:
        if getattr(type(module), name) is not getattr(training.ActorCritic, name) or name in vars(module):
            raise TypeError(f"module: {type(module).__name__} has a {name} of its own, which is not copied")
    found = _sequence("module.actor", module.actor)
    for name, buffer in _BUFFERS.items():
        found[name] = _numpy(getattr(module, buffer))
    return found


def of_file(path: Path) -> dict[str, Any]:
    """Return the arguments of `MlpPolicy` that a safetensors file holds.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, no policy, or of another version.
    """
    shape, tensors = read_file(path)
    try:
        found = _tensors(tensors) | {"activation": shape["activation"]}
        check_hidden(shape["hidden"], tensors)
        return found
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: incomplete policy: {error}") from error


def check_hidden(hidden: Any, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Refuse hidden widths in a file's metadata that are not those of its arrays.

    Raises
    ------
    ValueError
        When they differ.
    KeyError, TypeError
        When the arrays are not those of a policy.
    """
    widths = [len(bias) for bias in _tensors(tensors)["biases"]][:-1]
    if hidden != widths:
        raise ValueError(f"hidden: must be {widths}, as the arrays are, got {hidden!r}")


def of_checkpoint(path: Path) -> dict[str, Any]:
    """Return the arguments of `MlpPolicy` that a run's checkpoint holds; torch reads it.

    Raises
    ------
    FileNotFoundError
        When there is no checkpoint.
    ValueError
        When the file is no checkpoint, damaged, or of another version.
    """
    from vecmarket.training.checkpoints import checkpoint_path, load_checkpoint

    checkpoint = load_checkpoint(checkpoint_path(path))
    try:
        tensors = {name: _numpy(tensor) for name, tensor in checkpoint.learner["model"].items()}
        return _tensors(tensors) | {"activation": checkpoint.config.ppo.activation}
    except (KeyError, AttributeError) as error:
        raise ValueError(f"{path}: incomplete policy: {error}") from error


def to_file(path: Path, widths: tuple[int, ...], fields: Mapping[str, Any]) -> None:
    """Write a policy as a safetensors file, beside and renamed.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    arrays = {buffer: fields[name] for name, buffer in _BUFFERS.items()}
    for i, (weight, bias) in enumerate(zip(fields["weights"], fields["biases"], strict=True)):
        arrays |= {f"actor.{2 * i}.weight": weight, f"actor.{2 * i}.bias": bias}
    write_file(path, {"hidden": list(widths[1:-1]), "activation": fields["activation"]}, arrays)


def _tensors(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Take the actor from the tensors of an `ActorCritic`, by their names."""
    found: dict[str, Any] = {name: tensors[buffer] for name, buffer in _BUFFERS.items()}
    # Linear layers stand at even places of the actor, activations in between.
    count = len([name for name in tensors if name.startswith("actor.") and name.endswith(".weight")])
    found["weights"] = [tensors[f"actor.{2 * i}.weight"] for i in range(count)]
    found["biases"] = [tensors[f"actor.{2 * i}.bias"] for i in range(count)]
    return found


def _sequence(name: str, module: Any) -> dict[str, Any]:
    """Return weights, biases and the activation of a sequence of torch's layers."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Sequential):
        raise TypeError(f"{name}: must be an ActorCritic or a Sequential, got {type(module).__name__}")
    _check_plain(name, module, torch.nn.Sequential)
    weights: list[NDArray[Any]] = []
    biases: list[NDArray[Any]] = []
    kinds: set[str] = set()
    for i, layer in enumerate(module):
        kind = type(layer).__name__
        wanted = ["Linear"] if i % 2 == 0 else list(ACTIVATIONS)
        if kind not in wanted:
            raise ValueError(f"{name}[{i}]: must be {' or '.join(wanted)}, got {kind}")
        _check_plain(f"{name}[{i}]", layer, _layer(kind, layer))
        if i % 2 == 1:
            kinds.add(kind)
            continue
        weights.append(_numpy(layer.weight))
        biases.append(np.zeros(len(weights[-1])) if layer.bias is None else _numpy(layer.bias))
    if len(module) % 2 == 0:
        raise ValueError(f"{name}: must end with a Linear layer")
    if len(kinds) > 1:
        raise ValueError(f"{name}: must have one kind of activation, got {' and '.join(sorted(kinds))}")
    activation = ACTIVATIONS[kinds.pop()] if kinds else "tanh"
    return {"weights": weights, "biases": biases, "activation": activation}


def _layer(kind: str, layer: Any) -> Any:
    """Return the class that a layer of this name should be: torch's, or the trainer's where it has one."""
    ours = getattr(sys.modules.get("vecmarket.training.layers"), kind, None)
    return ours if ours is not None and isinstance(layer, ours) else getattr(sys.modules["torch"].nn, kind)


def _check_plain(name: str, module: Any, kind: Any) -> None:
    """Refuse a module that computes something else than its kind does."""
    own = type(module)
    for method in ("forward", "__call__"):
        if getattr(own, method) is not getattr(kind, method) or method in vars(module):
            raise TypeError(f"{name}: {own.__name__} has a {method} of its own, which is not copied")
    if module._forward_hooks or module._forward_pre_hooks:
        raise TypeError(f"{name}: {own.__name__} has forward hooks, which are not copied; remove them first")


def _numpy(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().float().numpy()
    return array
