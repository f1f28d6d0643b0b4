"""Electricity markets for reinforcement learning, stepped in batches by a Rust engine."""

from __future__ import annotations

from vecmarket._core import __version__
from vecmarket.clearing import Clearing, clear
from vecmarket.config import (
    Bidding,
    Choice,
    Demand,
    Generator,
    MarketRules,
    Normal,
    Number,
    Reward,
    Scenario,
    Uniform,
)
from vecmarket.engine import Engine, Trace
from vecmarket.envs import MarketEnv, MarketVectorEnv, register_envs
from vecmarket.policies import MlpPolicy, PolicyPool
from vecmarket.replay import ReplayBatch, ReplayBuffer

__all__ = [
    "Bidding",
    "Choice",
    "Clearing",
    "Demand",
    "Engine",
    "Generator",
    "MarketEnv",
    "MarketRules",
    "MarketVectorEnv",
    "MlpPolicy",
    "Normal",
    "Number",
    "PolicyPool",
    "ReplayBatch",
    "ReplayBuffer",
    "Reward",
    "Scenario",
    "Trace",
    "Uniform",
    "__version__",
    "clear",
]

register_envs()
