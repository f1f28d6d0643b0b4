"""The batch engine as users see it, and the record of one episode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vecmarket import _core
from vecmarket.checks import action_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from vecmarket.config import Scenario
    from vecmarket.policies import MlpPolicy, Seat

__all__ = ["Engine", "Policy", "Trace", "record_episode"]

Policy: TypeAlias = "Callable[[NDArray[np.float32]], ArrayLike] | ArrayLike | None"
"""How the acting agents bid: f(observations (L, F)) -> (L, 2); actions (T, L, 2); or None, truthfully."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One episode as arrays: T steps, A agents, of which L act and are shown F features.

    Attributes
    ----------
    agents
        Names of all agents.
    acting
        Places of the acting agents, in the order of `observations`, `actions` and `rewards`, (L,).
    hour
        Hour of the demand series that each step cleared, (T,) int64.
    demand, unserved
        MW, (T,) float64.
    price
        Clearing price, $/MWh, (T,) float64.
    offer_prices, offer_quantities
        Offers, $/MWh and MW, (T, A) float64.
    dispatch
        MW, (T, A) float64.
    profits
        $, (T, A) float64.
    observations
        What each acting agent saw before the step, (T, L, F) float32.
    actions
        As the policy chose them, (T, L, 2) float32.
    rewards
        (T, L) float32.
    capacities, srmc
        The fleet of this episode, MW and $/MWh, (A,) float64.
    """

    agents: tuple[str, ...]
    acting: tuple[int, ...]
    hour: NDArray[np.int64]
    demand: NDArray[np.float64]
    price: NDArray[np.float64]
    unserved: NDArray[np.float64]
    offer_prices: NDArray[np.float64]
    offer_quantities: NDArray[np.float64]
    dispatch: NDArray[np.float64]
    profits: NDArray[np.float64]
    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float32]
    capacities: NDArray[np.float64]
    srmc: NDArray[np.float64]


def record_episode(
    scenario: Scenario,
    policy: Policy = None,
    *,
    seats: Sequence[Seat] | None = None,
    seed: int = 0,
    start: int | None = None,
    max_episode_steps: int | None = None,
) -> Trace:
    """Play one episode in an engine of its own and keep everything that happened.

    Parameters
    ----------
    scenario
        The market game.
    policy
        How the acting agents bid; None is truthfully: everything offered at SRMC.
    seats
        One per agent, as the engine takes them: ``"acts"``, ``"truthful"``, a fixed markup in $/MWh, an
        `MlpPolicy` or a `PolicyPool`; None where all act.
    seed
        Seed of the environment; the episode is its first.
    start
        Hour of the series at which the episode starts; None draws it as the scenario says.
    max_episode_steps
        The episode is cut after that many steps; None never.

    Raises
    ------
    ValueError, TypeError
        When the policy's actions have the wrong shape, are not real or not finite, or the engine refuses the
        seats, the seed, the start or the limit.
    """
    engine = _core.Engine(scenario, 1, seed=seed, threads=1, seats=seats, max_episode_steps=max_episode_steps)
    engine.keep_offers()
    acting = tuple(engine.acting)
    steps = engine.horizon if max_episode_steps is None else min(engine.horizon, max_episode_steps)
    agents, features = engine.num_agents, engine.num_features
    choose = _chooser(policy, steps, len(acting))
    observations = engine.reset(start=start)
    capacities, srmc = engine.fleet()
    trace = Trace(
        agents=tuple(engine.agents),
        acting=acting,
        hour=np.empty(steps, np.int64),
        demand=np.empty(steps),
        price=np.empty(steps),
        unserved=np.empty(steps),
        offer_prices=np.empty((steps, agents)),
        offer_quantities=np.empty((steps, agents)),
        dispatch=np.empty((steps, agents)),
        profits=np.empty((steps, agents)),
        observations=np.empty((steps, len(acting), features), np.float32),
        actions=np.empty((steps, len(acting), 2), np.float32),
        rewards=np.empty((steps, len(acting)), np.float32),
        capacities=capacities[0],
        srmc=srmc[0],
    )
    for step in range(steps):
        trace.observations[step] = observations[0]
        trace.actions[step] = choose(step, observations[0].copy())
        trace.hour[step] = engine.clock()[1][0]
        observations, rewards, _, _ = engine.step(trace.actions[step : step + 1])
        offer_prices, offer_quantities = engine.offers()
        trace.offer_prices[step], trace.offer_quantities[step] = offer_prices[0], offer_quantities[0]
        trace.demand[step], trace.price[step] = engine.demand[0], engine.prices[0]
        trace.unserved[step], trace.dispatch[step] = engine.unserved[0], engine.dispatch[0]
        trace.profits[step], trace.rewards[step] = engine.profits[0], rewards[0]
    return trace


class Engine(_core.Engine):
    """N independent markets stepped together, in which every agent acts.

    The arrays it hands out are its own buffers, made once: copy what is to be kept. `step` never resets by
    itself; `advance(actions)`, k steps in one call with actions (k, N, A, 2), starts the next episode in the
    step that ends one unless given ``autoreset=None``, and hands out the same arrays again for the same k;
    `rollout` lets policies choose the actions. `keep_offers()` keeps the offers of every later step for
    `offers()`.

    Parameters
    ----------
    scenario
        The market game.
    num_envs
        Environments N, at least 1.
    seed
        Environment i has the seed ``seed + i``.
    threads
        Threads that share the work; 0 for all cores, 1 for none of its own. The results do not depend on it.
    max_episode_steps
        Truncates episodes after that many steps; None never.
    """

    def __init__(
        self,
        scenario: Scenario,
        num_envs: int,
        *,
        seed: int = 0,
        threads: int = 0,
        max_episode_steps: int | None = None,
    ) -> None:
        # The core is built in `__new__`, from the same arguments.
        self.scenario = scenario
        self._seed = seed
        self._max_episode_steps = max_episode_steps

    def rollout(
        self,
        policies: MlpPolicy | Sequence[MlpPolicy],
        steps: int,
        autoreset: str | None = "same_step",
    ) -> dict[str, NDArray[Any]]:
        """Play k steps of policies in one call, and hand out what happened.

        The interpreter takes no part. In each step every policy chooses from what its agent sees, as a rival
        in an environment would: its mean, or, if it is `MlpPolicy.stochastic`, an action drawn by the
        environment's seed, episode and step and the agent's place. The numbers depend neither on threads, nor
        on the number of environments, nor on whether k steps are taken at once or one at a time.

        Parameters
        ----------
        policies
            One for all agents, or one per agent, A.
        steps
            Steps of every environment, k, at least 1.
        autoreset
            ``"same_step"`` starts the next episode in the step that ends one; None refuses k steps that go
            beyond the end of an episode.

        Returns
        -------
        dict
            Arrays with a leading k, which the next call with the same k uses again; N environments:

            ``observations`` (k, N, A, F) float32
                From which the actions were chosen.
            ``actions`` (k, N, A, 2) float32
                As chosen, before they are cut to the policy's bounds; not finite where a network overflows.
            ``log_probs`` (k, N, A) float32
                Log-densities of drawn actions; NaN for a policy that plays its mean.
            ``rewards`` (k, N, A) float32, ``terminated`` and ``truncated`` (k, N) bool
                Of the step.
            ``next_observations`` (k, N, A, F) float32
                After the step; where it ended an episode, the first of the next one.
            ``final_observations`` (k, N, A, F) float32
                The true last observation where a step ended an episode; other entries have no meaning.
            ``prices`` $/MWh, ``demand`` MW, ``unserved`` MWh (k, N), ``dispatch`` MW, ``profits`` $ (k, N, A)
                Of the market, float64.

        Raises
        ------
        ValueError
            When a count does not fit, a policy takes another number of features, or an environment was not
            reset, has ended, or would end too early; nothing is changed.
        TypeError
            When something is no policy.
        """
        if not (autoreset is None or isinstance(autoreset, str)):
            raise TypeError(f'autoreset: must be "same_step" or None, got {autoreset!r}')
        each = policies if isinstance(policies, Sequence) else [policies] * len(self.acting)
        return super().rollout(each, steps, autoreset)

    def trace(self, policy: Policy = None, *, seed: int | None = None, start: int | None = None) -> Trace:
        """Play one episode of one environment and keep everything; the engine's own ones stay as they are.

        The episode has T steps: the horizon, or `max_episode_steps` where that is fewer.

        Parameters
        ----------
        policy
            f(observations (A, F) float32) -> actions (A, 2), called once per step; or the actions of the
            whole episode, (T, A, 2); or None: truthful bidding.
        seed
            Seed of the environment; None takes the seed that this engine was made with.
        start
            Hour of the series at which the episode starts; None draws it as the scenario says.

        Raises
        ------
        ValueError, TypeError
            As `record_episode`.
        """
        return record_episode(
            self.scenario,
            policy,
            seed=self._seed if seed is None else seed,
            start=start,
            max_episode_steps=self._max_episode_steps,
        )


def _chooser(
    policy: Policy, steps: int, acting: int
) -> Callable[[int, NDArray[np.float32]], NDArray[np.float32]]:
    """Return f(step, observations (L, F)) -> actions (L, 2) for any form of policy."""
    if callable(policy):
        ask = policy
        return lambda step, seen: action_array(f"policy, step {step}", ask(seen), (acting, 2))
    shape = (steps, acting, 2)
    plan = np.zeros(shape, np.float32) if policy is None else action_array("policy", policy, shape)
    return lambda step, _: plan[step]
