"""The actor and the critic: two small networks over a flat observation, for a Box of actions."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray
from torch import Tensor, nn

from vecmarket.policies.arrays import frozen
from vecmarket.policies.files import read_file, write_file
from vecmarket.policies.sources import check_hidden
from vecmarket.training.layers import Linear, Tanh

__all__ = [
    "ACTIVATIONS",
    "ActorCritic",
    "GaussianActorCritic",
    "NumpyPolicy",
    "as_numpy_policy",
    "load_policy",
    "save_policy",
]

NumpyPolicy = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (N, F) to actions (N, A), both float32."""

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": nn.ReLU, "silu": nn.SiLU}
"""Activations of the hidden layers by name."""

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
_LARGEST_BOUND = 1e6  # a bound beyond this says "unbounded" (CartPole's are 3.4e38): nothing to scale by


class GaussianActorCritic:
    """What a Gaussian policy and its value function compute, whatever networks stand behind them.

    Shapes are those of one agent, n rows each; with B agents side by side everything has B in front.
    """

    centre: Tensor  # (F,), and (B, 1, F) for B agents
    scale: Tensor  # the same
    action_low: Tensor  # (A,), and (B, 1, A)
    action_high: Tensor  # the same
    log_std: Tensor  # the same
    actor: Callable[[Tensor], Tensor]
    critic: Callable[[Tensor], Tensor]

    def normalised(self, observations: Tensor) -> Tensor:
        """Return `observations` (n, F) as the networks see them."""
        return (observations - self.centre) / self.scale

    def mean_action(self, observations: Tensor) -> Tensor:
        """Return the mean of the policy, (n, A), before it is clipped to the action space."""
        return self.actor(self.normalised(observations))

    def value(self, observations: Tensor) -> Tensor:
        """Return the critic's value of each observation, (n,)."""
        return self.critic(self.normalised(observations)).squeeze(-1)

    def evaluate(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities (n,) of given actions, the policy's entropy () and the values (n,)."""
        seen = self.normalised(observations)
        log_prob = self.log_prob(self.actor(seen), actions)
        return log_prob, self.entropy(), self.critic(seen).squeeze(-1)

    def log_prob(self, mean: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density (n,) of `actions` (n, A) under independent normals around `mean`."""
        return self.noise_log_prob((actions - mean) * torch.exp(-self.log_std))

    def noise_log_prob(self, noise: Tensor) -> Tensor:
        """Return the log-density (n,) of the actions that standard normal `noise` (n, A) leads to."""
        return -(0.5 * noise.square() + self.log_std + _HALF_LOG_2PI).sum(-1)

    def entropy(self) -> Tensor:
        """Return the entropy () of the policy, the same in every state."""
        return (self.log_std + 0.5 + _HALF_LOG_2PI).sum(-1)

    def clip(self, actions: Tensor) -> Tensor:
        """Return `actions` (n, A) clipped to the bounds of the action space."""
        return torch.clamp(actions, self.action_low, self.action_high)


class ActorCritic(nn.Module, GaussianActorCritic):
    """A Gaussian policy with a state-independent spread, and a value function of its own.

    Actor and critic share no weights. Observations are first mapped from the bounds of their space to
    [-x, x], x the `observation_range` (features without finite bounds pass as they are). This fixed map is
    part of the model, so that a saved policy takes raw observations.

    Parameters
    ----------
    observation_space, action_space
        Box spaces of one environment, with shapes (F,) and (A,).
    hidden
        Widths of the hidden layers.
    activation
        One of `ACTIVATIONS`.
    initial_log_std
        Starting value of the policy's log standard deviation.
    observation_range
        Bound of the mapped observations; None for no map.
    generator
        Source of the initial weights; a fresh one with seed 0 when left out.

    Raises
    ------
    ValueError
        When a space is not a flat Box, or the activation is unknown.

    Notes
    -----
    Initialisation is orthogonal, with gain sqrt(2) for hidden layers, 0.01 for the actor's head and 1 for the
    critic's, biases 0: Andrychowicz et al., "What Matters In On-Policy Reinforcement Learning?", 2021.
    """

    def __init__(
        self,
        observation_space: Space[NDArray[np.float32]],
        action_space: Space[NDArray[np.float32]],
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        initial_log_std: float = 0.0,
        observation_range: float | None = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        observations = _flat_box(observation_space, "observation_space")
        actions = _flat_box(action_space, "action_space")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if generator is None:
            generator = torch.Generator().manual_seed(0)
        self.hidden = tuple(hidden)
        self.activation = activation
        features, size = observations.shape[0], actions.shape[0]

        centre, scale = np.zeros(features, np.float32), np.ones(features, np.float32)
        if observation_range is not None:
            centre, scale = _centre_and_scale(observations, observation_range)
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("scale", torch.tensor(scale))
        self.register_buffer("action_low", torch.tensor(actions.low, dtype=torch.float32))
        self.register_buffer("action_high", torch.tensor(actions.high, dtype=torch.float32))

        self.actor: nn.Sequential = _mlp([features, *hidden, size], activation, 0.01, generator)
        self.critic: nn.Sequential = _mlp([features, *hidden, 1], activation, 1.0, generator)
        self.log_std = nn.Parameter(torch.full((size,), float(initial_log_std)))  # (A,)


def as_numpy_policy(model: ActorCritic) -> NumpyPolicy:
    """Return the deterministic policy (the mean action, clipped to the action space) as a NumPy function.

    The function maps float32 observations (N, F) to float32 actions (N, A), C-contiguous. It reads the
    model's weights at each call, so it follows a model that is still being trained.
    """

    def policy(observations: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            rows = torch.tensor(observations, dtype=torch.float32, device=model.log_std.device)
            actions: NDArray[np.float32] = model.clip(model.mean_action(rows)).cpu().numpy()
        return actions

    return policy


def save_policy(model: ActorCritic, path: str | os.PathLike[str]) -> None:
    """Write the model's weights, bounds and shape as a safetensors file, beside and renamed."""
    shape = {"hidden": list(model.hidden), "activation": model.activation}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    write_file(Path(path), shape, arrays)


def load_policy(path: str | os.PathLike[str]) -> ActorCritic:
    """Read a model that `save_policy` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, no policy, of another version, or holds what is no finite number.
    """
    shape, arrays = read_file(Path(path))
    try:
        check_hidden(shape["hidden"], arrays)
        for name, array in arrays.items():
            frozen(name, array, infinite=name in ("action_low", "action_high"))  # refuses NaN
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        features, actions = tensors["centre"].shape, tensors["action_low"].shape
        model = ActorCritic(
            Box(-np.inf, np.inf, tuple(features)),
            Box(-np.inf, np.inf, tuple(actions)),
            hidden=shape["hidden"],
            activation=shape["activation"],
        )
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: incomplete policy: {error}") from error
    return model


def _mlp(
    widths: Sequence[int], activation: str, head_gain: float, generator: torch.Generator
) -> nn.Sequential:
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for i, (rows, columns) in enumerate(itertools.pairwise(widths)):
        # skip_init: the usual constructor would draw weights from torch's global generator
        linear: nn.Linear = nn.utils.skip_init(Linear, rows, columns)  # type: ignore[no-untyped-call]
        nn.init.orthogonal_(linear.weight, head_gain if i == last else math.sqrt(2.0), generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear] if i == last else [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


def _flat_box(space: Space[NDArray[np.float32]], name: str) -> Box:
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(f"{name}: must be a Box of shape (n,), got {space}")
    return space


def _centre_and_scale(space: Box, reach: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what maps the bounds of a space to [-reach, reach], (F,) each; a constant feature becomes 0."""
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    bounded = (low > -_LARGEST_BOUND) & (high < _LARGEST_BOUND)
    low, high = np.where(bounded, low, -reach), np.where(bounded, high, reach)
    scale = np.where(high > low, (high - low) / (2.0 * reach), 1.0)
    return ((low + high) / 2.0).astype(np.float32), scale.astype(np.float32)
