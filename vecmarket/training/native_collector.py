"""Rollouts without learning: policy, market and trajectory for many steps in one call of the core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecmarket import _core
from vecmarket.training.config import PPOConfig
from vecmarket.training.native import EngineEnv, check_env
from vecmarket.training.native_state import pack
from vecmarket.training.policy import ActorCritic
from vecmarket.training.seeding import stream_seed

__all__ = ["NativeCollector"]


class NativeCollector:
    """Plays a policy in a market environment and hands out what happened.

    The interpreter takes no part: each call steps every environment `steps` times, draws actions, and keeps
    the trajectory. Episodes start anew in the step that ends one.

    Parameters
    ----------
    env
        A `MarketVectorEnv` with ``autoreset_mode="same_step"`` whose rivals are all played by the engine, and
        which has been reset.
    model
        Actor and critic; the weights are copied.
    steps
        Steps of every environment in a call, T.
    seed
        Seed of the actions' noise, which is keyed by row and step: it does not depend on batch or threads.

    Raises
    ------
    ValueError
        When the environment or the model cannot be used; the message says why.
    TypeError
        When the environment is no `MarketVectorEnv`.
    """

    def __init__(self, env: EngineEnv, model: ActorCritic, steps: int, *, seed: int = 0) -> None:
        check_env(env, per_agent=False)
        self.env = env
        config = PPOConfig(
            rollout_steps=steps,
            hidden=model.hidden,
            activation=model.activation,  # type: ignore[arg-type]
        )
        keys = [(stream_seed(seed, "actions"), stream_seed(seed, "minibatches"))]
        self._trainer = _core.Trainer(env.engine, config, keys)
        self.set_model(model)

    def set_model(self, model: ActorCritic) -> None:
        """Take the weights of another model of the same shape."""
        self._trainer.set_parameters(0, pack([p.detach() for p in model.parameters()]))
        self._trainer.set_scale(0, model.centre.cpu().numpy(), model.scale.cpu().numpy())
        self._trainer.set_bounds(0, model.action_low.cpu().numpy(), model.action_high.cpu().numpy())

    def __call__(self) -> dict[str, NDArray[Any]]:
        """Play on, and return the trajectory.

        M rows, row = market * agents + agent where all agents act, and T steps: ``observations`` (M, T, F),
        ``actions`` (M, T, 2) as drawn, before they are cut to their bounds, ``log_probs``, ``values``,
        ``last_values`` (those of the true last observations of truncated episodes, else 0) and ``rewards``
        (M, T), all float32, ``terminated`` and ``truncated`` (M, T) bool, and ``next_values`` (M,), of the
        observations after the last step.
        """
        self._trainer.play(self.env.engine)
        self.env.refresh()
        record: dict[str, NDArray[np.generic]] = self._trainer.record()
        del record["advantages"]
        return record
