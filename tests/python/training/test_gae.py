"""Advantages against a slow, obvious loop and against cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from vecmarket.training import compute_gae


def slow(rewards, values, next_values, terminated, truncated, gamma, lam, valid):
    """The definition: a sum of discounted one-step errors, up to the end of the episode or of the rollout."""
    steps, envs = rewards.shape
    result = torch.zeros(steps, envs, dtype=torch.float64)
    for n in range(envs):
        for start in range(steps):
            if not valid[start, n]:
                continue
            weight = 1.0
            for t in range(start, steps):
                future = 0.0 if terminated[t, n] else gamma * next_values[t, n]
                result[start, n] += weight * (rewards[t, n] + future - values[t, n])
                if terminated[t, n] or truncated[t, n]:
                    break
                weight *= gamma * lam
    return result


@pytest.mark.parametrize(("gamma", "lam"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0), (0.0, 0.95)])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_definition(seed, gamma, lam):
    g = torch.Generator().manual_seed(seed)
    shape = (23, 7)
    rewards, values, next_values = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(3))
    terminated = torch.rand(shape, generator=g) < 0.15
    truncated = torch.rand(shape, generator=g) < 0.15  # now and then both at once: termination counts
    # rows after an end only reset, as with NEXT_STEP; they carry no flags
    valid = torch.ones(shape, dtype=torch.bool)
    for t in range(1, shape[0]):
        valid[t] = ~((terminated | truncated)[t - 1])
        terminated[t] &= valid[t]
        truncated[t] &= valid[t]
    advantages, returns = compute_gae(
        rewards, values, next_values, terminated, truncated, gamma=gamma, gae_lambda=lam, valid=valid
    )
    expected = slow(rewards, values, next_values, terminated, truncated, gamma, lam, valid)
    torch.testing.assert_close(advantages, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(returns, expected + values, rtol=1e-12, atol=1e-12)


def one_env(rewards, values, next_values, terminated=(), truncated=()):
    column = [torch.tensor(x, dtype=torch.float64)[:, None] for x in (rewards, values, next_values)]
    steps = len(rewards)
    flags = [torch.tensor([t in ends for t in range(steps)])[:, None] for ends in (terminated, truncated)]
    return compute_gae(*column, *flags, gamma=0.5, gae_lambda=0.5)[0][:, 0].tolist()


def test_a_terminated_step_has_no_future():
    # delta = (1 + 0.5 * 4 - 2, 1 - 4) = (1, -3); A = (1 + 0.25 * -3, -3)
    assert one_env([1.0, 1.0], [2.0, 4.0], [4.0, 100.0], terminated=[1]) == [0.25, -3.0]


def test_a_truncated_step_has_the_value_of_its_last_observation():
    # delta = (1 + 0.5 * 4 - 2, 1 + 0.5 * 6 - 4) = (1, 0)
    assert one_env([1.0, 1.0], [2.0, 4.0], [4.0, 6.0], truncated=[1]) == [1.0, 0.0]


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_nothing_flows_back_over_the_end_of_an_episode(ending):
    first = one_env([1.0, 7.0, 9.0], [2.0, 4.0, 3.0], [4.0, 3.0, 8.0], **{ending: [0]})
    other = one_env([1.0, -50.0, 0.0], [2.0, 4.0, 3.0], [4.0, 3.0, 8.0], **{ending: [0]})
    assert first[0] == other[0]
    assert first[1] != other[1]


def test_the_end_of_the_rollout_is_no_end_of_the_episode():
    assert one_env([1.0], [2.0], [4.0]) == [1.0 + 0.5 * 4.0 - 2.0]
