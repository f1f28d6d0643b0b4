"""The vector environments beside which `bench.peers` puts `MarketVectorEnv`: how each is made and stepped.

Peers that are not of Gymnasium are imported when they are made, and through `import_module`, so that none of
them is needed, neither to run this nor to check its types.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

import vecmarket as vm
from bench.plan import draw_actions

GENERATORS = 5
HOURS = 24
POOL = 32  # different batches of actions
LOGGING = 128  # steps between two collections of PufferLib's statistics, the default of its Squared


class Playable(NamedTuple):
    """Environments that have been reset, and the actions of their coming steps."""

    step: Callable[[Any], object]
    pool: Sequence[Any]  # what `step` is given in turn
    close: Callable[[], object]
    steps: int = 1  # of every environment, in one call of `step`


@dataclass(frozen=True)
class Peer:
    """One way of stepping many environments."""

    name: str
    make: Callable[[int], Playable]
    does: str  # what one environment step computes and how
    needs: str = "gymnasium"  # the module without which there is nothing to measure
    install: str = ""  # what pip is told, where that is not the module's name
    largest: int | None = None  # environments; beyond, a step costs the same or the machine gives out

    @property
    def hint(self) -> str:
        """The command that installs it."""
        return f"pip install {self.install or self.needs}"


def market_vector(num_envs: int, copy: bool) -> Playable:
    """Return this package's vector environment."""
    env = vm.MarketVectorEnv(num_envs, vm.Scenario.default(GENERATORS, HOURS), copy=copy, threads=1)
    return _vector(env, _market_actions(num_envs))


def gymnasium_markets(num_envs: int, processes: bool) -> Playable:
    """Return Gymnasium's wrappers around this package's single environment."""
    scenario = vm.Scenario.default(GENERATORS, HOURS)
    makers = [lambda: vm.MarketEnv(scenario)] * num_envs
    env: VectorEnv[Any, Any, Any] = (
        AsyncVectorEnv(makers, context=_start_method()) if processes else SyncVectorEnv(makers)
    )
    return _vector(env, _market_actions(num_envs))


def gymnasium_cart_pole(num_envs: int, mode: str) -> Playable:
    """Return Gymnasium's own CartPole in one of its modes of vectorisation."""
    settings = {"context": _start_method()} if mode == "async" else {}
    env = gym.make_vec("CartPole-v1", num_envs, vectorization_mode=mode, vector_kwargs=settings)
    return _vector(env, _choices(num_envs, 2, np.int64))


def envpool_cart_pole(num_envs: int) -> Playable:
    """Return EnvPool's CartPole."""
    env = import_module("envpool").make("CartPole-v1", env_type="gymnasium", num_envs=num_envs, num_threads=1)
    return _vector(env, _choices(num_envs, 2, np.int64))


def gymnax_cart_pole(num_envs: int, scan: bool) -> Playable:
    """Return gymnax's CartPole on the processor: a compiled step a call, or a compiled loop of POOL steps."""
    # XLA reads these when JAX is first imported. It would share a step among all cores; the others have one.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["NPROC"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    env, params = import_module("gymnax").make("CartPole-v1")
    jax = import_module("jax")

    def step(carry: Any, actions: Any) -> tuple[Any, Any]:
        key, states = carry
        key, drawn = jax.random.split(key)
        keys = jax.random.split(drawn, num_envs)
        # gymnax returns the reward and one or two flags after these, by version.
        observations, states, *rest, _infos = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
            keys, states, actions, params
        )
        return (key, states), (observations, *rest)

    compiled = jax.jit((lambda carry, many: jax.lax.scan(step, carry, many)) if scan else step)
    keys = jax.random.split(jax.random.PRNGKey(0), num_envs)
    carry = jax.random.PRNGKey(1), jax.vmap(env.reset, in_axes=(0, None))(keys, params)[1]

    def play(actions: Any) -> object:
        nonlocal carry
        carry, seen = compiled(carry, actions)
        return jax.block_until_ready((carry, seen))

    pool = _choices(num_envs, 2, np.int32)
    if scan:
        return Playable(play, [jax.numpy.asarray(np.stack(pool))], lambda: None, steps=POOL)
    return Playable(play, [jax.numpy.asarray(actions) for actions in pool], lambda: None)


def puffer_squared(num_envs: int) -> Playable:
    """Return PufferLib's Squared."""
    env = _puffer("squared").Squared(num_envs=num_envs, log_interval=LOGGING)
    return _vector(env, _choices(num_envs, 5, np.int32))


def puffer_cart_pole(num_envs: int) -> Playable:
    """Return PufferLib's CartPole."""
    env = _puffer("cartpole").Cartpole(num_envs=num_envs, continuous=False, report_interval=LOGGING)
    return _vector(env, _choices(num_envs, 2, np.float32))


def _puffer(name: str) -> Any:
    """Import one of PufferLib's C environments, in a fresh directory: it leaves a link in the working one."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            return import_module(f"pufferlib.ocean.{name}.{name}")
        finally:
            os.chdir(before)


def _vector(env: Any, pool: Sequence[Any]) -> Playable:
    env.reset()
    return Playable(env.step, pool, env.close)


def _market_actions(num_envs: int) -> list[Any]:
    return [np.ascontiguousarray(a[:, 0]) for a in draw_actions("normal", num_envs, 1, POOL)]


def _choices(num_envs: int, choices: int, dtype: type[np.generic]) -> list[Any]:
    """Return batches of random choices of the type that the peer computes with, so that none is converted."""
    rng = np.random.default_rng(3)
    return [rng.integers(choices, size=num_envs).astype(dtype) for _ in range(POOL)]


def _start_method() -> str:
    """Return how worker processes start: never by a fork of this one, which other peers fill with threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    multiprocessing.set_forkserver_preload(["gymnasium", "vecmarket"])
    return "forkserver"


_MARKET = (
    f"a market of {GENERATORS} units, one learner among truthful rivals: bids, clearing, settlement, reward, \
demand noise, 7 floats observed"
)
_POLE = "CartPole: one Euler step of 4 numbers, its limits, 4 floats observed"

OURS = "MarketVectorEnv"
PEERS: tuple[Peer, ...] = (
    Peer(OURS, lambda n: market_vector(n, copy=True), f"{_MARKET}; Rust, one thread; fresh arrays"),
    Peer(
        f"{OURS}, copy=False",
        lambda n: market_vector(n, copy=False),
        "the same, written into arrays that live on",
    ),
    Peer(
        "Gymnasium SyncVectorEnv of MarketEnv",
        lambda n: gymnasium_markets(n, processes=False),
        "the same market, one Python call per environment",
        largest=1024,
    ),
    Peer(
        "Gymnasium AsyncVectorEnv of MarketEnv",
        lambda n: gymnasium_markets(n, processes=True),
        "the same market, one process per environment, on all cores",
        largest=64,
    ),
    Peer(
        "Gymnasium SyncVectorEnv of CartPole",
        lambda n: gymnasium_cart_pole(n, "sync"),
        f"{_POLE}; one Python call per environment",
        largest=1024,
    ),
    Peer(
        "Gymnasium AsyncVectorEnv of CartPole",
        lambda n: gymnasium_cart_pole(n, "async"),
        f"{_POLE}; one process per environment, on all cores",
        largest=64,
    ),
    Peer(
        "Gymnasium CartPoleVectorEnv",
        lambda n: gymnasium_cart_pole(n, "vector_entry_point"),
        f"{_POLE}; NumPy",
    ),
    Peer("EnvPool CartPole", envpool_cart_pole, f"{_POLE}; C++, a pool of one worker thread", "envpool"),
    Peer(
        "gymnax CartPole, a step a call",
        lambda n: gymnax_cart_pole(n, scan=False),
        f"{_POLE}; JAX on the processor, one thread, waited for in every step",
        "gymnax",
        "gymnax 'jax[cpu]' six",
    ),
    Peer(
        "gymnax CartPole, scanned",
        lambda n: gymnax_cart_pole(n, scan=True),
        f"{_POLE}; the same inside one compiled loop of {POOL} steps that keeps what was seen",
        "gymnax",
        "gymnax 'jax[cpu]' six",
    ),
    Peer(
        "PufferLib CartPole",
        puffer_cart_pole,
        f"{_POLE}; C, one thread, into arrays that live on",
        "pufferlib",
    ),
    Peer(
        "PufferLib Squared",
        puffer_squared,
        "a walk on a grid of 11 x 11, two cells of it written, 121 bytes observed; C, one thread, into "
        "arrays that live on",
        "pufferlib",
    ),
)
