"""Reinforcement learning for the market: PPO, its policy, checkpoints and logs. Needs the extra ``train``."""

from __future__ import annotations

from vecmarket.training.batched import BatchedPPO
from vecmarket.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from vecmarket.training.config import PPOConfig, TrainConfig, market_ppo
from vecmarket.training.gae import compute_gae
from vecmarket.training.native import NativePPO, iterate_together
from vecmarket.training.native_collector import NativeCollector
from vecmarket.training.policy import ActorCritic, NumpyPolicy, as_numpy_policy, load_policy, save_policy
from vecmarket.training.ppo import PPO
from vecmarket.training.trainer import TrainResult, build_scenario, train

__all__ = [
    "PPO",
    "ActorCritic",
    "BatchedPPO",
    "Checkpoint",
    "NativeCollector",
    "NativePPO",
    "NumpyPolicy",
    "PPOConfig",
    "TrainConfig",
    "TrainResult",
    "as_numpy_policy",
    "build_scenario",
    "compute_gae",
    "iterate_together",
    "load_checkpoint",
    "load_policy",
    "market_ppo",
    "save_checkpoint",
    "save_policy",
    "train",
]
