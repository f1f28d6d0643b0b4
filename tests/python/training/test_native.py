"""The native backend beside the torch one: the same gradients, advantages, updates and checkpoints."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

import vecmarket as vm
from vecmarket import _core
from vecmarket.training import PPO, PPOConfig
from vecmarket.training.gae import compute_gae, scale_steps
from vecmarket.training.native import NativePPO, iterate_together
from vecmarket.training.native_collector import NativeCollector
from vecmarket.training.policy import ActorCritic
from vecmarket.training.rollout import RewardScale

SMALL = PPOConfig(rollout_steps=10, minibatches=3, epochs=2, gamma=0.9, hidden=(16, 20))


def make_env(num_envs: int = 70, *, threads: int = 1, **kwargs: Any) -> vm.MarketVectorEnv:
    scenario = kwargs.pop("scenario", vm.Scenario.default())
    kwargs.setdefault("learner", 4)
    return vm.MarketVectorEnv(num_envs, scenario, autoreset_mode="same_step", threads=threads, **kwargs)


def numbers(model: ActorCritic) -> np.ndarray:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).numpy()


def assert_same_state(a: Any, b: Any) -> None:
    """Compare two states to the bit."""
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same_state(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same_state(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
@pytest.mark.parametrize("hidden", [(64, 64), (17, 40), ()])
@pytest.mark.parametrize("value_clip_range", [None, 0.2])
def test_gradients_are_those_of_autograd(
    activation: str, hidden: tuple[int, ...], value_clip_range: float | None
) -> None:
    config = PPOConfig(
        hidden=hidden, activation=activation, value_clip_range=value_clip_range, entropy_coefficient=0.01
    )
    random = torch.Generator().manual_seed(7)
    model = ActorCritic(Box(-1, 1, (7,)), Box(-1, 1, (3,)), hidden=hidden, activation=activation)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=random))
    rows = 1000
    observations = 2 * torch.rand(rows, 7, generator=random) - 1
    actions = torch.randn(rows, 3, generator=random)
    near, old_near, advantages = torch.randn(3, rows, generator=random)
    with torch.no_grad():
        old_log_probs = model.evaluate(observations, actions)[0] + 0.3 * near
        old_values = model.value(observations) + 0.3 * old_near
    returns = advantages + old_values

    log_probs, entropy, values = model.evaluate(observations, actions)
    ratio = (log_probs - old_log_probs).exp()
    scaled = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clipped = ratio.clamp(1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.minimum(ratio * scaled, clipped * scaled).mean()
    errors = (values - returns).square()
    if value_clip_range is not None:
        held = old_values + (values - old_values).clamp(-value_clip_range, value_clip_range)
        errors = torch.maximum(errors, (held - returns).square())
    value_loss = 0.5 * errors.mean()
    (policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy).backward()
    truth = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).numpy()

    gradients = []
    for threads in (1, 2):
        gradient, losses = _core.ppo_gradient(
            config,
            numbers(model),
            observations.numpy(),
            actions.numpy(),
            old_log_probs.numpy(),
            advantages.numpy(),
            old_values.numpy(),
            threads,
        )
        gradients.append(gradient)
    np.testing.assert_allclose(gradients[0], truth, rtol=0, atol=2e-6 * np.abs(truth).max())
    np.testing.assert_array_equal(gradients[0], gradients[1])
    kl = (ratio - 1 - ratio.log()).mean()
    cut = ((ratio - 1).abs() > config.clip_range).float().mean()
    wanted = [policy_loss.item(), value_loss.item(), kl.item(), cut.item()]
    np.testing.assert_allclose(losses, wanted, rtol=1e-4, atol=1e-6)


def test_the_record_is_what_the_policy_did() -> None:
    learner = NativePPO(make_env(), dataclasses.replace(SMALL, epochs=1), total_steps=10**6)
    iterate_together([learner], 3)
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}
    learner.iterate()
    record = {name: torch.from_numpy(x) for name, x in learner.record().items()}
    model = learner.model
    model.load_state_dict(before)
    with torch.no_grad():
        seen = record["observations"].flatten(0, 1)
        log_probs = model.log_prob(model.mean_action(seen), record["actions"].flatten(0, 1))
        values = model.value(seen)
    assert record["observations"].shape == (70, 10, 7)
    torch.testing.assert_close(record["log_probs"].flatten(), log_probs, rtol=0, atol=2e-5)
    torch.testing.assert_close(record["values"].flatten(), values, rtol=0, atol=2e-6)
    noise = (
        record["actions"].flatten(0, 1) - model.mean_action(seen).detach()
    ) / model.log_std.detach().exp()
    # 1400 draws: five standard errors of mean and variance
    assert abs(noise.mean()) < 5 / 1400**0.5
    assert abs(noise.var() - 1) < 5 * (2 / 1400) ** 0.5
    assert noise.flatten().unique().numel() > 1390


def test_the_record_is_what_the_market_did() -> None:
    """The recorded actions, played in an environment of its own, give the recorded rewards."""
    learner = NativePPO(make_env(), SMALL, total_steps=10**6, seed=5)
    env = make_env()
    learner.start()
    env.restore(learner.env.snapshot())
    observations = env.unwrapped._game.observations.copy()
    for _ in range(4):  # past the end of an episode, 24 steps
        learner.iterate()
        record = learner.record()
        for t in range(10):
            np.testing.assert_array_equal(record["observations"][:, t], observations)
            observations, rewards, terminated, truncated, _ = env.step(record["actions"][:, t])
            np.testing.assert_array_equal(record["rewards"][:, t], rewards)
            np.testing.assert_array_equal(record["terminated"][:, t], terminated)
            np.testing.assert_array_equal(record["truncated"][:, t], truncated)
    live, *_ = env.step(np.zeros((70, 2), np.float32))
    went_on, *_ = learner.env.step(np.zeros((70, 2), np.float32))
    np.testing.assert_array_equal(live, went_on)


@pytest.mark.parametrize("by_step", [False, True])
@pytest.mark.parametrize("episode_end", ["terminate", "truncate"])
def test_advantages_are_those_of_the_reference(episode_end: str, by_step: bool) -> None:
    scenario = vm.Scenario.default().replace(episode_end=episode_end)
    config = dataclasses.replace(SMALL, normalise_by_step=by_step)
    learner = NativePPO(make_env(scenario=scenario), config, total_steps=10**6)
    scale = RewardScale(70, SMALL.gamma, torch.device("cpu"))
    ends = 0
    for _ in range(5):
        learner.iterate()
        # steps first, as the reference has them
        record = {
            name: torch.from_numpy(x).transpose(0, 1) if x.ndim > 1 else torch.from_numpy(x)
            for name, x in learner.record().items()
        }
        ended = record["terminated"] | record["truncated"]
        ends += int(ended.sum())
        scale.update(record["rewards"], ended, torch.ones_like(ended))
        next_values = torch.cat([record["values"][1:], record["next_values"][None]])
        next_values = torch.where(record["truncated"], record["last_values"], next_values)
        advantages, _ = compute_gae(
            record["rewards"] / scale.std,
            record["values"],
            next_values,
            record["terminated"],
            record["truncated"],
            gamma=SMALL.gamma,
            gae_lambda=SMALL.gae_lambda,
        )
        if by_step:
            advantages = scale_steps(advantages, torch.ones_like(ended))
        torch.testing.assert_close(
            record["advantages"], advantages, rtol=1e-5, atol=2e-5 if by_step else 1e-6
        )
        if episode_end == "truncate":
            assert (record["last_values"][record["truncated"]] != 0).all()
    assert ends == 2 * 70


def test_an_update_is_that_of_the_reference() -> None:
    """With one minibatch there is nothing to shuffle: the same samples lead to the same weights."""
    config = dataclasses.replace(SMALL, minibatches=1, epochs=3, normalise_rewards=False)
    learner = NativePPO(make_env(), config, total_steps=7000)
    reference = PPO(make_env(), config, total_steps=7000)
    np.testing.assert_array_equal(numbers(learner.model), numbers(reference.model))
    for _ in range(4):
        figures = learner.iterate()
        record = {name: torch.from_numpy(x) for name, x in learner.record().items()}
        roll = reference.rollout
        roll.observations[:-1].copy_(record["observations"].transpose(0, 1))
        roll.actions.copy_(record["actions"].transpose(0, 1))
        roll.values[:-1].copy_(record["values"].T)
        with torch.no_grad():
            means = reference.model.mean_action(roll.observations[:-1])
            roll.noise.copy_((roll.actions - means) / reference.model.log_std.exp())
        reference._follow_schedules()
        advantages = record["advantages"].T.contiguous()
        wanted = reference.update(advantages, advantages + record["values"].T)
        reference.iteration += 1
        for name in ("policy_loss", "value_loss", "approx_kl", "entropy", "policy_std", "explained_variance"):
            assert figures[name] == pytest.approx(wanted[name], rel=2e-3, abs=2e-6), name
        # Adam divides by roots of small squares: differences in the last bits of a gradient show up larger
        np.testing.assert_allclose(numbers(learner.model), numbers(reference.model), rtol=0, atol=2e-5)


def test_threads_change_nothing() -> None:
    config = dataclasses.replace(SMALL, target_kl=0.02)
    states = []
    for threads in (1, 2, 3):
        learner = NativePPO(
            make_env(1100, threads=threads), config, total_steps=10**6, seed=3, threads=threads
        )
        iterate_together([learner], 4)
        states.append(learner.state())
    assert_same_state(states[0], states[1])
    assert_same_state(states[0], states[2])


def test_learners_together_are_learners_alone() -> None:
    def make() -> list[NativePPO]:
        return [NativePPO(make_env(learner=i), SMALL, total_steps=10**6, seed=10 + i) for i in range(3)]

    alone, together = make(), make()
    for learner in alone:
        for _ in range(4):
            learner.iterate()
    iterate_together(together, 4, threads=2)
    for a, b in zip(alone, together, strict=True):
        assert_same_state(a.state(), b.state())


def test_a_state_goes_on_to_the_bit() -> None:
    whole = NativePPO(make_env(), SMALL, total_steps=10**5, seed=1)
    first = NativePPO(make_env(), SMALL, total_steps=10**5, seed=1)
    for _ in range(3):
        whole.iterate()
        first.iterate()
    second = NativePPO(make_env(), SMALL, total_steps=10**5, seed=1)
    second.restore(first.state())
    assert_same_state(second.state(), first.state())
    for _ in range(3):
        np.testing.assert_equal(whole.iterate(), second.iterate())  # nan equals nan here
    assert_same_state(whole.state(), second.state())


def test_states_go_from_torch_to_native_and_back() -> None:
    reference = PPO(make_env(), SMALL, total_steps=10**5, seed=1)
    for _ in range(3):
        reference.iterate()
    native = NativePPO(make_env(), SMALL, total_steps=10**5, seed=1)
    native.restore(reference.state())
    np.testing.assert_array_equal(numbers(native.model), numbers(reference.model))
    state = native.state()
    given = reference.state()
    for part in ("model", "reward_scale", "observation_scale"):
        assert_same_state(state[part], given[part])
    # where an episode has ended, the next one has begun: the native backend keeps no mark of it
    for part in ("episodes", "observations", "env"):
        assert_same_state(state["environment"][part], given["environment"][part])
    assert_same_state(state["optimiser"]["state"], given["optimiser"]["state"])
    native.iterate()
    back = PPO(make_env(), SMALL, total_steps=10**5, seed=1)
    back.restore(native.state())
    np.testing.assert_array_equal(numbers(native.model), numbers(back.model))
    assert back.iteration == 4
    assert np.isfinite(list(back.iterate().values())).all()


def test_every_agent_can_have_a_policy_of_its_own() -> None:
    scenario = vm.Scenario.default()
    env = make_env(40, scenario=scenario, learner="all", rivals=None)
    learner = NativePPO(env, SMALL, total_steps=10**6, seed=4, per_agent=True)
    before = [numbers(model) for model in learner.models]
    assert len({x.tobytes() for x in before}) == 5
    learner.iterate()
    record = learner.record()
    assert record["rewards"].shape == (200, 10)
    for agent, (model, old) in enumerate(zip(learner.models, before, strict=True)):
        now = numbers(model).copy()
        assert not np.array_equal(now, old)
        values = record["values"][agent::5].ravel()
        with torch.no_grad():
            at = 0
            for own in model.parameters():
                own.copy_(torch.from_numpy(old[at : at + own.numel()]).view_as(own))
                at += own.numel()
            seen = torch.from_numpy(record["observations"][agent::5]).flatten(0, 1)
            np.testing.assert_allclose(model.value(seen).numpy(), values, rtol=0, atol=2e-6)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(TypeError, match="env: the native backend takes a MarketVectorEnv"):
        NativePPO(None, SMALL, total_steps=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same_step"):
        NativePPO(vm.MarketVectorEnv(4, learner=0), SMALL, total_steps=1)
    with_callable = make_env(rivals=lambda seen: np.zeros((len(seen), 2), np.float32))
    with pytest.raises(ValueError, match="a rival is a callable"):
        NativePPO(with_callable, SMALL, total_steps=1)
    with pytest.raises(ValueError, match="one policy per agent needs several"):
        NativePPO(make_env(), SMALL, total_steps=1, per_agent=True)
    with pytest.raises(ValueError, match="total_steps"):
        NativePPO(make_env(), SMALL, total_steps=0)
    with pytest.raises(ValueError, match="width of layer 1"):
        NativePPO(make_env(), dataclasses.replace(SMALL, hidden=(10**6,)), total_steps=1)
    small = NativePPO(make_env(3), SMALL, total_steps=10**4)
    with pytest.raises(ValueError, match="does not fit this learner"):
        NativePPO(make_env(), SMALL, total_steps=10**4).restore(small.state())
    with pytest.raises(ValueError, match=r"learners\[1\]"):
        iterate_together([small, NativePPO(make_env(3), PPOConfig(), total_steps=10**4)], 1)
    for steps in (float("nan"), 1e6, "7", None):
        with pytest.raises(TypeError, match="total_steps: must be a whole number, got"):
            NativePPO(make_env(), SMALL, total_steps=steps)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="state: does not fit this learner: 'model' is missing"):
        NativePPO(make_env(), SMALL, total_steps=1).restore({})


def test_what_cannot_be_trained_together_is_refused() -> None:
    env = make_env(3)
    one, two, three = (NativePPO(e, SMALL, total_steps=10**4) for e in (make_env(3), env, env))
    for iterations in (0, -1):
        with pytest.raises(ValueError, match=f"iterations: must be at least 1, got {iterations}"):
            iterate_together([one, two], iterations)
    with pytest.raises(TypeError, match=r"iterations: must be a whole number, got 1\.5"):
        iterate_together([one, two], 1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="learners: must name at least one"):
        iterate_together([], 1)
    with pytest.raises(ValueError, match=r"learners\[2\]: is learners\[0\]; each needs an env"):
        iterate_together([one, two, one], 1)
    with pytest.raises(ValueError, match=r"learners\[2\]: has the environment of learners\[1\]; each needs"):
        iterate_together([one, two, three], 1)
    with pytest.raises(TypeError, match=r"learners\[1\]: must be a NativePPO, got PPO"):
        iterate_together([one, PPO(make_env(), SMALL, total_steps=10**4)], 1)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="learners: must be a sequence of NativePPO, got NativePPO"):
        iterate_together(one, 1)  # type: ignore[arg-type]
    assert not any(learner.started for learner in (one, two, three))


def test_a_run_does_not_go_on_past_its_end() -> None:
    short, long = (NativePPO(make_env(), SMALL, total_steps=k * 70 * SMALL.rollout_steps) for k in (2, 4))
    with pytest.raises(ValueError, match=r"learners\[1\]: 2 of the run's 2 iterations are left, 3 were"):
        iterate_together([long, short], 3)
    assert (long.iteration, short.iteration) == (0, 0)
    iterate_together([long, short], 2)
    before = numbers(short.model)
    with pytest.raises(ValueError, match="iterate: 0 of the run's 2 iterations are left, 1 were asked for"):
        short.iterate()
    assert (numbers(short.model) == before).all()


def test_observations_can_be_normalised_as_they_come() -> None:
    config = dataclasses.replace(SMALL, normalise_observations=True)
    learner = NativePPO(make_env(), config, total_steps=10**6)
    seen = []
    for _ in range(3):
        learner.iterate()
        seen.append(learner.record()["observations"].reshape(-1, 7).astype(np.float64))
    every = np.concatenate(seen)
    std = every.std(axis=0)
    constant = std == 0
    assert 0 < constant.sum() < 7
    np.testing.assert_allclose(learner.model.centre.numpy(), every.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learner.model.scale.numpy(), np.where(constant, 1, std), rtol=1e-5)
    second = NativePPO(make_env(), config, total_steps=10**6)
    second.restore(learner.state())
    np.testing.assert_equal(learner.iterate(), second.iterate())
    assert_same_state(learner.state(), second.state())

    reference = PPO(make_env(), config, total_steps=10**6)
    reference.restore(learner.state())
    every = np.concatenate([every, learner.record()["observations"].reshape(-1, 7)])
    reference.iterate()
    every = np.concatenate([every, reference.rollout.observations[:-1].reshape(-1, 7).numpy()])
    np.testing.assert_allclose(reference.model.centre.numpy(), every.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        reference.model.scale.numpy()[~constant], every.std(axis=0)[~constant], rtol=1e-5
    )


def test_a_collector_plays_without_learning() -> None:
    env, same = make_env(), make_env()
    env.reset(seed=3)
    same.reset(seed=3)
    model = ActorCritic(
        env.single_observation_space, env.single_action_space, hidden=(8,), initial_log_std=-1
    )
    collect = NativeCollector(env, model, 9, seed=2)
    first, second = collect(), collect()
    for record in (first, second):
        assert record["rewards"].shape == (70, 9)
        seen = torch.from_numpy(record["observations"]).flatten(0, 1)
        log_probs = model.log_prob(model.mean_action(seen), torch.from_numpy(record["actions"]).flatten(0, 1))
        np.testing.assert_allclose(record["log_probs"].ravel(), log_probs.detach().numpy(), rtol=0, atol=2e-5)
        for t in range(9):
            _, rewards, *_ = same.step(record["actions"][:, t])
            np.testing.assert_array_equal(rewards, record["rewards"][:, t])
    noise = [(r["actions"] - r["observations"][..., :1]) for r in (first, second)]
    assert not np.array_equal(noise[0], noise[1])
