"""Both backends learn alike: the same curve, within the noise of seeds."""

from __future__ import annotations

import dataclasses

import numpy as np

import vecmarket as vm
from vecmarket.training import PPO, NativePPO, market_ppo

SEEDS = range(5)
ITERATIONS = 30
CONFIG = dataclasses.replace(market_ppo(), hidden=(32, 32), final_log_std=-2.0)


def curve(backend: type[PPO] | type[NativePPO], seed: int) -> np.ndarray:
    """Return the mean return of the episodes of each iteration."""
    env = vm.MarketVectorEnv(64, learner=4, autoreset_mode="same_step", threads=1)
    learner = backend(env, CONFIG, total_steps=ITERATIONS * 64 * 24, seed=seed)
    returns = [learner.iterate()["episode_return"] for _ in range(ITERATIONS)]
    assert learner.finished
    return np.array(returns)


def test_learning_curves_agree_within_the_noise_of_five_seeds() -> None:
    native = np.array([curve(NativePPO, seed) for seed in SEEDS])
    torch = np.array([curve(PPO, seed) for seed in SEEDS])
    # by thirds of the run: means of ten iterations
    native, torch = (curves.reshape(len(SEEDS), 3, -1).mean(axis=2) for curves in (native, torch))
    error = np.sqrt((native.var(axis=0, ddof=1) + torch.var(axis=0, ddof=1)) / len(SEEDS))
    assert (np.abs(native.mean(axis=0) - torch.mean(axis=0)) < 4 * error).all()
    # they do learn, by far more than the noise: else any two would agree
    for curves in (native, torch):
        assert (np.diff(curves.mean(axis=0)) > 8 * error[1:]).any()
        assert curves[:, -1].min() > curves[:, 0].max()
