"""The networks: initialisation, densities, the fixed input map, files."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium.spaces import Box, Discrete

from vecmarket.training import ActorCritic, as_numpy_policy, load_policy, save_policy
from vecmarket.training.config import Activation
from vecmarket.training.policy import ACTIVATIONS

OBSERVATIONS = Box(np.array([0.0, -3.0, 5.0], np.float32), np.array([1.0, 1.0, 5.0], np.float32))
ACTIONS = Box(np.array([0.0, -10.0], np.float32), np.array([1.0, 10.0], np.float32))


def make(**options) -> ActorCritic:
    options.setdefault("generator", torch.Generator().manual_seed(1))
    return ActorCritic(OBSERVATIONS, ACTIONS, **options)


def gain(weight: torch.Tensor) -> float:
    """The gain of a matrix that is orthogonal up to a factor: all its singular values are equal."""
    values = torch.linalg.svdvals(weight.detach())
    assert torch.allclose(values, values[0].expand_as(values), rtol=1e-4)
    return float(values[0])


def test_layers_are_orthogonal_with_their_gains():
    model = make()
    for net, head in ((model.actor, 0.01), (model.critic, 1.0)):
        first, second, last = net[0], net[2], net[4]
        assert [m.weight.shape for m in (first, second, last)] == [
            (64, 3),
            (64, 64),
            (2 if head < 1 else 1, 64),
        ]
        assert gain(first.weight) == pytest.approx(math.sqrt(2.0), rel=1e-4)
        assert gain(second.weight) == pytest.approx(math.sqrt(2.0), rel=1e-4)
        assert gain(last.weight) == pytest.approx(head, rel=1e-4)
        assert all(not m.bias.any() for m in (first, second, last))


def test_weights_come_from_the_generator_alone():
    state = torch.random.get_rng_state()
    one, same = make(), make()
    other = make(generator=torch.Generator().manual_seed(2))
    assert torch.equal(one.actor[0].weight, same.actor[0].weight)
    assert not torch.equal(one.actor[0].weight, other.actor[0].weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_densities_are_those_of_independent_normals():
    model = make(initial_log_std=-0.7)
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    normal = torch.distributions.Normal(model.mean_action(rows), model.log_std.exp())
    actions = normal.mean + 0.5 * torch.randn(50, 2, generator=torch.Generator().manual_seed(3))
    log_prob, entropy, value = model.evaluate(rows, actions)
    torch.testing.assert_close(log_prob, normal.log_prob(actions).sum(-1))
    torch.testing.assert_close(model.entropy(), normal.entropy().sum(-1)[0])
    assert torch.equal(entropy, model.entropy())
    assert torch.equal(value, model.value(rows))


def test_observations_are_mapped_from_their_bounds():
    model = make()
    ends = torch.tensor([[0.0, -3.0, 5.0], [1.0, 1.0, 5.0]])
    torch.testing.assert_close((ends - model.centre) / model.scale, torch.tensor([[-1.0, -1, 0], [1, 1, 0]]))
    wider = make(observation_range=3.0)
    torch.testing.assert_close((ends - wider.centre) / wider.scale, torch.tensor([[-3.0, -3, 0], [3, 3, 0]]))
    plain = make(observation_range=None)
    assert torch.equal((ends - plain.centre) / plain.scale, ends)
    wide = ActorCritic(Box(-np.inf, np.inf, (2,)), ACTIONS)
    assert torch.equal(wide.centre, torch.zeros(2))
    assert torch.equal(wide.scale, torch.ones(2))


def test_the_numpy_policy_is_the_clipped_mean():
    model = make()
    with torch.no_grad():
        model.actor[4].bias.copy_(torch.tensor([-5.0, 20.0]))
    rows = np.random.default_rng(0).uniform(size=(6, 3)).astype(np.float32)
    actions = as_numpy_policy(model)(rows)
    assert actions.dtype == np.float32
    assert actions.shape == (6, 2)
    assert actions.flags.c_contiguous
    assert (actions == [0.0, 10.0]).all()


@pytest.mark.parametrize("options", [{}, {"hidden": (8, 4, 2), "activation": "relu"}, {"hidden": ()}])
def test_a_saved_policy_acts_as_before(tmp_path, options):
    model = make(**options)
    save_policy(model, tmp_path / "deep" / "policy.safetensors")
    loaded = load_policy(tmp_path / "deep" / "policy.safetensors")
    rows = np.random.default_rng(1).uniform(-1, 1, (9, 3)).astype(np.float32)
    assert np.array_equal(as_numpy_policy(model)(rows), as_numpy_policy(loaded)(rows))
    assert loaded.hidden == model.hidden
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["policy.safetensors"]


def test_files_that_are_no_policies(tmp_path):
    path = tmp_path / "policy.safetensors"
    with pytest.raises(FileNotFoundError, match=r"policy\.safetensors: no such policy"):
        load_policy(path)
    path.write_bytes(b"garbage" * 10)
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_policy(path)
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(ValueError, match="not a vecmarket policy"):
        load_policy(path)
    meta = {"format": "vecmarket-policy", "version": "99"}
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, meta))
    with pytest.raises(ValueError, match="version '99'; this vecmarket reads version 1"):
        load_policy(path)
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(1)}, meta | {"version": "1"}))
    with pytest.raises(ValueError, match="incomplete policy"):
        load_policy(path)
    save_policy(make(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_policy(path)


def test_only_flat_boxes_and_known_activations():
    with pytest.raises(ValueError, match=r"action_space: must be a Box of shape \(n,\), got Discrete"):
        ActorCritic(OBSERVATIONS, Discrete(3))
    with pytest.raises(ValueError, match="observation_space"):
        ActorCritic(Box(0, 1, (2, 2)), ACTIONS)
    with pytest.raises(ValueError, match="activation: must be one of tanh, relu, silu, got 'gelu'"):
        make(activation="gelu")
    assert tuple(ACTIVATIONS) == get_args(Activation)
