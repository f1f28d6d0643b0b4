"""Proximal policy optimisation for continuous actions over any Gymnasium vector environment.

One iteration is: play `rollout_steps` steps in every environment -> scale rewards -> advantages -> a few
epochs of clipped updates. Arrays have shape (T, N, ...) for T steps in N environments and are made once.

Method: Schulman et al., "Proximal Policy Optimization Algorithms", 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from gymnasium.spaces import Space
from gymnasium.vector import AutoresetMode
from torch import Tensor

from vecmarket.checks import unfit_state, whole_number
from vecmarket.training.collector import Collector, VectorEnv
from vecmarket.training.config import PPOConfig
from vecmarket.training.gae import compute_gae, scale_steps
from vecmarket.training.policy import ActorCritic, GaussianActorCritic
from vecmarket.training.rollout import ObservationScale, RewardScale, Rollout
from vecmarket.training.seeding import stream_seed

__all__ = ["FIGURES", "PPO", "Batch", "learning_rate", "log_std", "new_model", "ppo_loss"]

State: TypeAlias = dict[str, Any]

FIGURES = ("policy_loss", "value_loss", "approx_kl", "clip_fraction")
"""What `ppo_loss` tells of a minibatch, in this order."""


ADAM_EPSILON = 1e-5


class Batch(NamedTuple):
    """Rows of a rollout to learn from: n of one agent, or of each of B agents (everything has B in front)."""

    observations: Tensor  # (n, F)
    actions: Tensor  # (n, A), before clipping to the action space
    log_probs: Tensor  # (n,), of the actions when they were taken
    advantages: Tensor  # (n,)
    returns: Tensor  # (n,)
    values: Tensor  # (n,), of the observations when they were made

    def rows(self, chosen: Tensor) -> Batch:
        """Return chosen rows; `chosen` may have any shape, and its entries count rows of the first axis."""
        flat = chosen.flatten()
        return Batch(*(part.index_select(0, flat).view(*chosen.shape, *part.shape[1:]) for part in self))


def ppo_loss(model: GaussianActorCritic, batch: Batch, config: PPOConfig) -> tuple[Tensor, Tensor]:
    """Return the loss of a minibatch and its figures; nothing but the arguments enters, nothing is changed.

    With r the ratio of an action's probability now to that when it was taken, A its advantage (scaled to mean
    0 and deviation 1 over the minibatch), V the value and G the return, the loss is the mean over the rows of

        -min(r A, clip(r, 1 - c, 1 + c) A) + c_v (V - G)^2 / 2 - c_e entropy

    where a clipped value takes the larger of its two squared errors.

    Returns
    -------
    loss
        Float (), or (B,) for B agents, whose losses share nothing.
    figures
        Float (4,) or (B, 4), the `FIGURES`, without gradient.
    """
    log_probs, entropy, values = model.evaluate(batch.observations, batch.actions)
    log_ratio = log_probs - batch.log_probs
    ratio = log_ratio.exp()
    advantages = batch.advantages
    if config.normalise_advantages and advantages.shape[-1] > 1:
        spread, mean = torch.std_mean(advantages, dim=-1, keepdim=True)
        advantages = (advantages - mean) / (spread + 1e-8)
    clipped = ratio.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
    policy_loss = -torch.minimum(ratio * advantages, clipped * advantages).mean(-1)

    errors = (values - batch.returns).square()
    if config.value_clip_range is not None:
        change = (values - batch.values).clamp(-config.value_clip_range, config.value_clip_range)
        errors = torch.maximum(errors, (batch.values + change - batch.returns).square())
    value_loss = 0.5 * errors.mean(-1)

    loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    with torch.no_grad():
        # unbiased, and no sample of it is negative: Schulman, "Approximating KL Divergence", 2020
        kl = (ratio - 1.0 - log_ratio).mean(-1)
        cut = ((ratio - 1.0).abs() > config.clip_range).float().mean(-1)
        figures = torch.stack([policy_loss, value_loss, kl, cut], dim=-1)
    return loss, figures


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
    TypeError
        When `total_steps` is no whole number.
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
        total_steps = whole_number("total_steps", total_steps, least=1)
        self.env = env
        self.config = config
        self.seed = seed
        self.device = device_of(device)
        self.num_envs = env.num_envs
        self.steps_per_iteration = config.rollout_steps * self.num_envs
        self.total_iterations = -(-total_steps // self.steps_per_iteration)
        self.iteration = 0

        self.model = new_model(env.single_observation_space, env.single_action_space, config, seed).to(
            self.device
        )
        learned = [weights for weights in self.model.parameters() if weights.requires_grad]
        self.optimiser = torch.optim.Adam(learned, lr=config.learning_rate, eps=ADAM_EPSILON, fused=True)
        self.action_noise = torch.Generator(self.device).manual_seed(stream_seed(seed, "actions"))
        self.shuffle = torch.Generator(self.device).manual_seed(stream_seed(seed, "minibatches"))
        self.reward_scale = RewardScale(self.num_envs, config.gamma, self.device)
        self.observation_scale = ObservationScale(self.model.centre.numel(), self.device)
        self.rollout = Rollout.empty(
            config.rollout_steps,
            (self.num_envs,),
            self.model.centre.numel(),
            self.model.log_std.numel(),
            self.device,
        )
        self.collector = Collector(env, self.rollout.told, info_means)
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
        """Play one rollout and learn from it; return the iteration's figures by name.

        Raises
        ------
        ValueError
            When the run has taken all its iterations.
        """
        check_left(self.iteration, self.total_iterations)
        if not self.started:
            self.collector.start(stream_seed(self.seed, "environments"))
            self.rollout.take_observations(-1)
            self.started = True
        rate = self._follow_schedules()
        figures = self.collect()
        advantages, returns = self.advantages()
        figures |= self.update(advantages, returns)
        if self.config.normalise_observations:
            self.observation_scale.update(self.rollout.observations[:-1], self.rollout.valid)
            self.observation_scale.write(self.model.centre, self.model.scale)
        self.iteration += 1
        return figures | {"learning_rate": rate}

    @torch.inference_mode()
    def collect(self) -> dict[str, float]:
        """Fill the rollout with T steps of the current policy."""
        roll, model = self.rollout, self.model
        roll.observations[0].copy_(roll.observations[-1])
        roll.noise.normal_(generator=self.action_noise)
        std = model.log_std.exp()
        self.collector.episodes.clear()
        for t in range(self.config.rollout_steps):
            mean = model.mean_action(roll.observations[t])
            torch.addcmul(mean, std, roll.noise[t], out=roll.actions[t])
            cut = self.collector.step(t, model.clip(roll.actions[t]).cpu().numpy())
            if cut is not None:
                last = model.value(cut.observations.to(self.device))
                roll.last_values[t].masked_scatter_(cut.rows.to(self.device), last)
            roll.take_observations(t + 1)
        roll.take_all_else()
        return self.collector.episodes.figures()

    @torch.no_grad()
    def advantages(self) -> tuple[Tensor, Tensor]:
        """Return advantages and returns of the rollout, float (T, N).

        They are in units of the scaled reward, unless the advantages are scaled step by step.
        """
        roll, config = self.rollout, self.config
        for observations, values in zip(roll.observations, roll.values, strict=True):
            values.copy_(self.model.value(observations))
        next_values = roll.values[1:]
        if self.collector.autoreset != AutoresetMode.NEXT_STEP:
            next_values = torch.where(roll.truncated, roll.last_values, next_values)
        rewards = roll.rewards
        if config.normalise_rewards:
            self.reward_scale.update(rewards, roll.terminated | roll.truncated, roll.valid)
            rewards = rewards / self.reward_scale.std
        advantages, returns = compute_gae(
            rewards,
            roll.values[:-1],
            next_values,
            roll.terminated,
            roll.truncated,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            valid=roll.valid,
        )
        if config.normalise_by_step:
            advantages = scale_steps(advantages, roll.valid)
        return advantages, returns

    def update(self, advantages: Tensor, returns: Tensor) -> dict[str, float]:
        """Take the epochs of clipped gradient steps; `advantages` and `returns` are (T, N).

        Nothing is learned from a rollout in which every row only reset, and its losses are nan.
        """
        config, model, roll = self.config, self.model, self.rollout
        rows = roll.valid.flatten().nonzero().squeeze(-1)
        data = self.data(advantages, returns)

        figures: list[Tensor] = []
        epochs = 0
        for _ in range(config.epochs if len(rows) else 0):
            order = rows[torch.randperm(len(rows), generator=self.shuffle, device=self.device)]
            epoch: list[Tensor] = []
            for chosen in order.tensor_split(min(config.minibatches, len(rows))):
                loss, told = ppo_loss(model, data.rows(chosen), config)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_gradient_norm)
                self.optimiser.step()
                epoch.append(told)
            figures += epoch
            epochs += 1
            if config.target_kl is not None and torch.stack(epoch).mean(0)[2].item() > config.target_kl:
                break

        losses: list[float] = torch.stack(figures).mean(0).tolist() if figures else [math.nan] * len(FIGURES)
        return {
            **dict(zip(FIGURES, losses, strict=True)),
            "entropy": model.entropy().item(),
            "policy_std": model.log_std.exp().mean().item(),
            "explained_variance": explained_variance(data.values[rows], data.returns[rows]),
            "epochs": float(epochs),
        }

    @torch.no_grad()
    def data(self, advantages: Tensor, returns: Tensor) -> Batch:
        """Return all T * N rows of the rollout with their advantages and returns, (T, N) each."""
        roll = self.rollout
        return Batch(
            observations=roll.observations[:-1].flatten(0, 1),
            actions=roll.actions.flatten(0, 1),
            log_probs=self.model.noise_log_prob(roll.noise.flatten(0, 1)),
            advantages=advantages.flatten(),
            returns=returns.flatten(),
            values=roll.values[:-1].flatten(),
        )

    def state(self) -> State:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors.

        The environment's part is there when it offers ``snapshot() -> bytes`` and ``restore(bytes)``.
        """
        state: State = copied(
            {
                "iteration": self.iteration,
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "action_noise": self.action_noise.get_state(),
                "shuffle": self.shuffle.get_state(),
                "reward_scale": self.reward_scale.state(),
                "observation_scale": self.observation_scale.state(),
                "environment": self.collector.state() if self.started else None,
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
            self.observation_scale.restore(state["observation_scale"])
            self.iteration, self.started = int(state["iteration"]), state["environment"] is not None
            if self.started:
                self.collector.restore(state["environment"], seed=self.seed, restart=self.iteration)
                self.rollout.take_observations(-1)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise unfit_state("learner", error) from error

    def _follow_schedules(self) -> float:
        """Set the learning rate, and the spread where it is not learned; return the learning rate."""
        rate = learning_rate(self.config, self.iteration, self.total_iterations)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        spread = log_std(self.config, self.iteration, self.total_iterations)
        if spread is not None:
            with torch.no_grad():
                self.model.log_std.fill_(spread)
        return rate


def new_model(observations: Space[Any], actions: Space[Any], config: PPOConfig, seed: int) -> ActorCritic:
    """Return the networks that a learner of this seed starts with, for one environment's spaces."""
    model = ActorCritic(
        observations,
        actions,
        hidden=config.hidden,
        activation=config.activation,
        initial_log_std=config.initial_log_std,
        observation_range=None if config.normalise_observations else config.observation_range,
        generator=torch.Generator().manual_seed(stream_seed(seed, "weights")),
    )
    model.log_std.requires_grad_(config.final_log_std is None)
    return model


def check_left(iteration: int, total: int, asked: int = 1, name: str = "iterate") -> None:
    """Refuse to go on past a run's last iteration: its schedules have no meaning there."""
    if iteration + asked > total:
        raise ValueError(
            f"{name}: {total - iteration} of the run's {total} iterations are left, {asked} were asked for"
        )


def learning_rate(config: PPOConfig, iteration: int, total: int) -> float:
    """Return Adam's step size in an iteration (from 0) of a run of `total`."""
    if config.schedule == "linear":
        return config.learning_rate * (1.0 - iteration / total)
    return config.learning_rate


def log_std(config: PPOConfig, iteration: int, total: int) -> float | None:
    """Return the policy's log standard deviation in an iteration, None where it is learned."""
    if config.final_log_std is None:
        return None
    done: float = (iteration / max(1, total - 1)) ** config.log_std_power
    return config.initial_log_std + done * (config.final_log_std - config.initial_log_std)


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """Return the share of the returns' variance that the values explain; nan where there is none."""
    variance = returns.var(correction=0).item() if len(returns) else 0.0
    if variance == 0.0:
        return math.nan
    return 1.0 - (returns - values).var(correction=0).item() / variance


def device_of(name: str) -> torch.device:
    """Return a device that is there; a ValueError says what is wrong with another."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: {name!r} is not a device: {error}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {name!r} was asked for, but torch finds no CUDA device")
    return device


def copied(value: Any) -> Any:
    """Return a copy of nested dictionaries and lists of tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value
