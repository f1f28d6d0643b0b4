"""What PPO keeps while it plays: the rollout's arrays, the scale of the rewards, the episodes' figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["EpisodeMeans", "ObservationScale", "RewardScale", "Rollout", "Told"]


@dataclass(frozen=True)
class Told:
    """What the environments tell in T steps, on the CPU, where they write it."""

    observations: Tensor  # (T + 1, N, F) float32; the last row is where the next rollout starts
    rewards: Tensor  # (T, N) float32
    terminated: Tensor  # (T, N) bool
    truncated: Tensor  # (T, N) bool
    valid: Tensor  # (T, N) bool; False where the step only reset the environment

    def of(self, change: Callable[[Tensor], Tensor]) -> Told:
        """Return these arrays in another view."""
        return Told(*(change(getattr(self, part.name)) for part in dataclasses.fields(self)))


@dataclass(frozen=True)
class Rollout(Told):
    """T steps in N environments, made once and filled again and again.

    It lives where the networks do. On a GPU the environments write into `told`, which is pinned memory, and
    copies follow without anybody waiting for them; on a CPU `told` is the rollout's own memory. With B agents
    side by side, every N is (B, N).
    """

    told: Told
    noise: Tensor  # (T, N, A) float32, standard normal
    actions: Tensor  # (T, N, A) float32, before clipping to the action space
    values: Tensor  # (T + 1, N) float32, of the observations
    last_values: Tensor  # (T, N) float32; where an episode was truncated, of its last observation

    @classmethod
    def empty(
        cls,
        steps: int,
        rows: tuple[int, ...],
        features: int,
        actions: int,
        device: torch.device,
        *,
        staged: bool | None = None,
    ) -> Rollout:
        """Make the arrays for rows (N,) or (B, N); `valid` is True throughout.

        `staged` is whether `told` has memory of its own; None for what the device asks for.
        """

        def zeros(*shape: int, dtype: torch.dtype = torch.float32, place: Any = device) -> Tensor:
            pinned = place == "cpu" and device.type == "cuda"
            return torch.zeros(shape, dtype=dtype, device=place, pin_memory=pinned)

        def told(place: Any) -> Told:
            return Told(
                observations=zeros(steps + 1, *rows, features, place=place),
                rewards=zeros(steps, *rows, place=place),
                terminated=zeros(steps, *rows, dtype=torch.bool, place=place),
                truncated=zeros(steps, *rows, dtype=torch.bool, place=place),
                valid=zeros(steps, *rows, dtype=torch.bool, place=place).fill_(True),
            )

        own = told(device)
        return cls(
            **vars(own),
            told=told("cpu") if (device.type != "cpu" if staged is None else staged) else own,
            noise=zeros(steps, *rows, actions),
            actions=zeros(steps, *rows, actions),
            values=zeros(steps + 1, *rows),
            last_values=zeros(steps, *rows),
        )

    def take_observations(self, t: int) -> None:
        """Have the observations of step `t` (-1 for the last) where the networks are."""
        if self.told.observations is not self.observations:
            self.observations[t].copy_(self.told.observations[t], non_blocking=True)

    def take_all_else(self) -> None:
        """Have the rewards and flags of all steps where the networks are."""
        for name in ("rewards", "terminated", "truncated", "valid"):
            mine, told = getattr(self, name), getattr(self.told, name)
            if mine is not told:
                mine.copy_(told, non_blocking=True)


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


class ObservationScale:
    """Running mean and standard deviation of each observed number, merged as in `RewardScale`."""

    def __init__(self, features: int, device: torch.device) -> None:
        self.count = 0
        self.mean = torch.zeros(features, dtype=torch.float64, device=device)  # (F,)
        self.variance = torch.zeros(features, dtype=torch.float64, device=device)  # (F,)

    def update(self, observations: Tensor, valid: Tensor) -> None:
        """Take in a rollout: observations (T, N, F), and which rows count, (T, N)."""
        rows = observations[valid].double()
        if len(rows):
            self.merge(len(rows), rows.mean(0), rows.var(0, correction=0))

    def merge(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Take in the moments of other rows, as another worker may have seen them; (F,) each."""
        total = self.count + count
        shift = mean - self.mean
        spread = self.variance * self.count + variance * count + shift.square() * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.variance = spread / total
        self.count = total

    def write(self, centre: Tensor, scale: Tensor) -> None:
        """Bring a model's map of observations up to date; a number that never varied keeps the scale 1."""
        if self.count:
            centre.copy_(self.mean)
            scale.copy_(torch.where(self.variance > 0.0, self.variance.sqrt(), 1.0))

    def state(self) -> list[tuple[float, float, float]]:
        """Return what `restore` takes: count, mean and variance of each number, if any came."""
        if not self.count:
            return []
        moments = zip(self.mean.tolist(), self.variance.tolist(), strict=True)
        return [(float(self.count), mean, variance) for mean, variance in moments]

    def restore(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from a `state`."""
        if state:
            counts, means, variances = zip(*state, strict=True)
            self.count = int(counts[0])
            self.mean = torch.tensor(means, dtype=torch.float64, device=self.mean.device)
            self.variance = torch.tensor(variances, dtype=torch.float64, device=self.mean.device)


class EpisodeMeans:
    """Mean return and length of the episodes that ended in a rollout, and means of chosen infos.

    Parameters
    ----------
    rows
        Shape of the environment's rows: (N,), or (N, B) for B agents whose figures are kept apart.
    info_means
        Keys of `infos` whose mean over the rollout is reported; each an array of all rows with its mask
        ``_key``.
    """

    def __init__(self, rows: tuple[int, ...], info_means: Sequence[str] = ()) -> None:
        self.rows = rows
        self.returns: NDArray[np.float64] = np.zeros(rows)  # of the running episodes
        self.lengths: NDArray[np.int64] = np.zeros(rows, np.int64)
        self.info_means = tuple(info_means)
        self.clear()

    def clear(self) -> None:
        """Start a new rollout; running episodes run on."""
        agents = self.rows[1:]  # every sum is kept per agent, () or (B,)
        self.ended: NDArray[np.int64] = np.zeros(agents, np.int64)
        self.return_sum: NDArray[np.float64] = np.zeros(agents)
        self.length_sum: NDArray[np.int64] = np.zeros(agents, np.int64)
        self.info_sums: dict[str, NDArray[np.float64]] = {key: np.zeros(agents) for key in self.info_means}
        self.info_counts: dict[str, NDArray[np.int64]] = {
            key: np.zeros(agents, np.int64) for key in self.info_means
        }

    def forget_running(self) -> None:
        """Start every episode anew."""
        self.returns[...] = 0.0
        self.lengths[...] = 0

    def add(
        self,
        rewards: NDArray[Any],
        ended: NDArray[np.bool_],
        played: NDArray[np.bool_],
        infos: Mapping[str, Any],
    ) -> None:
        """Take in one step: rewards, ends, rows that were more than a reset, and infos, each of all rows."""
        self.returns += rewards.reshape(self.rows)
        self.lengths += played.reshape(self.rows)
        # with SAME_STEP autoreset, the rows that ended have their infos among the final ones
        for source in (infos, infos.get("final_info", {})):
            for key in self.info_sums.keys() & source.keys():
                there = source[f"_{key}"].reshape(self.rows)
                self.info_sums[key] += source[key].reshape(self.rows).sum(axis=0, where=there)
                self.info_counts[key] += np.count_nonzero(there, axis=0)
        if ended.any():
            over = ended.reshape(self.rows)
            self.ended += np.count_nonzero(over, axis=0)
            self.return_sum += self.returns.sum(axis=0, where=over)
            self.length_sum += self.lengths.sum(axis=0, where=over)
            self.returns[over] = 0.0
            self.lengths[over] = 0

    def figures(self, agent: int = 0) -> dict[str, float]:
        """Return an agent's figures of the rollout by name; nan where no episode ended."""

        def of(sums: NDArray[Any]) -> float:
            return float(sums.flat[agent])

        ended = of(self.ended)
        return {
            "episodes": ended,
            "episode_return": of(self.return_sum) / ended if ended else math.nan,
            "episode_length": of(self.length_sum) / ended if ended else math.nan,
            **{
                f"mean_{key}": of(total) / max(of(self.info_counts[key]), 1.0)
                for key, total in self.info_sums.items()
            },
        }

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` takes."""
        return {"returns": torch.from_numpy(self.returns), "lengths": torch.from_numpy(self.lengths)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        np.copyto(self.returns, state["returns"].cpu().numpy())
        np.copyto(self.lengths, state["lengths"].cpu().numpy())
