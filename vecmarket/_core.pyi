"""Types of the compiled core. `N` environments, `A` agents, `L` acting agents, `F` features, `k` steps."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, disjoint_base

__all__ = [
    "Engine",
    "Policy",
    "ReplayBuffer",
    "Trainer",
    "__version__",
    "build_info",
    "check_scenario",
    "clear",
    "clear_one",
    "clear_plain",
    "feature_names",
    "names",
    "ppo_gradient",
    "train",
    "training_figures",
]

__version__: str

def check_scenario(scenario: Any) -> None: ...
def feature_names(scenario: Any) -> list[str]: ...  # (F,)
def names() -> dict[str, list[str]]: ...
def build_info() -> dict[str, Any]: ...
def clear(
    prices: NDArray[np.float64],
    quantities: NDArray[np.float64],
    demand: NDArray[np.float64],
    rules: Any,
    seed: int,
    threads: int,
) -> tuple[
    NDArray[np.float64],  # price (N,)
    NDArray[np.float64],  # dispatch (N, G)
    NDArray[np.float64],  # unserved (N,)
    NDArray[np.float64],  # curtailed (N,)
    NDArray[np.int64],  # marginal (N,)
]: ...
def clear_one(
    prices: NDArray[np.float64],  # (G,)
    quantities: NDArray[np.float64],  # (G,)
    demand: float,
    rules: Any,
    seed: int,
    threads: int,
    # price, dispatch (G,), unserved, curtailed, marginal
) -> tuple[float, NDArray[np.float64], float, float, int]: ...
def clear_plain(
    prices: Any,
    quantities: Any,
    demand: Any,
    rules: Any,
    seed: Any,
    threads: Any,
    # as `clear_one`; None where the arguments have to be converted or refused first
) -> tuple[float, NDArray[np.float64], float, float, int] | None: ...

@final
class Policy:
    """A Gaussian policy with frozen weights."""

    # Arrays are float32; parameters are of each layer the weights, (out, in), then the biases, (out,).
    def __new__(
        cls,
        widths: Sequence[int],
        activation: str,
        parameters: NDArray[np.float32],
        centre: NDArray[np.float32],
        scale: NDArray[np.float32],
        std: NDArray[np.float32],
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        sampled: bool,
    ) -> Policy: ...
    def mean(self, observations: NDArray[np.float32], threads: int) -> NDArray[np.float32]: ...  # (N, A)
    def sample(
        self,
        observations: NDArray[np.float32],  # (N, F)
        seeds: NDArray[np.uint64],  # (N,)
        episodes: NDArray[np.uint64],  # (N,)
        steps: NDArray[np.uint32],  # (N,)
        agent: int,
        threads: int,
    ) -> NDArray[np.float32]: ...  # (N, A)
    @property
    def fingerprint(self) -> int: ...

@disjoint_base
class Engine:
    """N independent markets stepped together."""

    def __new__(
        cls,
        scenario: Any,
        num_envs: int,
        *,
        seed: int = 0,
        threads: int = 0,
        # "acts", "truthful", a markup, a `vecmarket.MlpPolicy` or a `vecmarket.PolicyPool`
        seats: Sequence[Any] | None = None,
        max_episode_steps: int | None = None,
    ) -> Engine: ...
    def reset(
        self,
        seed: int | Sequence[int | None] | None = None,
        mask: NDArray[np.bool_] | None = None,
        start: int | NDArray[np.integer[Any]] | None = None,
    ) -> NDArray[np.float32]: ...
    def step(
        self, actions: NDArray[np.float32], autoreset: str | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]: ...
    # One step from actions (N * L, 2). Whether it marks any environment in views()["flags"][2]: as reset
    # instead of stepped or, under "same_step", as ended. None, and nothing is changed, where the actions are
    # no aligned, C-contiguous float32 array of that shape.
    def play(self, actions: Any, autoreset: str | None = None) -> bool | None: ...
    def advance(
        self, actions: NDArray[np.float32], autoreset: str | None = "same_step"
    ) -> dict[str, NDArray[Any]]: ...
    def rollout(
        self, policies: Sequence[Any], steps: int, autoreset: str | None = "same_step"
    ) -> dict[str, NDArray[Any]]: ...
    def snapshot(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...
    def set_seats(self, seats: Sequence[Any] | None) -> None: ...
    @property
    def num_envs(self) -> int: ...
    @property
    def num_agents(self) -> int: ...
    @property
    def num_features(self) -> int: ...
    @property
    def horizon(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def agents(self) -> list[str]: ...
    @property
    def feature_names(self) -> list[str]: ...
    @property
    def acting(self) -> list[int]: ...  # (L,) places of the acting agents
    @property
    def observations(self) -> NDArray[np.float32]: ...  # (N, L, F)
    @property
    def final_observations(self) -> NDArray[np.float32]: ...  # (N, L, F)
    @property
    def rewards(self) -> NDArray[np.float32]: ...  # (N, L)
    @property
    def terminated(self) -> NDArray[np.bool_]: ...  # (N,)
    @property
    def truncated(self) -> NDArray[np.bool_]: ...  # (N,)
    @property
    def prices(self) -> NDArray[np.float64]: ...  # (N,) $/MWh
    @property
    def demand(self) -> NDArray[np.float64]: ...  # (N,) MW
    @property
    def unserved(self) -> NDArray[np.float64]: ...  # (N,) MW
    @property
    def dispatch(self) -> NDArray[np.float64]: ...  # (N, A) MW
    @property
    def profits(self) -> NDArray[np.float64]: ...  # (N, A) $
    # The arrays above as views, which a caller may make read-only. Put together: "markets", (3, N) float64,
    # are prices, demand and unserved; "flags", (3, N) bool, are terminated, truncated and, where the last
    # `play` returned True, its marks.
    def views(self) -> dict[str, NDArray[Any]]: ...
    def observation_bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...  # low, high (L, F)
    def keep_offers(self) -> None: ...
    def offers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...  # prices, quantities (N, A)
    def fleet(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...  # capacities, srmc (N, A)
    # t, series hour, episode, (N,) each
    def clock(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...

@final
class Trainer:
    """Learners that train in an engine's environments; one, or one per acting agent. P parameters."""

    # keys: (actions, shuffles) of each learner
    def __new__(
        cls, engine: Engine, config: Any, keys: Sequence[tuple[int, int]], *, threads: int = 1
    ) -> Trainer: ...
    # Parameters stand in the order of the torch module's: log_std, actor, critic.
    def set_parameters(self, learner: int, parameters: NDArray[np.float32]) -> None: ...
    def set_moments(
        self, learner: int, first: NDArray[np.float32], second: NDArray[np.float32], steps: int
    ) -> None: ...
    def set_scale(self, learner: int, centre: NDArray[np.float32], scale: NDArray[np.float32]) -> None: ...
    def set_bounds(self, learner: int, low: NDArray[np.float32], high: NDArray[np.float32]) -> None: ...
    # centre and scale, (F,) each
    def scale(self, learner: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    # parameters, first and second moments of Adam, (P,) each, and its steps
    def learner(
        self, learner: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], int]: ...
    def progress(self) -> dict[str, Any]: ...
    def set_progress(self, progress: dict[str, Any]) -> None: ...
    def record(self) -> dict[str, NDArray[Any]]: ...
    def play(self, engine: Engine) -> None: ...

# Iterations of trainers in their engines, one per entry of a trainer's settings: learning rate, log standard
# deviation or None. Returns figures[trainer][iteration][learner], named by `training_figures`.
def train(
    trainers: Sequence[Trainer],
    engines: Sequence[Engine],
    config: Any,
    settings: Sequence[Sequence[tuple[float, float | None]]],
    *,
    threads: int = 1,
) -> list[list[list[list[float]]]]: ...
def training_figures() -> list[str]: ...

# The gradient of the loss over samples as one minibatch, (P,), and policy loss, value loss, divergence, share
# of clipped ratios.
def ppo_gradient(
    config: Any,
    parameters: NDArray[np.float32],  # (P,)
    observations: NDArray[np.float32],  # (M, F)
    actions: NDArray[np.float32],  # (M, A)
    log_probs: NDArray[np.float32],  # (M,)
    advantages: NDArray[np.float32],  # (M,)
    values: NDArray[np.float32],  # (M,)
    threads: int,
) -> tuple[NDArray[np.float32], list[float]]: ...

@disjoint_base
class ReplayBuffer:
    """The last transitions of some environments."""

    def __new__(
        cls,
        capacity: int,
        obs_dim: int,
        action_dim: int,
        *,
        storage: str = "float32",
        alpha: float | None = None,
        epsilon: float = 1e-6,
        seed: int = 0,
    ) -> Self: ...
    def __len__(self) -> int: ...
    def add(
        self,
        observations: NDArray[np.float32],  # (N, obs_dim)
        actions: NDArray[np.float32],  # (N, action_dim)
        rewards: NDArray[np.float32],  # (N,)
        next_observations: NDArray[np.float32],  # (N, obs_dim)
        terminated: NDArray[np.bool_],  # (N,)
        truncated: NDArray[np.bool_] | None = None,  # (N,)
    ) -> None: ...
    # `out`: observations, actions, rewards, next observations, terminated, truncated, indices (int64),
    # weights (float32). Returns the number of the draw.
    def sample_into(
        self,
        out: Sequence[NDArray[Any]],
        *,
        seed: int | None = None,
        draw: int | None = None,
        beta: float | None = None,
    ) -> int: ...
    def update_priorities(self, indices: NDArray[np.int64], priorities: NDArray[np.float32]) -> int: ...
    def snapshot(self) -> bytes: ...
    def restore(self, state: bytes) -> None: ...
    @property
    def added(self) -> int: ...  # rows that were ever added
    @property
    def draws(self) -> int: ...  # samples that were drawn by its own count
    @property
    def seed(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def obs_dim(self) -> int: ...
    @property
    def action_dim(self) -> int: ...
    @property
    def storage(self) -> str: ...
    @property
    def alpha(self) -> float | None: ...
    @property
    def epsilon(self) -> float | None: ...
