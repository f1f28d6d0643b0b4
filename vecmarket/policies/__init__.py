"""Policies as arrays, which the engine itself can play: Gaussian networks, and pools of them."""

from __future__ import annotations

from vecmarket.policies.mlp import MlpPolicy
from vecmarket.policies.pool import Member, PolicyPool, Seat
from vecmarket.policies.sources import refuse_module

__all__ = ["Member", "MlpPolicy", "PolicyPool", "Seat", "refuse_module"]
