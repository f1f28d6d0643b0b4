"""Where policies come from: modules that compute something else than their layers are no policies."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

import vecmarket as vm
from vecmarket.training import ActorCritic
from vecmarket.training.layers import Tanh


def layers() -> list[nn.Module]:
    return [nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)]


def actor_critic(kind: type[ActorCritic] = ActorCritic) -> ActorCritic:
    return kind(Box(-1.0, 1.0, (3,)), Box(np.float32([0, -10]), np.float32([1, 10])), hidden=(4,))


class Doubled(nn.Sequential):
    def forward(self, input: Tensor) -> Tensor:
        return 2.0 * super().forward(input)


class Called(nn.Sequential):
    def __call__(self, input: Tensor) -> Tensor:
        return 2.0 * super().__call__(input)


class HasActor(nn.Module):
    def __init__(self, actor: Any) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, input: Tensor) -> Tensor:
        return 2.0 * self.actor(input)


class Shifted(ActorCritic):
    def mean_action(self, observations: Tensor) -> Tensor:
        return super().mean_action(observations) + 1.0


class Scaled(ActorCritic):
    def normalised(self, observations: Tensor) -> Tensor:
        return 3.0 * observations


class Forward(ActorCritic):
    def forward(self, observations: Tensor) -> Tensor:
        return 3.0 * self.mean_action(observations)


class Named(nn.Sequential):
    """A Sequential that computes what its layers do."""


class Valued(ActorCritic):
    """An ActorCritic with another critic, which a policy has no use for."""

    def value(self, observations: Tensor) -> Tensor:
        return observations.sum(-1)


OtherLinear = type("Linear", (nn.Linear,), {"forward": lambda self, x: 2.0 * nn.Linear.forward(self, x)})
OtherTanh = type("Tanh", (nn.Module,), {"forward": lambda self, x: x})


def instance_forward(module: nn.Module) -> nn.Module:
    module.forward = types.MethodType(lambda self, x: x, module)  # type: ignore[method-assign]
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Doubled(*layers()), "module: Doubled has a forward of its own"),
        (Called(*layers()), "module: Called has a __call__ of its own"),
        (HasActor(nn.Sequential(*layers())), "module: must be an ActorCritic or a Sequential, got HasActor"),
        (nn.ModuleList(layers()), "module: must be .* got ModuleList"),
        (layers(), "module: must be .* got list"),
        (instance_forward(nn.Sequential(*layers())), "module: Sequential has a forward of its own"),
        (
            nn.Sequential(instance_forward(nn.Linear(3, 2))),
            r"module\[0\]: Linear has a forward of its own",
        ),
        (nn.Sequential(OtherLinear(3, 2)), r"module\[0\]: Linear has a forward of its own"),
        (
            nn.Sequential(nn.Linear(3, 4), OtherTanh(), nn.Linear(4, 2)),
            r"module\[1\]: Tanh has a forward of its own",
        ),
        (actor_critic(Shifted), "module: Shifted has a mean_action of its own"),
        (actor_critic(Scaled), "module: Scaled has a normalised of its own"),
        (actor_critic(Forward), "module: Forward has a forward of its own"),
    ],
)
def test_modules_that_compute_something_else(module: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        vm.MlpPolicy.from_torch(module)


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
@pytest.mark.parametrize(
    ("place", "name"),
    [
        (lambda model: model.actor, r"module\.actor: Sequential"),
        (lambda model: model.actor[0], r"module\.actor\[0\]: Linear"),
        (lambda model: model.actor[1], r"module\.actor\[1\]: Tanh"),
    ],
)
def test_hooks_anywhere_in_the_layers(register: str, place: Any, name: str) -> None:
    model = actor_critic()
    handle = getattr(place(model), register)(lambda *_: None)
    with pytest.raises(TypeError, match=f"{name} has forward hooks"):
        vm.MlpPolicy.from_torch(model)
    bare = nn.Sequential(*layers())
    getattr(bare, register)(lambda *_: None)
    with pytest.raises(TypeError, match="module: Sequential has forward hooks"):
        vm.MlpPolicy.from_torch(bare)
    handle.remove()
    assert vm.MlpPolicy.from_torch(model).widths == (3, 4, 2)


def test_subclasses_that_compute_the_same_are_taken() -> None:
    assert vm.MlpPolicy.from_torch(Named(nn.Linear(3, 4), Tanh(), nn.Linear(4, 2))).activation == "tanh"
    model = actor_critic(Valued)
    assert vm.MlpPolicy.from_torch(model).widths == (3, 4, 2)
    seen = np.float32([[0.1, -0.5, 0.9]])
    with torch.no_grad():
        expected = model.clip(model.mean_action(torch.tensor(seen))).numpy()
    np.testing.assert_allclose(vm.MlpPolicy.from_torch(model)(seen), expected, atol=1e-5)
