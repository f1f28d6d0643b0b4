"""PPO for B independent agents at once: each has its own networks, optimiser, data and random numbers.

The weights of agent b are row b of one array (B, P). The losses of different agents share nothing, so one
backward pass of their sum gives every agent its own gradient; its norm is clipped, and Adam steps, row by
row. Agent b thus learns what `PPO` with its seed would learn alone on the same data, to the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from vecmarket.checks import unfit_state, whole_number
from vecmarket.training.collector import Collector, Cut, VectorEnv
from vecmarket.training.config import PPOConfig
from vecmarket.training.gae import compute_gae, scale_steps
from vecmarket.training.policy import ActorCritic
from vecmarket.training.ppo import (
    ADAM_EPSILON,
    FIGURES,
    Batch,
    State,
    check_left,
    copied,
    device_of,
    explained_variance,
    learning_rate,
    log_std,
    new_model,
    ppo_loss,
)
from vecmarket.training.rollout import RewardScale, Rollout
from vecmarket.training.seeding import stream_seed
from vecmarket.training.stacked import StackedActorCritic, StackedAdam

__all__ = ["BatchedPPO"]

GROUP_ROWS = 8192
"""Rows that go through the networks together on a CPU; more of them would not stay in its caches."""


class BatchedPPO:
    """B PPO learners updated together.

    Parameters
    ----------
    envs
        Where the agents learn: B vector environments of N rows each, agent b in the b-th (best responses to
        frozen rivals), or one whose rows are ``market * B + agent``, all agents in the same N markets
        (``MarketVectorEnv(learner="all")``: independent learning). Autoreset: "same_step" or "disabled".
    config
        Settings of the algorithm, the same for all.
    total_steps
        Steps of each agent in the whole run, over its N rows; rounded up to whole iterations.
    seeds
        The agents' seeds, B of them. Weights, actions and minibatches of agent b, and the environment that is
        its own, have the streams that `PPO` with the seed ``seeds[b]`` has; a shared environment has those
        of the first.
    device
        Where the networks and the rollout live: "cpu", "cuda", "cuda:1", ...
    info_means
        Keys of `infos` (arrays of all rows) whose mean over each rollout is reported, agent by agent.

    Raises
    ------
    ValueError
        When an environment, the seeds, the device or `total_steps` cannot be used.
    TypeError
        When `total_steps` is no whole number.
    """

    def __init__(
        self,
        envs: VectorEnv | Sequence[VectorEnv],
        config: PPOConfig,
        *,
        total_steps: int,
        seeds: Sequence[int],
        device: str = "cpu",
        info_means: Sequence[str] = (),
    ) -> None:
        total_steps = whole_number("total_steps", total_steps, least=1)
        if config.normalise_observations:
            raise ValueError("ppo.normalise_observations: BatchedPPO maps observations by their bounds only")
        self.seeds = tuple(seeds)
        self.envs, self.shared = _checked(envs, len(self.seeds))
        self.config = config
        self.device = device_of(device)
        agents = len(self.seeds)
        self.num_envs = self.envs[0].num_envs // (agents if self.shared else 1)
        self.steps_per_iteration = config.rollout_steps * self.num_envs
        self.total_iterations = -(-total_steps // self.steps_per_iteration)
        self.iteration = 0

        models = [
            new_model(env.single_observation_space, env.single_action_space, config, seed).to(self.device)
            for env, seed in zip(self.envs * agents if self.shared else self.envs, self.seeds, strict=True)
        ]
        self.stack = StackedActorCritic.of(models)
        self.optimiser = StackedAdam(self.stack.weights, ADAM_EPSILON)
        self.action_noise = [self._generator(seed, "actions") for seed in self.seeds]
        self.shuffle = [self._generator(seed, "minibatches") for seed in self.seeds]
        self.reward_scales = [RewardScale(self.num_envs, config.gamma, self.device) for _ in self.seeds]
        self.rollout = Rollout.empty(
            config.rollout_steps,
            (agents, self.num_envs),
            models[0].centre.numel(),
            models[0].log_std.numel(),
            self.device,
        )
        self.collectors = [
            Collector(env, self.rollout.told.of(lambda part, e=e: self._rows(part, e)), info_means)  # type: ignore[misc]
            for e, env in enumerate(self.envs)
        ]
        for e, collector in enumerate(self.collectors):
            if collector.autoreset == AutoresetMode.NEXT_STEP:
                raise ValueError(f'envs[{e}]: autoreset must be "same_step" or "disabled", got "next_step"')
        self.started = False

    @property
    def models(self) -> list[ActorCritic]:
        """Copies of the agents' networks as they are now."""
        return [self.stack.model(agent) for agent in range(len(self.seeds))]

    def start_from(self, models: Sequence[ActorCritic]) -> None:
        """Take over the weights of B networks of the same shape; the optimisers start anew.

        Raises
        ------
        ValueError
            When there are not B of them, or one has another shape; nothing is changed then.
        """
        if len(models) != len(self.seeds):
            raise ValueError(
                f"models: must be one for each of the {len(self.seeds)} agents, got {len(models)}"
            )
        shapes = [parameter.shape for parameter in self.stack.like.parameters()]
        for agent, model in enumerate(models):
            if [parameter.shape for parameter in model.parameters()] != shapes:
                raise ValueError(f"models[{agent}]: must have the shape of the agents' networks")
        self.stack.weights.copy_(StackedActorCritic.of(models).weights)
        self.optimiser = StackedAdam(self.stack.weights, ADAM_EPSILON)

    @property
    def steps(self) -> int:
        """Steps taken so far by each agent."""
        return self.iteration * self.steps_per_iteration

    @property
    def finished(self) -> bool:
        """Whether the run has taken all its iterations."""
        return self.iteration >= self.total_iterations

    def iterate(self) -> list[dict[str, float]]:
        """Play one rollout and learn from it; return each agent's figures, those of `PPO.iterate`.

        Raises
        ------
        ValueError
            When the run has taken all its iterations.
        """
        check_left(self.iteration, self.total_iterations)
        if not self.started:
            for seed, collector in zip(self.seeds, self.collectors, strict=False):
                collector.start(stream_seed(seed, "environments"))
            self.rollout.take_observations(-1)
            self.started = True
        rate = learning_rate(self.config, self.iteration, self.total_iterations)
        spread = log_std(self.config, self.iteration, self.total_iterations)
        if spread is not None:
            self.stack.log_std.fill_(spread)
        played = self.collect()
        learned = self.update(*self.advantages(), rate)
        self.iteration += 1
        return [one | other | {"learning_rate": rate} for one, other in zip(played, learned, strict=True)]

    @torch.inference_mode()
    def collect(self) -> list[dict[str, float]]:
        """Fill the rollout with T steps of the current policies; return each agent's figures."""
        roll, stack = self.rollout, self.stack
        roll.observations[0].copy_(roll.observations[-1])
        for agent, generator in enumerate(self.action_noise):
            drawn = torch.empty_like(roll.noise[:, agent], memory_format=torch.contiguous_format)
            roll.noise[:, agent] = drawn.normal_(generator=generator)
        std = stack.log_std.exp()
        for collector in self.collectors:
            collector.episodes.clear()
        for t in range(self.config.rollout_steps):
            mean = stack.mean_action(roll.observations[t])
            torch.addcmul(mean, std, roll.noise[t], out=roll.actions[t])
            actions = stack.clip(roll.actions[t]).cpu()
            cuts = [
                collector.step(t, self._rows(actions[None], e).flatten(0, -2).numpy())
                for e, collector in enumerate(self.collectors)
            ]
            if any(cut is not None for cut in cuts):
                roll.last_values[t] = self._value_last(t, cuts)
            roll.take_observations(t + 1)
        roll.take_all_else()
        return [
            self.collectors[0 if self.shared else agent].episodes.figures(agent if self.shared else 0)
            for agent in range(len(self.seeds))
        ]

    @torch.no_grad()
    def advantages(self) -> tuple[Tensor, Tensor]:
        """Return advantages and returns of the rollout, float (T, B, N), in units of the scaled rewards."""
        roll, config = self.rollout, self.config
        for observations, values in zip(roll.observations, roll.values, strict=True):
            values.copy_(self.stack.value(observations))
        rewards = roll.rewards
        if config.normalise_rewards:
            rewards = rewards.clone()
            ended = roll.terminated | roll.truncated
            for agent, scale in enumerate(self.reward_scales):
                scale.update(roll.rewards[:, agent], ended[:, agent], roll.valid[:, agent])
                rewards[:, agent] /= scale.std
        advantages, returns = compute_gae(
            rewards,
            roll.values[:-1],
            torch.where(roll.truncated, roll.last_values, roll.values[1:]),
            roll.terminated,
            roll.truncated,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
        )
        if config.normalise_by_step:
            advantages = scale_steps(advantages, roll.valid)
        return advantages, returns

    def update(self, advantages: Tensor, returns: Tensor, rate: float) -> list[dict[str, float]]:
        """Take the epochs of clipped gradient steps; `advantages` and `returns` are (T, B, N).

        An agent whose policy has moved beyond `target_kl` takes no part in the epochs that are left.
        """
        config, roll = self.config, self.rollout
        data = self.data(advantages, returns)
        agents = len(self.seeds)
        # row t * N + n of agent b, as `PPO` counts them, in the flat data
        places = torch.arange(returns.numel(), device=self.device).view(-1, agents, self.num_envs)
        places = places.transpose(0, 1).flatten(1)
        active = torch.arange(agents, device=self.device)
        sums = torch.zeros(agents, len(FIGURES), device=self.device)
        epochs = torch.zeros(agents, device=self.device)
        for _ in range(config.epochs):
            order = torch.stack([self._shuffled(agent, places[agent]) for agent in active.tolist()])
            told = self._epoch(data, active, order, rate)
            sums[active] += told
            epochs[active] += 1.0
            if config.target_kl is not None:
                active = active[told[:, FIGURES.index("approx_kl")] <= config.target_kl]
                if len(active) == 0:
                    break

        losses = (sums / epochs[:, None]).tolist()
        entropy, std = self.stack.entropy().tolist(), self.stack.log_std.exp().mean((1, 2)).tolist()
        values = roll.values[:-1]
        return [
            {
                **dict(zip(FIGURES, losses[agent], strict=True)),
                "entropy": entropy[agent],
                "policy_std": std[agent],
                "explained_variance": explained_variance(
                    values[:, agent].flatten(), returns[:, agent].flatten()
                ),
                "epochs": taken,
            }
            for agent, taken in enumerate(epochs.tolist())
        ]

    @torch.no_grad()
    def data(self, advantages: Tensor, returns: Tensor) -> Batch:
        """Return all T * B * N rows of the rollout with their advantages and returns, (T, B, N) each."""
        roll = self.rollout
        return Batch(
            observations=roll.observations[:-1].flatten(0, 2),
            actions=roll.actions.flatten(0, 2),
            log_probs=self.stack.noise_log_prob(roll.noise).flatten(),
            advantages=advantages.flatten(),
            returns=returns.flatten(),
            values=roll.values[:-1].flatten(),
        )

    def state(self) -> State:
        """Return a copy of everything that the coming iterations depend on, as plain values and tensors.

        The environments' part is there when they offer ``snapshot() -> bytes`` and ``restore(bytes)``.
        """
        state: State = copied(
            {
                "iteration": self.iteration,
                "weights": self.stack.weights,
                "optimiser": self.optimiser.state(),
                "action_noise": [generator.get_state() for generator in self.action_noise],
                "shuffle": [generator.get_state() for generator in self.shuffle],
                "reward_scales": [scale.state() for scale in self.reward_scales],
                "environments": [collector.state() for collector in self.collectors]
                if self.started
                else None,
            }
        )
        return state

    def restore(self, state: State) -> None:
        """Go on from a `state` of a learner with the same settings on like environments, bit for bit.

        Environments without ``snapshot`` start new episodes instead.

        Raises
        ------
        ValueError
            When the state does not fit; the learner should not be used further.
        """
        try:
            self.stack.weights.copy_(state["weights"])
            self.optimiser.restore(state["optimiser"])
            for generator, kept in zip(self.action_noise, state["action_noise"], strict=True):
                generator.set_state(kept.cpu())
            for generator, kept in zip(self.shuffle, state["shuffle"], strict=True):
                generator.set_state(kept.cpu())
            for scale, kept in zip(self.reward_scales, state["reward_scales"], strict=True):
                scale.restore(kept)
            self.iteration, self.started = int(state["iteration"]), state["environments"] is not None
            if self.started:
                for seed, collector, kept in zip(
                    self.seeds[: len(self.collectors)], self.collectors, state["environments"], strict=True
                ):
                    collector.restore(kept, seed=seed, restart=self.iteration)
                self.rollout.take_observations(-1)
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise unfit_state("learner", error) from error

    def _epoch(self, data: Batch, active: Tensor, order: Tensor, rate: float) -> Tensor:
        """Take one pass over `order`, (b, T * N) rows of `data`, for b active agents; return figures (b, 4).

        Agents that have nothing in common may be taken in any grouping.
        """
        rows = -(-order.shape[1] // self.config.minibatches)
        together = max(1, GROUP_ROWS // rows) if self.device.type == "cpu" else len(active)
        groups = zip(torch.split(active, together), torch.split(order, together), strict=True)
        return torch.cat([self._group_epoch(data, agents, part, rate) for agents, part in groups])

    def _group_epoch(self, data: Batch, agents: Tensor, order: Tensor, rate: float) -> Tensor:
        config = self.config
        stack = self.stack.chosen(agents)
        optimiser = self.optimiser.chosen(agents)
        figures = []
        for rows in order.tensor_split(min(config.minibatches, order.shape[1]), dim=1):
            weights = stack.weights.requires_grad_()
            loss, told = ppo_loss(stack.with_weights(weights), data.rows(rows), config)
            (gradient,) = torch.autograd.grad(loss.sum(), weights)
            with torch.no_grad():
                if config.final_log_std is not None:
                    gradient[:, : stack.log_std.shape[-1]] = (
                        0.0  # the spread stands first, and has a schedule
                    )
                norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
                gradient *= (config.max_gradient_norm / (norm + 1e-6)).clamp(max=1.0)
                optimiser.step(weights, gradient, rate)
            figures.append(told)
        self.stack.weights[agents] = stack.weights.detach()
        self.optimiser.take(agents, optimiser)
        return torch.stack(figures).mean(0)

    def _value_last(self, t: int, cuts: Sequence[Cut | None]) -> Tensor:
        """Return values (B, N) of the last observations of the episodes that step `t` cut short."""
        last = torch.zeros_like(self.rollout.told.observations[t])
        for e, cut in enumerate(cuts):
            if cut is not None:
                self._rows(last[None], e)[0][cut.rows] = cut.observations
        return self.stack.value(last.to(self.device))

    def _rows(self, part: Tensor, e: int) -> Tensor:
        """Return the view of an array (T, B, N, ...) that the rows of environment `e` fill in C order."""
        return part.transpose(1, 2) if self.shared else part[:, e]

    def _shuffled(self, agent: int, places: Tensor) -> Tensor:
        return places[torch.randperm(len(places), generator=self.shuffle[agent], device=self.device)]

    def _generator(self, seed: int, stream: str) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(stream_seed(seed, stream))


def _checked(envs: VectorEnv | Sequence[VectorEnv], agents: int) -> tuple[list[VectorEnv], bool]:
    """Return the environments as a list, and whether all agents share the only one."""
    if agents == 0:
        raise ValueError("seeds: must name at least one agent's seed, got none")
    if isinstance(envs, Sequence):
        if len(envs) != agents:
            raise ValueError(f"seeds: must be one for each of the {len(envs)} environments, got {agents}")
        first = envs[0]
        for i, env in enumerate(envs):
            for what, mine, other in (
                ("num_envs", env.num_envs, first.num_envs),
                ("observations", env.single_observation_space.shape, first.single_observation_space.shape),
                ("actions", env.single_action_space.shape, first.single_action_space.shape),
            ):
                if mine != other:
                    raise ValueError(f"envs[{i}]: {what} must be {other} as of envs[0], got {mine}")
            if any(env is other for other in envs[:i]):
                raise ValueError(f"envs[{i}]: must be an environment of its own, not one of those before it")
        return list(envs), False
    markets = getattr(getattr(envs.unwrapped, "engine", None), "num_envs", None)
    if envs.num_envs % agents or (markets is not None and envs.num_envs != markets * agents):
        each = "" if markets is None else f" of {markets} markets"
        raise ValueError(
            "seeds: must be one for each agent of a market, but the environment has "
            f"{envs.num_envs} rows{each}, got {agents}"
        )
    return [envs], True
