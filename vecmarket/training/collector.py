"""Steps of a Gymnasium vector environment, stored in a rollout, with the ends of episodes told apart.

The three ways in which a vector environment starts a new episode differ in where the last observation of
the old one is found; it is needed to value a truncated episode:

========== ===================================== ==================================================
autoreset  after an episode's last step          what that means for the rollout
========== ===================================== ==================================================
NEXT_STEP  the last observation is returned, the the next row is only a reset: it is marked invalid
           next step ignores its action          and enters neither advantages nor losses
SAME_STEP  the new episode's first observation   the last one is read from ``infos["final_obs"]``
           is returned
DISABLED   the last observation is returned, and it is read there, then the ended environments are
           the caller resets                     reset by ``options={"reset_mask": ended}``
========== ===================================== ==================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from vecmarket.training.rollout import EpisodeMeans, Told
from vecmarket.training.seeding import stream_seed

__all__ = ["Collector", "Cut", "VectorEnv"]

VectorEnv: TypeAlias = "gym.vector.VectorEnv[Any, Any, Any]"


class Cut(NamedTuple):
    """Episodes that a step cut short (truncated, not terminated)."""

    rows: Tensor  # bool, shaped as the collector's rows
    observations: Tensor  # (n, F) float32, the last ones of the n episodes


class Collector:
    """Steps one vector environment and stores what it tells.

    Parameters
    ----------
    env
        The vector environment.
    told
        Where it is stored: arrays (T, rows...), whose rows in C order are the environment's.
    info_means
        Keys of `infos` whose means are kept in `episodes`.

    Raises
    ------
    ValueError
        When the environment does not say how it starts new episodes.
    """

    def __init__(self, env: VectorEnv, told: Told, info_means: Sequence[str] = ()) -> None:
        self.env = env
        self.told = told
        self.autoreset = _autoreset_mode(env)
        self.rows = tuple(told.rewards.shape[1:])
        self.episodes = EpisodeMeans(self.rows, info_means)
        # whether the previous step ended the episode, in the environment's order
        self.ended: NDArray[np.bool_] = np.zeros(env.num_envs, np.bool_)

    def start(self, seed: int) -> None:
        """Start new episodes everywhere; the first observations are stored as the last of a rollout."""
        observations, _ = self.env.reset(seed=seed)
        self._store(self.told.observations[-1], observations)
        self.ended[:] = False
        self.episodes.forget_running()

    def step(self, t: int, actions: NDArray[np.float32]) -> Cut | None:
        """Take step `t` with actions (rows, A), within their space, and return the episodes it cut short."""
        env, told = self.env, self.told
        actions = actions.astype(env.single_action_space.dtype, copy=False)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        self._store(told.rewards[t], rewards)
        self._store(told.terminated[t], terminated)
        self._store(told.truncated[t], truncated)
        played = np.ones_like(self.ended)
        if self.autoreset == AutoresetMode.NEXT_STEP:
            np.logical_not(self.ended, out=played)
            self._store(told.valid[t], played)
        np.logical_or(terminated, truncated, out=self.ended)
        self.episodes.add(rewards, self.ended, played, infos)

        cut = None
        short = truncated & ~terminated
        if self.autoreset != AutoresetMode.NEXT_STEP and short.any():
            last = infos["final_obs"] if self.autoreset == AutoresetMode.SAME_STEP else observations
            # SyncVectorEnv hands an object array, with None elsewhere
            seen = torch.as_tensor(np.stack(list(last[short])), dtype=torch.float32)
            cut = Cut(torch.from_numpy(short.reshape(self.rows)), seen)
        if self.autoreset == AutoresetMode.DISABLED and self.ended.any():
            observations, _ = env.reset(options={"reset_mask": self.ended.copy()})
        self._store(told.observations[t + 1], observations)
        return cut

    def state(self) -> dict[str, Any]:
        """Return what `restore` takes; the environment's part is there when it offers ``snapshot()``."""
        snapshot = getattr(self.env.unwrapped, "snapshot", None)
        return {
            "episodes": self.episodes.state(),
            "ended": torch.from_numpy(self.ended),
            "observations": self.told.observations[-1],
            "env": None if snapshot is None else torch.frombuffer(bytearray(snapshot()), dtype=torch.uint8),
        }

    def restore(self, state: Mapping[str, Any], *, seed: int, restart: int) -> None:
        """Go on from a `state`.

        An environment without ``snapshot`` starts new episodes instead, from the stream that the run's `seed`
        and `restart` name.
        """
        self.episodes.restore(state["episodes"])
        np.copyto(self.ended, state["ended"].cpu().numpy())
        self.told.observations[-1].copy_(state["observations"])
        if state["env"] is None:
            self.start(stream_seed(seed, "environments", restart=restart))
        else:
            self.env.unwrapped.restore(state["env"].cpu().numpy().tobytes())  # type: ignore[attr-defined]

    @staticmethod
    def _store(place: Tensor, values: NDArray[Any]) -> None:
        place.copy_(torch.from_numpy(np.asarray(values)).view(place.shape))


def _autoreset_mode(env: VectorEnv) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError:
        legal = ", ".join(str(m) for m in AutoresetMode)
        raise ValueError(f'env.metadata["autoreset_mode"]: must be one of {legal}, got {mode!r}') from None
