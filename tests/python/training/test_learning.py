"""PPO learns to bid: from fixed seeds, in a fixed number of steps, a share of the exact best reply's gain.

The bounds leave room for other machines: the shares reached are 0.89 and more on `default`, 0.82 on the IEEE
test system, with either seed.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from vecmarket.envs import MarketVectorEnv
from vecmarket.evaluation import Evaluation, evaluate
from vecmarket.scenarios.days import evaluation_days
from vecmarket.training import PPO, BatchedPPO, TrainConfig, TrainResult, as_numpy_policy, market_ppo, train


def learn(tmp_path, every: int = 1, **settings) -> tuple[TrainResult, Evaluation]:
    """Train, and judge on every so many of the days that training left out."""
    config = TrainConfig(out=tmp_path, progress=False, tensorboard=False, **settings)
    result = train(config)
    days = evaluation_days(result.scenario)[::every]
    return result, evaluate(result.scenario, config.learner, result.policy, rivals=config.rivals, days=days)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_pivotal_unit_of_default(tmp_path, seed):
    """Agent 4 earns nothing truthfully; the best reply's return is 0.134 an episode."""
    _, found = learn(tmp_path, scenario="default", learner=4, seed=seed, total_steps=300_000)
    truthful, best = found.truthful.reward.sum(axis=1).mean(), found.best_reward.reward.sum(axis=1).mean()
    assert truthful == pytest.approx(0.0, abs=1e-3)
    assert best == pytest.approx(0.134, abs=0.003)
    assert found.return_share is not None
    assert 0.75 < found.return_share <= 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_coal_unit_of_the_ieee_test_system(tmp_path, seed):
    """A part of the main job; the days that judge are not among those that trained."""
    _, found = learn(tmp_path, every=2, seed=seed, total_steps=400_000)
    assert found.profit_share is not None
    assert 0.7 < found.profit_share <= 1.0
    assert found.policy.price.mean() > found.truthful.price.mean() + 3.0


def test_a_coal_unit_of_rts_gmlc(tmp_path, rts_gmlc):
    """73 units leave little to gain (4 % of the profit), but bidding at random loses a good part of it."""
    result, found = learn(
        tmp_path,
        every=4,
        scenario="csv",
        fleet=rts_gmlc / "rts_thermal_fleet.csv",
        demand=rts_gmlc / "rts_load_hourly.csv",
        renewables=rts_gmlc / "rts_renewables_hourly.csv",
        learner="223_STEAM_3",
        total_steps=300_000,
    )
    with (result.run / "metrics.csv").open() as file:
        profits = [float(row["mean_profit"]) for row in csv.DictReader(file)]
    assert profits[0] < 0.9 * found.truthful.profit.mean()
    assert found.profit_share is not None
    assert 0.0 < found.profit_share <= 1.0


def profits(policies) -> np.ndarray:
    """Return the mean profit an hour, (5,) $/h, of the agents of `default` that bid so, on fixed days."""
    env = MarketVectorEnv(64, "default", learner="all", autoreset_mode="disabled", threads=1)
    observations, _ = env.reset(seed=99)
    total = np.zeros(5)
    for _ in range(24):
        seen = observations.reshape(64, 5, -1)
        actions = [policy(np.ascontiguousarray(seen[:, agent])) for agent, policy in enumerate(policies)]
        observations, *_, infos = env.step(np.stack(actions, axis=1).reshape(-1, 2))
        total += infos["profit"].reshape(64, 5).mean(axis=0)
    return total / 24


@pytest.mark.parametrize("policy", ["shared", "one per agent"])
def test_all_agents_of_default_at_once(policy):
    """Everybody learns in the same markets; agents tell themselves apart by capacity and cost.

    The sum of the learned profits was 2.1 to 2.9 times that of truthful bidding over four seeds.
    """
    env = MarketVectorEnv(64, "default", learner="all", autoreset_mode="same_step", copy=False, threads=1)
    if policy == "shared":
        learner = PPO(env, market_ppo(), total_steps=64 * 5 * 24 * 40, seed=0)
        models = lambda: [learner.model] * 5  # noqa: E731
    else:
        learner = BatchedPPO(env, market_ppo(), total_steps=64 * 24 * 40, seeds=range(5))
        models = lambda: learner.models  # noqa: E731

    truthful = profits([lambda seen: np.zeros((len(seen), 2), np.float32)] * 5)
    assert truthful == pytest.approx([299.5, 168.9, 79.2, 19.2, 0.0], abs=15.0)
    untrained = profits([as_numpy_policy(model) for model in models()])
    while not learner.finished:
        learner.iterate()
    learned = profits([as_numpy_policy(model) for model in models()])
    assert untrained.sum() < 1.1 * truthful.sum()
    assert (learned > truthful + 1.0).all()
    assert learned.sum() > 1.5 * truthful.sum()
