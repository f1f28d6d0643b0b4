"""Generalised advantage estimation, with termination and truncation kept apart."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["compute_gae", "scale_steps"]


def compute_gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
    valid: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Estimate advantages and returns over a rollout of T steps in N environments.

    The one-step error is ``delta_t = r_t + gamma * V(s'_t) - V(s_t)``, where ``V(s'_t)`` counts as 0 after a
    termination; the advantage is ``A_t = delta_t + gamma * lambda * A_{t+1}``, where the trace is cut at the
    end of an episode, however it ended. A truncated step thus still takes in the value of the state it was
    cut at, and a terminated one does not. A step with both flags set counts as terminated.

    Parameters
    ----------
    rewards, values
        Reward of each step, and value of the observation it was taken from, float (T, N).
    next_values
        Value of the true next observation, float (T, N). Where an episode ends this is the episode's last
        observation, not the first of the next episode.
    terminated, truncated
        Whether the step ended its episode, bool (T, N).
    gamma, gae_lambda
        Discount and trace decay, each in [0, 1].
    valid
        False for the rows in which an environment was only reset (NEXT_STEP autoreset), bool (T, N). Their
        advantage is 0 and their return their value; no other row depends on them, since the row before such
        a row ends an episode. None means that every row is valid.

    Returns
    -------
    advantages, returns
        Float (T, N) each; ``returns = advantages + values``.

    Notes
    -----
    Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", 2016,
    equation 16; truncation as in Pardo et al., "Time Limits in Reinforcement Learning", 2018.
    """
    deltas = rewards + gamma * torch.where(terminated, 0.0, next_values) - values
    decay = gamma * gae_lambda * (~(terminated | truncated)).to(rewards.dtype)
    if valid is not None:
        deltas = torch.where(valid, deltas, 0.0)
        decay = torch.where(valid, decay, 0.0)
    advantages = deltas.clone()
    for t in reversed(range(len(rewards) - 1)):
        advantages[t] += decay[t] * advantages[t + 1]
    return advantages, advantages + values


def scale_steps(advantages: Tensor, valid: Tensor) -> Tensor:
    """Scale the advantages of each step over the environments to mean 0 and standard deviation 1.

    Parameters
    ----------
    advantages
        Float (T, ..., N).
    valid
        Rows that count, bool of the same shape; the others stay 0.

    Returns
    -------
    Tensor
        Of the same shape; 0 where all environments' advantages are the same.
    """
    count = valid.sum(-1, keepdim=True).clamp(min=1)
    mean = torch.where(valid, advantages, 0.0).sum(-1, keepdim=True) / count
    distance = torch.where(valid, advantages - mean, 0.0)
    deviation = (distance.square().sum(-1, keepdim=True) / count).sqrt()
    return torch.where(deviation > 0.0, distance / (deviation + 1e-8), 0.0)
