"""A learner's state between the core, whose arrays are flat, and torch, whose state is the checkpoint's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from vecmarket.training.config import PPOConfig
from vecmarket.training.policy import ActorCritic
from vecmarket.training.ppo import ADAM_EPSILON

__all__ = [
    "CoreLearner",
    "Moments",
    "State",
    "adam_arrays",
    "learner_state",
    "moments_state",
    "observation_moments",
    "pack",
    "reward_moments",
    "unpack",
]

State: TypeAlias = dict[str, Any]

Moments: TypeAlias = tuple[float, float, float]
"""Count, mean and variance of a stream of numbers."""

CoreLearner: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int]
"""Parameters, Adam's first and second moments, each in the order of a model's parameters; Adam's steps."""


def pack(tensors: Sequence[torch.Tensor]) -> NDArray[np.float32]:
    """Return the numbers of tensors, in the order of a model's parameters, as one array."""
    return torch.cat([tensor.flatten() for tensor in tensors]).numpy()


def unpack(parameters: NDArray[np.float32], model: ActorCritic) -> None:
    """Give a model the parameters that `pack` put in line."""
    at = 0
    with torch.no_grad():
        for own in model.parameters():
            own.copy_(torch.from_numpy(parameters[at : at + own.numel()]).view_as(own))
            at += own.numel()


def learner_state(
    model: ActorCritic, learner: CoreLearner, seen: Sequence[Moments], config: PPOConfig
) -> State:
    """Return the part of a `PPO` state that is a learner's own, copied: weights, Adam's, observations seen.

    The model has the learner's weights.
    """
    return {
        "model": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "optimiser": _adam_state(model, learner, config),
        "observation_scale": list(seen) if seen and seen[0][0] else [],
    }


def moments_state(moments: Moments) -> State:
    """Return moments as a state keeps those of rewards."""
    count, mean, variance = moments
    return {"count": int(count), "mean": mean, "variance": variance}


def reward_moments(part: State) -> Moments:
    """Return the moments of a learner's discounted returns from its part of a state."""
    scale = part["reward_scale"]
    return float(scale["count"]), float(scale["mean"]), float(scale["variance"])


def observation_moments(part: State, features: int) -> list[Moments]:
    """Return the moments of a learner's observations from its part of a state; zeros where nothing was seen.

    `features` is the number of those that are kept, 0 where observations are mapped in another way.
    """
    seen = part["observation_scale"] or [(0.0, 0.0, 0.0)] * features
    return [(float(count), float(mean), float(variance)) for count, mean, variance in seen]


def adam_arrays(model: ActorCritic, optimiser: State) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Return first and second moments of all parameters and the steps taken, from Adam's state."""
    first, second, steps, index = [], [], 0, 0
    for own in model.parameters():
        known = optimiser["state"].get(index) if own.requires_grad else None
        index += own.requires_grad
        if known is None:
            first.append(torch.zeros_like(own))
            second.append(torch.zeros_like(own))
        else:
            first.append(known["exp_avg"])
            second.append(known["exp_avg_sq"])
            steps = int(known["step"])
    return pack([x.detach() for x in first]), pack([x.detach() for x in second]), steps


def _adam_state(model: ActorCritic, learner: CoreLearner, config: PPOConfig) -> State:
    """Return what `torch.optim.Adam.state_dict` would, over the parameters that are learned."""
    _, first, second, steps = learner
    state: dict[int, State] = {}
    at = 0
    for own in model.parameters():
        part = slice(at, at + own.numel())
        at += own.numel()
        if own.requires_grad and steps:
            state[len(state)] = {
                "step": torch.tensor(float(steps)),
                "exp_avg": torch.from_numpy(first[part].copy()).view_as(own),
                "exp_avg_sq": torch.from_numpy(second[part].copy()).view_as(own),
            }
    learned = sum(own.requires_grad for own in model.parameters())
    group = {**_adam_group(config.learning_rate), "params": list(range(learned))}
    return {"state": state, "param_groups": [group]}


@functools.cache
def _adam_group(learning_rate: float) -> State:
    """Return the settings of Adam as its state has them. To make one takes longer than all the copies."""
    optimiser = torch.optim.Adam([torch.zeros(1)], lr=learning_rate, eps=ADAM_EPSILON, fused=True)
    (group,) = optimiser.state_dict()["param_groups"]
    return dict(group)
