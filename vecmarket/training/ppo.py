"""Proximal policy optimisation for continuous actions over any Gymnasium vector environment.

One iteration is: play `rollout_steps` steps in every environment -> scale rewards -> advantages -> a few
epochs of clipped updates. Arrays have shape (T, N, ...) for T steps in N environments and are made once.

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

Method: Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

from vecmarket.training.config import PPOConfig
from vecmarket.training.gae import compute_gae
from vecmarket.training.policy import ActorCritic
from vecmarket.training.rollout import EpisodeMeans, RewardScale, Rollout
from vecmarket.training.seeding import stream_seed

__all__ = ["PPO"]

VectorEnv: TypeAlias = "gym.vector.VectorEnv[Any, Any, Any]"
State: TypeAlias = dict[str, Any]


class PPO:
    """A PPO learner bound to one vector environment.

    Parameters
    ----------
    env
        The vector environment; its single observation and action spaces must be flat boxes.
    config
        Settings of the algorithm.
    total_steps
        Agent steps (rows times steps) in the whole run; rounded up to whole iterations.
    seed
        Seed of the run: weights, actions, minibatches and environments get streams of their own from it.
    device
        Where the networks and the rollout live: "cpu", "cuda", "cuda:1", ...
    info_means
        Keys of `infos` (arrays of N numbers) whose mean over each rollout is reported.

    Raises
    ------
    ValueError
        When a space, the environment's autoreset mode, the device or `total_steps` cannot be used.
    """

    def __init__(
        self,
        env: VectorEnv,
        config: PPOConfig,
        *,
        total_steps: int,
        seed: int = 0,
        device: str = "cpu",
        info_means: Sequence[str] = (),
    ) -> None:
        if total_steps < 1:
            raise ValueError(f"total_steps: must be at least 1, got {total_steps}")
        self.env = env
        self.config = config
        self.seed = seed
        self.device = _device(device)
        self.autoreset = _autoreset_mode(env)
        self.num_envs = env.num_envs
        self.steps_per_iteration = config.rollout_steps * self.num_envs
        self.total_iterations = -(-total_steps // self.steps_per_iteration)
        self.iteration = 0

        self.model = ActorCritic(
            env.single_observation_space,
            env.single_action_space,
            hidden=config.hidden,
            activation=config.activation,
            initial_log_std=config.initial_log_std,
            observation_range=config.observation_range,
            generator=torch.Generator().manual_seed(stream_seed(seed, "weights")),
        ).to(self.device)
        self.model.log_std.requires_grad_(config.final_log_std is None)
        learned = [weights for weights in self.model.parameters() if weights.requires_grad]
        self.optimiser = torch.optim.Adam(learned, lr=config.learning_rate, eps=1e-5, fused=True)
        self.action_noise = torch.Generator(self.device).manual_seed(stream_seed(seed, "actions"))
        self.shuffle = torch.Generator(self.device).manual_seed(stream_seed(seed, "minibatches"))
        self.reward_scale = RewardScale(self.num_envs, config.gamma, self.device)
        self.episodes = EpisodeMeans(self.num_envs, info_means)
        self.rollout = Rollout.empty(
            config.rollout_steps,
            self.num_envs,
            self.model.centre.numel(),
            self.model.log_std.numel(),
            self.device,
        )
        # whether the previous step ended the episode, (N,)
        self.ended: NDArray[np.bool_] = np.zeros(self.num_envs, np.bool_)
        self.started = False

    @property
    def steps(self) -> int:
        """Agent steps taken so far."""
        return self.iteration * self.steps_per_iteration

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its iterations."""
        return self.iteration >= self.total_iterations

    def iterate(self) -> dict[str, float]:
        """Play one rollout and learn from it; return the iteration's figures by name."""
        if not self.started:
            observations, _ = self.env.reset(seed=stream_seed(self.seed, "environments"))
            self.rollout.observations[-1].copy_(torch.from_numpy(np.asarray(observations)))
            self.started = True
        learning_rate = self._follow_schedules()
        figures = self.collect()
        advantages, returns = self.advantages()
        figures |= self.update(advantages, returns)
        self.iteration += 1
        return figures | {"learning_rate": learning_rate}

    @torch.no_grad()
    def collect(self) -> dict[str, float]:
        """Fill the rollout with T steps of the current policy."""
        roll, env, model = self.rollout, self.env, self.model
        roll.observations[0].copy_(roll.observations[-1])
        roll.noise.normal_(generator=self.action_noise)
        std = model.log_std.exp()
        dtype = env.single_action_space.dtype
        self.episodes.clear()
        played = np.ones(self.num_envs, np.bool_)
        for t in range(self.config.rollout_steps):
            mean = model.mean_action(roll.observations[t])
            torch.addcmul(mean, std, roll.noise[t], out=roll.actions[t])
            actions = model.clip(roll.actions[t]).cpu().numpy().astype(dtype, copy=False)
            observations, rewards, terminated, truncated, infos = env.step(actions)

            roll.rewards[t].copy_(torch.from_numpy(np.asarray(rewards)))
            roll.terminated[t].copy_(torch.from_numpy(terminated))
            roll.truncated[t].copy_(torch.from_numpy(truncated))
            ended = terminated | truncated
            if self.autoreset == AutoresetMode.NEXT_STEP:
                played = ~self.ended
                roll.valid[t].copy_(torch.from_numpy(played))
            self.episodes.add(rewards, ended, played, infos)
            np.copyto(self.ended, ended)

            cut = truncated & ~terminated
            if self.autoreset != AutoresetMode.NEXT_STEP and cut.any():
                last = infos["final_obs"] if self.autoreset == AutoresetMode.SAME_STEP else observations
                self._value_last(t, last, cut)
            if self.autoreset == AutoresetMode.DISABLED and ended.any():
                observations, _ = env.reset(options={"reset_mask": ended})
            roll.observations[t + 1].copy_(torch.from_numpy(np.asarray(observations)))
        return self.episodes.figures()

    @torch.no_grad()
    def advantages(self) -> tuple[Tensor, Tensor]:
        """Return advantages and returns of the rollout, float (T, N), in units of the scaled reward."""
        roll, config = self.rollout, self.config
        size = roll.observations.shape[:2]
        roll.values.copy_(self.model.value(roll.observations.flatten(0, 1)).view(size))
        next_values = roll.values[1:]
        if self.autoreset != AutoresetMode.NEXT_STEP:
            next_values = torch.where(roll.truncated, roll.last_values, next_values)
        rewards = roll.rewards
        if config.normalise_rewards:
            self.reward_scale.update(rewards, roll.terminated | roll.truncated, roll.valid)
            rewards = rewards / self.reward_scale.std
        return compute_gae(
            rewards,
            roll.values[:-1],
            next_values,
            roll.terminated,
            roll.truncated,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            valid=roll.valid,
        )

    def update(self, advantages: Tensor, returns: Tensor) -> dict[str, float]:
        """Take the epochs of clipped gradient steps; `advantages` and `returns` are (T, N).

        Nothing is learned from a rollout in which every row only reset, and its losses are nan.
        """
        config, model, roll = self.config, self.model, self.rollout
        rows = roll.valid.flatten().nonzero().squeeze(-1)
        observations = roll.observations[:-1].flatten(0, 1)
        actions = roll.actions.flatten(0, 1)
        old_values = roll.values[:-1].flatten()
        with torch.no_grad():
            # the density of mean + std * noise, from the noise that was drawn
            old_log_probs = model.log_prob(
                torch.zeros_like(actions), roll.noise.flatten(0, 1) * model.log_std.exp()
            )
        advantages, returns = advantages.flatten(), returns.flatten()

        figures: list[Tensor] = []
        epochs = 0
        for _ in range(config.epochs if len(rows) else 0):
            order = rows[torch.randperm(len(rows), generator=self.shuffle, device=self.device)]
            epoch: list[Tensor] = []
            for batch in order.tensor_split(min(config.minibatches, len(rows))):
                log_probs, entropy, values = model.evaluate(observations[batch], actions[batch])
                log_ratio = log_probs - old_log_probs[batch]
                ratio = log_ratio.exp()
                advantage = advantages[batch]
                if config.normalise_advantages and len(batch) > 1:
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                clipped = ratio.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
                policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()

                errors = (values - returns[batch]).square()
                if config.value_clip_range is not None:
                    change = values - old_values[batch]
                    change = change.clamp(-config.value_clip_range, config.value_clip_range)
                    errors = torch.maximum(errors, (old_values[batch] + change - returns[batch]).square())
                value_loss = 0.5 * errors.mean()

                loss = (
                    policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
                )
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
                self.optimiser.step()

                with torch.no_grad():
                    # unbiased, and no sample of it is negative: Schulman, "Approximating KL Divergence", 2020
                    kl = (ratio - 1.0 - log_ratio).mean()
                    cut = ((ratio - 1.0).abs() > config.clip_range).float().mean()
                    epoch.append(torch.stack([policy_loss, value_loss, kl, cut]))
            figures += epoch
            epochs += 1
            if config.target_kl is not None and torch.stack(epoch).mean(0)[2].item() > config.target_kl:
                break

        losses: list[float] = torch.stack(figures).mean(0).tolist() if figures else [math.nan] * 4
        policy_loss_, value_loss_, kl_, cut_ = losses
        return {
            "policy_loss": policy_loss_,
            "value_loss": value_loss_,
            "approx_kl": kl_,
            "clip_fraction": cut_,
            "entropy": model.entropy().item(),
            "policy_std": model.log_std.exp().mean().item(),
            "explained_variance": _explained_variance(old_values[rows], returns[rows]),
            "epochs": float(epochs),
        }

    def state(self) -> State:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors.

        The environment's part is there when it offers ``snapshot() -> bytes`` and ``restore(bytes)``.
        """
        snapshot = getattr(self.env.unwrapped, "snapshot", None)
        state: State = _copy(
            {
                "iteration": self.iteration,
                "started": self.started,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "action_noise": self.action_noise.get_state(),
                "shuffle": self.shuffle.get_state(),
                "reward_scale": self.reward_scale.state(),
                "episodes": self.episodes.state(),
                "ended": torch.from_numpy(self.ended),
                "observations": self.rollout.observations[-1],
                "env": torch.frombuffer(bytearray(snapshot()), dtype=torch.uint8)
                if snapshot is not None and self.started
                else None,
            }
        )
        return state

    def restore(self, state: State) -> None:
        """Go on from a `state` of a learner with the same settings on a like environment.

        The coming iterations are then bit for bit those of that learner. An environment without
        ``snapshot`` starts new episodes instead, from seeds that no earlier episode of the run had.

        Raises
        ------
        ValueError
            When the state does not fit; the learner should not be used further.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            if state["action_noise"] is not None:  # a native learner draws its noise in another way
                self.action_noise.set_state(state["action_noise"].cpu())
                self.shuffle.set_state(state["shuffle"].cpu())
            self.reward_scale.restore(state["reward_scale"])
            self.episodes.restore(state["episodes"])
            np.copyto(self.ended, state["ended"].cpu().numpy())
            self.rollout.observations[-1].copy_(state["observations"])
            self.iteration, self.started = int(state["iteration"]), bool(state["started"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise ValueError(f"state: does not fit this learner: {error}") from error
        if not self.started:
            return
        if state["env"] is not None:
            self.env.unwrapped.restore(state["env"].cpu().numpy().tobytes())  # type: ignore[attr-defined]
        else:
            seed = stream_seed(self.seed, "environments", restart=self.iteration)
            observations, _ = self.env.reset(seed=seed)
            self.rollout.observations[-1].copy_(torch.from_numpy(np.asarray(observations)))
            self.ended[:] = False
            self.episodes.forget_running()

    def _follow_schedules(self) -> float:
        """Set the learning rate, and the spread where it is not learned; return the learning rate."""
        config, learning_rate = self.config, self.config.learning_rate
        if config.schedule == "linear":
            learning_rate *= 1.0 - self.iteration / self.total_iterations
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        if config.final_log_std is not None:
            done = self.iteration / max(1, self.total_iterations - 1)
            log_std = config.initial_log_std + done * (config.final_log_std - config.initial_log_std)
            with torch.no_grad():
                self.model.log_std.fill_(log_std)
        return learning_rate

    def _value_last(self, t: int, observations: NDArray[Any], cut: NDArray[np.bool_]) -> None:
        """Value the last observations of the episodes that step `t` cut short."""
        rows = np.stack(list(observations[cut]))  # SyncVectorEnv hands an object array, with None elsewhere
        values = self.model.value(torch.as_tensor(rows, dtype=torch.float32, device=self.device))
        self.rollout.last_values[t][torch.from_numpy(cut).to(self.device)] = values


def _explained_variance(values: Tensor, returns: Tensor) -> float:
    """Return the share of the returns' variance that the values explain; nan where there is none."""
    variance = returns.var(correction=0).item() if len(returns) else 0.0
    if variance == 0.0:
        return math.nan
    return 1.0 - (returns - values).var(correction=0).item() / variance


def _autoreset_mode(env: VectorEnv) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError:
        legal = ", ".join(str(m) for m in AutoresetMode)
        raise ValueError(f'env.metadata["autoreset_mode"]: must be one of {legal}, got {mode!r}') from None


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: {name!r} is not a device: {error}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {name!r} was asked for, but torch finds no CUDA device")
    return device


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
