"""The networks of B agents side by side, evaluated together, and Adam for all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from vecmarket.training.layers import stacked_linear
from vecmarket.training.policy import ACTIVATIONS, ActorCritic, GaussianActorCritic

__all__ = ["StackedActorCritic", "StackedAdam"]

_BOUNDS = ("centre", "scale", "action_low", "action_high")
_BETA1, _BETA2 = 0.9, 0.999


class StackedActorCritic(GaussianActorCritic):
    """B actor-critics of one shape; each layer of all agents is one batched product.

    Everything that an `ActorCritic` computes has B in front: observations (B, n, F), actions (B, n, A).
    Agents may differ in the bounds of their spaces.

    Parameters
    ----------
    like
        An actor-critic of that shape; its own weights do not matter.
    weights
        Float (B, P): in row b the weights of agent b in the order of `ActorCritic.parameters`, the log
        standard deviation first.
    bounds
        The buffers of the actor-critics by name, (B, 1, F) or (B, 1, A) each.
    """

    def __init__(self, like: ActorCritic, weights: Tensor, bounds: dict[str, Tensor]) -> None:
        self.like = like
        self.weights = weights
        self.bounds = bounds
        for name in _BOUNDS:
            setattr(self, name, bounds[name])
        named = dict(like.named_parameters())
        parts = torch.split(weights, [parameter.numel() for parameter in named.values()], dim=1)
        tensors = {
            name: part.view(-1, *parameter.shape)
            for part, (name, parameter) in zip(parts, named.items(), strict=True)
        }
        self.log_std = tensors["log_std"].unsqueeze(1)
        self.actor = _network(like.actor, "actor", tensors, like.activation)
        self.critic = _network(like.critic, "critic", tensors, like.activation)

    @classmethod
    def of(cls, models: Sequence[ActorCritic]) -> StackedActorCritic:
        """Put copies of some actor-critics side by side."""
        with torch.no_grad():
            weights = torch.stack([parameters_to_vector(model.parameters()) for model in models])
        bounds = {name: torch.stack([getattr(model, name) for model in models])[:, None] for name in _BOUNDS}
        return cls(copy.deepcopy(models[0]), weights, bounds)

    def chosen(self, agents: Tensor) -> StackedActorCritic:
        """Return a copy of some of the agents, by place (b,)."""
        bounds = {name: bound[agents] for name, bound in self.bounds.items()}
        return StackedActorCritic(self.like, self.weights[agents], bounds)

    def with_weights(self, weights: Tensor) -> StackedActorCritic:
        """Return the same agents on other weights (B, P), to which gradients then flow."""
        return StackedActorCritic(self.like, weights, self.bounds)

    def model(self, agent: int) -> ActorCritic:
        """Return a copy of one agent's networks."""
        model = copy.deepcopy(self.like)
        at = 0
        with torch.no_grad():
            for parameter in model.parameters():
                part = self.weights[agent, at : at + parameter.numel()]
                parameter.copy_(part.view(parameter.shape))
                at += parameter.numel()
            for name in _BOUNDS:
                getattr(model, name).copy_(self.bounds[name][agent, 0])
        return model

    def entropy(self) -> Tensor:
        """Return the entropy of each policy, (B,)."""
        return super().entropy().squeeze(1)


class StackedAdam:
    """Adam on weights (B, P), with a count of steps for each agent.

    Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1, with the moments'
    decay 0.9 and 0.999, as `torch.optim.Adam` has it.
    """

    def __init__(self, weights: Tensor, epsilon: float) -> None:
        self.epsilon = epsilon
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.steps = torch.zeros(len(weights), 1, dtype=torch.float64, device=weights.device)

    def step(self, weights: Tensor, gradient: Tensor, rate: float) -> None:
        """Change `weights` (B, P) in place."""
        self.steps += 1.0
        self.first.lerp_(gradient, 1.0 - _BETA1)
        self.second.mul_(_BETA2).addcmul_(gradient, gradient, value=1.0 - _BETA2)
        size = (rate / (1.0 - _BETA1**self.steps)).float()
        scale = (1.0 - _BETA2**self.steps).sqrt().float()
        weights -= size * self.first / ((self.second.sqrt() / scale).add_(self.epsilon))

    def chosen(self, agents: Tensor) -> StackedAdam:
        """Return a copy of some of the agents' part, by place (b,)."""
        part = StackedAdam(self.first[:0], self.epsilon)
        part.first, part.second, part.steps = self.first[agents], self.second[agents], self.steps[agents]
        return part

    def take(self, agents: Tensor, part: StackedAdam) -> None:
        """Take back what `chosen` gave."""
        self.first[agents], self.second[agents], self.steps[agents] = part.first, part.second, part.steps

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` takes."""
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        for name, mine in self.state().items():
            mine.copy_(state[name])


def _network(
    network: nn.Sequential, name: str, tensors: dict[str, Tensor], activation: str
) -> Callable[[Tensor], Tensor]:
    """Return the stacked counterpart of one network, on weights by their names in the actor-critic."""
    places = [i for i, layer in enumerate(network) if isinstance(layer, nn.Linear)]
    layers = [(tensors[f"{name}.{i}.weight"], tensors[f"{name}.{i}.bias"]) for i in places]
    activate: nn.Module = ACTIVATIONS[activation]()

    def forward(rows: Tensor) -> Tensor:
        for weights, biases in layers[:-1]:
            rows = activate(stacked_linear(rows, weights, biases))
        return stacked_linear(rows, *layers[-1])

    return forward
