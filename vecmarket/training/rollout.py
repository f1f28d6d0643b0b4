"""What PPO keeps while it plays: the rollout's arrays, the scale of the rewards, the episodes' figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["EpisodeMeans", "RewardScale", "Rollout"]


@dataclass(frozen=True)
class Rollout:
    """T steps in N environments, made once and filled again and again."""

    observations: Tensor  # (T + 1, N, F) float32; the last row is where the next rollout starts
    noise: Tensor  # (T, N, A) float32, standard normal
    actions: Tensor  # (T, N, A) float32, before clipping to the action space
    rewards: Tensor  # (T, N) float32
    terminated: Tensor  # (T, N) bool
    truncated: Tensor  # (T, N) bool
    valid: Tensor  # (T, N) bool; False where the step only reset the environment
    values: Tensor  # (T + 1, N) float32, of the observations
    last_values: Tensor  # (T, N) float32; where an episode was truncated, of its last observation

    @classmethod
    def empty(cls, steps: int, num_envs: int, features: int, actions: int, device: torch.device) -> Rollout:
        """Make the arrays; `valid` is True throughout."""

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            observations=zeros(steps + 1, num_envs, features),
            noise=zeros(steps, num_envs, actions),
            actions=zeros(steps, num_envs, actions),
            rewards=zeros(steps, num_envs),
            terminated=zeros(steps, num_envs, dtype=torch.bool),
            truncated=zeros(steps, num_envs, dtype=torch.bool),
            valid=~zeros(steps, num_envs, dtype=torch.bool),
            values=zeros(steps + 1, num_envs),
            last_values=zeros(steps, num_envs),
        )


class RewardScale:
    """Running standard deviation of the discounted return so far, over all environments and steps.

    The return so far is ``g_t = r_t + gamma * g_{t-1}``, started anew with every episode. Mean and variance
    are merged batch by batch: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", 1979.
    """

    def __init__(self, num_envs: int, gamma: float, device: torch.device) -> None:
        self.gamma = gamma
        self.running = torch.zeros(num_envs, device=device)  # (N,)
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    @property
    def std(self) -> float:
        """The standard deviation, 1 as long as nothing has varied."""
        return math.sqrt(self.variance) if self.variance > 0.0 else 1.0

    def update(self, rewards: Tensor, ended: Tensor, valid: Tensor) -> None:
        """Take in a rollout: rewards, ends of episodes and valid rows, each (T, N)."""
        returns = rewards.clone()
        running = self.running
        for t in range(len(rewards)):
            returns[t] += self.gamma * running
            running = torch.where(ended[t] | ~valid[t], 0.0, returns[t])
        self.running = running
        batch = returns[valid].double()
        if batch.numel() == 0:
            return
        count, mean = batch.numel(), batch.mean().item()
        variance = batch.var(correction=0).item()
        total = self.count + count
        shift = mean - self.mean
        spread = self.variance * self.count + variance * count + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.variance = spread / total
        self.count = total

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        return {"running": self.running, "count": self.count, "mean": self.mean, "variance": self.variance}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.running = state["running"].to(self.running.device, copy=True)
        self.count, self.mean, self.variance = (
            int(state["count"]),
            float(state["mean"]),
            float(state["variance"]),
        )


class EpisodeMeans:
    """Mean return and length of the episodes that ended in a rollout, and means of chosen infos.

    Parameters
    ----------
    num_envs
        Environments, N.
    info_means
        Keys of `infos` whose mean over the rollout is reported; each an (N,) array with its mask ``_key``.
    """

    def __init__(self, num_envs: int, info_means: Sequence[str] = ()) -> None:
        self.returns: NDArray[np.float64] = np.zeros(num_envs)  # of the running episodes
        self.lengths: NDArray[np.int64] = np.zeros(num_envs, np.int64)
        self.info_means = tuple(info_means)
        self.clear()

    def clear(self) -> None:
        """Start a new rollout; running episodes run on."""
        self.ended = 0
        self.return_sum = 0.0
        self.length_sum = 0
        self.info_sums = dict.fromkeys(self.info_means, 0.0)
        self.info_counts = dict.fromkeys(self.info_means, 0)

    def forget_running(self) -> None:
        """Start every episode anew."""
        self.returns[:] = 0.0
        self.lengths[:] = 0

    def add(
        self,
        rewards: NDArray[Any],
        ended: NDArray[np.bool_],
        played: NDArray[np.bool_],
        infos: Mapping[str, Any],
    ) -> None:
        """Take in one step: rewards, ends of episodes, rows that were more than a reset, (N,) each; infos."""
        self.returns += rewards
        self.lengths += played
        # with SAME_STEP autoreset, the rows that ended have their infos among the final ones
        for source in (infos, infos.get("final_info", {})):
            for key in self.info_sums.keys() & source.keys():
                rows = source[f"_{key}"]
                self.info_sums[key] += float(source[key].sum(where=rows))
                self.info_counts[key] += int(np.count_nonzero(rows))
        if ended.any():
            self.ended += int(np.count_nonzero(ended))
            self.return_sum += float(self.returns[ended].sum())
            self.length_sum += int(self.lengths[ended].sum())
            self.returns[ended] = 0.0
            self.lengths[ended] = 0

    def figures(self) -> dict[str, float]:
        """Return the rollout's figures by name; nan where no episode ended."""
        return {
            "episodes": float(self.ended),
            "episode_return": self.return_sum / self.ended if self.ended else math.nan,
            "episode_length": self.length_sum / self.ended if self.ended else math.nan,
            **{f"mean_{key}": total / max(self.info_counts[key], 1) for key, total in self.info_sums.items()},
        }

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` takes."""
        return {"returns": torch.from_numpy(self.returns), "lengths": torch.from_numpy(self.lengths)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        np.copyto(self.returns, state["returns"].cpu().numpy())
        np.copyto(self.lengths, state["lengths"].cpu().numpy())
