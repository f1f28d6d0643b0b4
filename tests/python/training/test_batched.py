"""Agents updated together against each of them alone."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import vecmarket.training.batched as batched
from training.toys import SMALL, Bandit, KeptBandit, clocks
from vecmarket.envs import MarketVectorEnv
from vecmarket.training import PPO, ActorCritic, BatchedPPO, PPOConfig, market_ppo
from vecmarket.training.rollout import Rollout
from vecmarket.training.seeding import stream_seed
from vecmarket.training.stacked import StackedActorCritic, StackedAdam

SEEDS = (7, 3, 11, 7)
NOT_COMPARED = ("explained_variance",)  # a difference of nearly equal numbers


class Woven(VectorEnv):
    """Bandits whose rows stand as those of all agents of a market do: ``market * B + agent``."""

    def __init__(self, bandits: list[Bandit], seeds: tuple[int, ...]) -> None:
        self.bandits, self.seeds = bandits, seeds
        first = bandits[0]
        self.num_envs = first.num_envs * len(bandits)
        self.metadata = first.metadata
        self.single_observation_space = first.single_observation_space
        self.single_action_space = first.single_action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed=None, options=None):
        seeds = (stream_seed(s, "environments") for s in self.seeds)
        return self._weave([b.reset(seed=s)[0] for b, s in zip(self.bandits, seeds, strict=True)]), {}

    def step(self, actions):
        steps = [b.step(actions[i :: len(self.bandits)]) for i, b in enumerate(self.bandits)]
        *arrays, infos = zip(*steps, strict=True)
        woven = {key: self._weave([info[key] for info in infos]) for key in infos[0]}
        return *(self._weave(part) for part in arrays), woven

    def snapshot(self) -> bytes:
        parts = [bandit.snapshot() for bandit in self.bandits]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def restore(self, state: bytes) -> None:
        for bandit in self.bandits:
            size = int.from_bytes(state[:4], "big")
            bandit.restore(state[4 : 4 + size])
            state = state[4 + size :]

    @staticmethod
    def _weave(parts):
        return np.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])


def market(agent: int, **changes) -> MarketVectorEnv:
    settings = {"learner": agent, "autoreset_mode": "same_step", "copy": False, "threads": 1, **changes}
    return MarketVectorEnv(16, "default", **settings)


def assert_alike(together: BatchedPPO, alone: list[PPO], iterations: int = 3, atol: float = 2e-5) -> list:
    """Iterate all learners and compare weights and figures; return the figures."""
    told = []
    for _ in range(iterations):
        told.append(together.iterate())
        for figures, one in zip(told[-1], alone, strict=True):
            expected = one.iterate()
            assert list(figures) == list(expected)
            for name in figures.keys() - set(NOT_COMPARED):
                assert figures[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-4, nan_ok=True), name
        for model, one in zip(together.models, alone, strict=True):
            for name, weights in one.model.state_dict().items():
                assert torch.allclose(model.state_dict()[name], weights, atol=atol), name
    return told


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_kl": None},
        {"final_log_std": None, "entropy_coefficient": 0.01},
        {"value_clip_range": 0.2, "gamma": 0.9, "schedule": "constant"},
        {"normalise_rewards": False, "normalise_advantages": False, "minibatches": 5},
        {"hidden": (), "activation": "relu"},
        {"hidden": (5, 4, 3), "activation": "silu"},
    ],
)
def test_each_agent_learns_what_it_would_alone(changes):
    # So narrow a policy as it ends with would blow rounding up.
    config = dataclasses.replace(market_ppo(), **({"final_log_std": -2.0} | changes))
    settings = {"total_steps": 16 * 24 * 3, "info_means": ("profit", "price")}
    together = BatchedPPO([market(a) for a in (4, 0, 2, 4)], config, seeds=SEEDS, **settings)
    alone = [PPO(market(a), config, seed=s, **settings) for a, s in zip((4, 0, 2, 4), SEEDS, strict=True)]
    told = assert_alike(together, alone)
    assert together.finished
    assert together.steps == alone[0].steps
    profits = [figures["mean_profit"] for figures in told[-1]]
    assert profits[0] == pytest.approx(profits[3], rel=1e-3)  # the same agent and seed
    assert profits[0] != pytest.approx(profits[1], rel=0.1)


def test_an_agent_stops_when_its_own_policy_has_moved():
    config = dataclasses.replace(SMALL, target_kl=0.008, epochs=8, learning_rate=4e-3)
    settings = {"total_steps": 64 * 8 * 6}
    together = BatchedPPO([Bandit() for _ in SEEDS], config, seeds=SEEDS, **settings)
    alone = [PPO(Bandit(), config, seed=seed, **settings) for seed in SEEDS]
    told = assert_alike(together, alone, iterations=6)
    assert any(len({figures["epochs"] for figures in row}) > 1 for row in told)
    steps = [int(one.optimiser.state_dict()["state"][0]["step"]) for one in alone]
    assert together.optimiser.steps.flatten().tolist() == steps
    assert len(set(steps)) > 1


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_truncated_episodes_are_valued_as_alone(mode):
    """Clocks that end at different steps, some of them truncated."""
    config = PPOConfig(rollout_steps=23, minibatches=3, hidden=(8,), gamma=0.9, gae_lambda=0.8)
    settings = {"total_steps": 23 * 5 * 3}
    together = BatchedPPO([clocks(mode) for _ in SEEDS], config, seeds=SEEDS, **settings)
    alone = [PPO(clocks(mode), config, seed=seed, **settings) for seed in SEEDS]
    assert_alike(together, alone)
    assert torch.allclose(
        torch.where(alone[0].rollout.truncated, alone[0].rollout.last_values, 0.0),
        torch.where(together.rollout.truncated, together.rollout.last_values, 0.0)[:, 0],
        atol=1e-5,
    )
    assert together.rollout.last_values[:, 0].abs().sum() > 0.0


def test_agents_of_one_environment_learn_from_their_own_rows():
    settings = {"total_steps": 64 * 8 * 3, "info_means": ("error",)}
    together = BatchedPPO(Woven([Bandit() for _ in SEEDS], SEEDS), SMALL, seeds=SEEDS, **settings)
    alone = [PPO(Bandit(), SMALL, seed=seed, **settings) for seed in SEEDS]
    assert together.num_envs == 64
    assert_alike(together, alone)


def test_rows_of_a_market_go_to_their_agents():
    env = market("all", max_episode_steps=7)
    learner = BatchedPPO(env, dataclasses.replace(market_ppo(), gamma=0.9), total_steps=1, seeds=range(5))
    learner.iterate()
    roll = learner.rollout
    own_cost = roll.observations[..., 2]  # of the features demand, capacity, cost
    for agent in range(5):
        assert own_cost[:, agent].unique().numel() == 1
    assert torch.allclose(own_cost[0, :, 0], torch.tensor([0.5, 0.625, 0.75, 0.875, 1.0]))
    assert roll.truncated[6::7].all()
    assert (roll.last_values[6::7] != 0.0).all()
    rows = roll.observations[-1].transpose(0, 1).flatten(0, 1)  # market by market
    assert np.array_equal(rows, env.observations)


def test_agents_go_on_from_given_networks():
    config = dataclasses.replace(SMALL, schedule="constant")
    settings = {"total_steps": 64 * 8 * 3}
    first = BatchedPPO([Bandit() for _ in SEEDS], config, seeds=SEEDS, **settings)
    first.iterate()
    models = first.models
    together = BatchedPPO([Bandit() for _ in SEEDS], config, seeds=SEEDS, **settings)
    together.iterate()
    together.start_from(models)
    fresh = BatchedPPO([Bandit() for _ in SEEDS], config, seeds=SEEDS, **settings)
    assert not torch.equal(fresh.stack.weights, first.stack.weights)
    fresh.start_from(models)
    assert torch.equal(fresh.stack.weights, first.stack.weights)
    assert torch.equal(together.stack.weights, first.stack.weights)
    assert not together.optimiser.steps.any()
    alone = [PPO(Bandit(), config, seed=seed, **settings) for seed in SEEDS]
    for one, model in zip(alone, models, strict=True):
        one.model.load_state_dict(model.state_dict())
    assert_alike(fresh, alone)

    with pytest.raises(ValueError, match="models: must be one for each of the 4 agents, got 3"):
        fresh.start_from(models[:3])
    other = ActorCritic(Box(-1.0, 1.0, (1,)), Box(-2.0, 2.0, (1,)), hidden=(17,))
    with pytest.raises(ValueError, match=r"models\[2\]: must have the shape of the agents' networks"):
        fresh.start_from([models[0], models[1], other, models[3]])


def test_groups_change_nothing(monkeypatch):
    learners = []
    for rows in (1, 1 << 30):
        monkeypatch.setattr(batched, "GROUP_ROWS", rows)
        learner = BatchedPPO([KeptBandit() for _ in SEEDS], SMALL, total_steps=64 * 8 * 2, seeds=SEEDS)
        learner.iterate()
        learners.append(learner)
    assert torch.allclose(learners[0].stack.weights, learners[1].stack.weights, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_a_restored_learner_goes_on_bit_for_bit(shared):
    def learner() -> BatchedPPO:
        bandits = [KeptBandit() for _ in SEEDS]
        envs = Woven(bandits, SEEDS) if shared else bandits
        return BatchedPPO(envs, SMALL, total_steps=64 * 8 * 8, seeds=SEEDS, info_means=("error",))

    whole, cut = learner(), learner()
    for _ in range(3):
        whole.iterate()
        cut.iterate()
    state = cut.state()
    cut.iterate()  # the state is a copy: what comes after leaves it alone
    fresh = learner()
    fresh.restore(state)
    assert fresh.steps == 3 * 64 * 8
    while not whole.finished:
        assert str(whole.iterate()) == str(fresh.iterate())
    assert torch.equal(whole.stack.weights, fresh.stack.weights)


def test_a_market_is_restored_too():
    def learner() -> BatchedPPO:
        return BatchedPPO(market("all"), market_ppo(), total_steps=16 * 24 * 4, seeds=range(5))

    whole = learner()
    untouched = learner()
    untouched.restore(whole.state())  # before the first step
    whole.iterate()
    fresh = learner()
    fresh.restore(whole.state())
    assert [str(row) for row in whole.iterate()] == [str(row) for row in fresh.iterate()]
    untouched.iterate()
    untouched.iterate()
    assert torch.equal(untouched.stack.weights, whole.stack.weights)


def test_environments_without_snapshot_start_new_episodes():
    learner = BatchedPPO([Bandit() for _ in SEEDS], SMALL, total_steps=64 * 8 * 4, seeds=SEEDS)
    learner.iterate()
    seen = learner.rollout.observations[0].clone()
    fresh = BatchedPPO([Bandit() for _ in SEEDS], SMALL, total_steps=64 * 8 * 4, seeds=SEEDS)
    fresh.restore(learner.state())
    assert torch.equal(learner.stack.weights, fresh.stack.weights)
    assert not torch.equal(fresh.rollout.observations[-1], seen)
    assert torch.equal(fresh.rollout.observations[-1, 0], fresh.rollout.observations[-1, 3])  # one seed


def test_a_state_that_does_not_fit():
    def learner(seeds, config=SMALL) -> BatchedPPO:
        return BatchedPPO([KeptBandit() for _ in seeds], config, total_steps=64 * 8, seeds=seeds)

    state = learner((1, 2)).state()
    for other in (learner((1, 2, 3)), learner((1, 2), dataclasses.replace(SMALL, hidden=(5,)))):
        with pytest.raises(ValueError, match="state: does not fit this learner"):
            other.restore(state)
    incomplete = copy.copy(state)
    del incomplete["shuffle"]
    with pytest.raises(ValueError, match="state: does not fit this learner: 'shuffle' is missing"):
        learner((1, 2)).restore(incomplete)
    with pytest.raises(TypeError, match="total_steps: must be a whole number, got nan"):
        BatchedPPO([KeptBandit()], SMALL, total_steps=float("nan"), seeds=(1,))


def test_the_same_seeds_give_the_same_weights_and_touch_no_global_generator():
    before = torch.random.get_rng_state()
    learners = [
        BatchedPPO([KeptBandit() for _ in seeds], SMALL, total_steps=64 * 8 * 2, seeds=seeds)
        for seeds in ((5, 6), (5, 6), (6, 5))
    ]
    for learner in learners:
        learner.iterate()
    assert torch.equal(learners[0].stack.weights, learners[1].stack.weights)
    assert torch.allclose(learners[0].stack.weights, learners[2].stack.weights.flip(0), atol=1e-5)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", ["PPO", "BatchedPPO"])
def test_memory_of_its_own_for_the_environments_changes_nothing(monkeypatch, kind):
    """As on a GPU, where what the environments tell is copied to the networks."""

    def learned(staged: bool) -> torch.Tensor:
        empty = Rollout.empty
        with monkeypatch.context() as patch:
            patch.setattr(Rollout, "empty", lambda *args: empty(*args, staged=staged))
            if kind == "PPO":
                learner = PPO(clocks(AutoresetMode.NEXT_STEP), SMALL, total_steps=200, seed=2)
            else:
                envs = [clocks(AutoresetMode.SAME_STEP) for _ in SEEDS]
                learner = BatchedPPO(envs, SMALL, total_steps=200, seeds=SEEDS)
        assert (learner.rollout.told.rewards is not learner.rollout.rewards) == staged
        state = None
        for _ in range(3):
            if state is not None:
                learner.restore(state)
            learner.iterate()
            state = learner.state()
        if kind == "PPO":
            return torch.cat([weights.flatten() for weights in learner.model.parameters()])
        return learner.stack.weights

    assert torch.equal(learned(False), learned(True))


def test_a_stack_gives_its_models_back():
    generators = [torch.Generator().manual_seed(i) for i in range(3)]
    models = [
        ActorCritic(Box(0.0, 1.0 + i, (3,)), Box(-1.0 - i, 1.0, (2,)), generator=generator)
        for i, generator in enumerate(generators)
    ]
    stack = StackedActorCritic.of(models)
    g = torch.Generator().manual_seed(0)
    observations, actions = torch.randn(3, 5, 3, generator=g), 3.0 * torch.randn(3, 5, 2, generator=g)
    log_probs, entropy, values = stack.evaluate(observations, actions)
    assert entropy.shape == (3,)
    for b, model in enumerate(models):
        again = stack.model(b)
        assert all(torch.equal(again.state_dict()[k], v) for k, v in model.state_dict().items())
        one, spread, value = model.evaluate(observations[b], actions[b])
        assert torch.allclose(log_probs[b], one, atol=1e-5)
        assert torch.allclose(values[b], value, atol=1e-5)
        assert entropy[b] == spread
        assert torch.allclose(
            stack.mean_action(observations)[b], model.mean_action(observations[b]), atol=1e-6
        )
        assert torch.equal(stack.clip(actions)[b], model.clip(actions[b]))
    with torch.no_grad():
        again.log_std.fill_(3.0)
    assert torch.equal(stack.model(2).log_std, models[2].log_std)


def test_adam_is_that_of_torch_for_each_agent():
    g = torch.Generator().manual_seed(0)
    start = torch.randn(3, 10, generator=g)
    weights, optimiser = start.clone(), StackedAdam(start, 1e-5)
    theirs = [row.clone().requires_grad_() for row in start]
    torch_adam = [torch.optim.Adam([row], lr=0.1, eps=1e-5) for row in theirs]
    for step in range(12):
        agents = torch.tensor([0, 2] if step % 3 else [0, 1, 2])
        gradient = torch.randn(len(agents), 10, generator=g)
        part, rows = optimiser.chosen(agents), weights[agents]
        part.step(rows, gradient, 0.1)
        optimiser.take(agents, part)
        weights[agents] = rows
        for row, agent in enumerate(agents.tolist()):
            theirs[agent].grad = gradient[row].clone()
            torch_adam[agent].step()
    assert torch.allclose(weights, torch.stack(theirs).detach(), atol=1e-5)
    assert optimiser.steps.flatten().tolist() == [12.0, 4.0, 12.0]


def test_what_cannot_be_learned_on():
    def learner(envs, seeds=(1, 2), **changes) -> BatchedPPO:
        return BatchedPPO(envs, SMALL, seeds=seeds, **{"total_steps": 1, **changes})

    envs = [Bandit(), Bandit()]
    with pytest.raises(ValueError, match="total_steps: must be at least 1, got 0"):
        learner(envs, total_steps=0)
    with pytest.raises(ValueError, match="seeds: must be one for each of the 2 environments, got 3"):
        learner(envs, (1, 2, 3))
    with pytest.raises(ValueError, match="seeds: must name at least one agent's seed, got none"):
        learner([], ())
    with pytest.raises(ValueError, match="seed: must be at least 0, got -1"):
        learner(envs, (1, -1))
    with pytest.raises(ValueError, match=r"envs\[1\]: num_envs must be 64 as of envs\[0\], got 32"):
        learner([Bandit(), Bandit(32)])
    with pytest.raises(ValueError, match=r"envs\[1\]: observations must be \(7,\) as of .* got \(1,\)"):
        learner([market(0), Bandit(16)])
    with pytest.raises(ValueError, match=r"envs\[1\]: must be an environment of its own"):
        learner([envs[0], envs[0]])
    with pytest.raises(ValueError, match=r'envs\[1\]: autoreset must be .* got "next_step"'):
        learner([clocks(AutoresetMode.SAME_STEP), clocks(AutoresetMode.NEXT_STEP)])
    with pytest.raises(ValueError, match=r"seeds: must be one for each agent of a market, .* 64 rows, got 3"):
        learner(Bandit(), (1, 2, 3))
    for one, rows in ((market("all"), 80), (market(0), 16)):
        with pytest.raises(ValueError, match=f"seeds: .* {rows} rows of 16 markets, got 2"):
            learner(one)
    with pytest.raises(ValueError, match="device: 'gpu9' is not a device"):
        learner(envs, device="gpu9")
