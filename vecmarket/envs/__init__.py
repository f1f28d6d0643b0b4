"""The market as Gymnasium environments: one at a time, and in batches."""

from __future__ import annotations

import gymnasium as gym

from vecmarket.envs.single import MarketEnv
from vecmarket.envs.vector import MarketVectorEnv

__all__ = ["ENV_ID", "MarketEnv", "MarketVectorEnv", "register_envs"]

ENV_ID = "vecmarket/Market-v0"


def register_envs() -> None:
    """Make ``"vecmarket/Market-v0"`` known to `gymnasium.make` and `gymnasium.make_vec`; once is enough."""
    if ENV_ID not in gym.registry:
        gym.register(
            ENV_ID,
            entry_point="vecmarket.envs:MarketEnv",
            vector_entry_point="vecmarket.envs:MarketVectorEnv",
        )
