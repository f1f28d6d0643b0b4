"""The loss of PPO against its formula, row by row."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from vecmarket.training import ActorCritic, PPOConfig
from vecmarket.training.ppo import FIGURES, Batch, ppo_loss
from vecmarket.training.stacked import StackedActorCritic

CONFIGS = {
    "plain": PPOConfig(),
    "clipped values": PPOConfig(value_clip_range=0.1, clip_range=0.05),
    "entropy": PPOConfig(entropy_coefficient=0.3, value_coefficient=2.0),
    "raw advantages": PPOConfig(normalise_advantages=False),
}


def model(seed: int) -> ActorCritic:
    g = torch.Generator().manual_seed(seed)
    made = ActorCritic(Box(0.0, 1.0 + seed, (3,)), Box(-1.0, 1.0, (2,)), hidden=(6,), generator=g)
    with torch.no_grad():
        made.log_std.copy_(torch.tensor([-0.3, 0.2]))
    return made


def batch(seed: int, n: int = 40) -> Batch:
    g = torch.Generator().manual_seed(100 + seed)
    draw = [torch.randn(n, *more, generator=g) for more in ((3,), (2,), (), (), (), ())]
    return Batch(draw[0], draw[1], 0.5 * draw[2] - 2.5, draw[3] + 0.5, draw[4], draw[5])


def by_hand(made: ActorCritic, rows: Batch, config: PPOConfig) -> tuple[float, list[float]]:
    with torch.no_grad():
        means = made.mean_action(rows.observations).double().numpy()
        values = made.value(rows.observations).double().numpy()
    log_std = made.log_std.detach().double().numpy()
    advantages = rows.advantages.double().numpy()
    if config.normalise_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    policy, value, kl, cut = [], [], [], []
    for i in range(len(means)):
        z = (rows.actions[i].double().numpy() - means[i]) / np.exp(log_std)
        log_prob = sum(-0.5 * z[a] ** 2 - log_std[a] - 0.5 * math.log(2 * math.pi) for a in range(2))
        log_ratio = log_prob - rows.log_probs[i].item()
        ratio = math.exp(log_ratio)
        low, high = 1 - config.clip_range, 1 + config.clip_range
        policy.append(-min(ratio * advantages[i], min(max(ratio, low), high) * advantages[i]))
        goal, old = rows.returns[i].item(), rows.values[i].item()
        error = (values[i] - goal) ** 2
        if (c := config.value_clip_range) is not None:
            error = max(error, (old + min(max(values[i] - old, -c), c) - goal) ** 2)
        value.append(0.5 * error)
        kl.append(ratio - 1 - log_ratio)
        cut.append(abs(ratio - 1) > config.clip_range)
    entropy = sum(s + 0.5 * math.log(2 * math.pi * math.e) for s in log_std)
    loss = np.mean(policy) + config.value_coefficient * np.mean(value) - config.entropy_coefficient * entropy
    return loss, [np.mean(part) for part in (policy, value, kl, cut)]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_is_its_formula(name):
    made, rows = model(0), batch(0)
    loss, figures = ppo_loss(made, rows, CONFIGS[name])
    expected, told = by_hand(made, rows, CONFIGS[name])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert figures.tolist() == pytest.approx(told, rel=1e-4)
    assert len(FIGURES) == 4
    assert not figures.requires_grad
    assert 0.1 < figures[3] < 1.0


def test_nothing_is_changed_and_nothing_remembered():
    made, rows = model(0), batch(0)
    kept, before = copy.deepcopy(rows), copy.deepcopy(made.state_dict())
    first = ppo_loss(made, rows, PPOConfig())
    again = ppo_loss(made, rows, PPOConfig())
    assert first[0].item() == again[0].item()
    assert all(torch.equal(one, other) for one, other in zip(kept, rows, strict=True))
    assert all(torch.equal(before[key], value) for key, value in made.state_dict().items())
    assert all(weights.grad is None for weights in made.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_agents_side_by_side_have_their_own_losses_and_gradients(name):
    models, rows = [model(seed) for seed in range(3)], [batch(seed) for seed in range(3)]
    stack = StackedActorCritic.of(models)
    weights = stack.weights.requires_grad_()
    together = Batch(*(torch.stack(parts) for parts in zip(*rows, strict=True)))
    losses, figures = ppo_loss(stack.with_weights(weights), together, CONFIGS[name])
    (gradient,) = torch.autograd.grad(losses.sum(), weights)
    for b in range(3):
        loss, told = ppo_loss(models[b], rows[b], CONFIGS[name])
        loss.backward()
        alone = torch.cat([part.grad.flatten() for part in models[b].parameters()])
        assert losses[b].item() == pytest.approx(loss.item(), rel=1e-5)
        assert torch.allclose(figures[b], told, rtol=1e-4)
        assert alone.abs().max() > 0.01
        assert torch.allclose(gradient[b], alone, rtol=1e-4, atol=1e-6)


def test_rows_are_chosen_in_any_shape():
    rows = batch(0)
    chosen = torch.tensor([[5, 0], [7, 7]])
    picked = rows.rows(chosen)
    for part, whole in zip(picked, rows, strict=True):
        assert torch.equal(part, whole[chosen])


def test_a_batch_of_one_row_has_no_spread():
    raw = dataclasses.replace(PPOConfig(), normalise_advantages=False)
    loss, _ = ppo_loss(model(0), batch(0, n=1), PPOConfig())
    assert loss.item() == pytest.approx(by_hand(model(0), batch(0, n=1), raw)[0], rel=1e-5)
