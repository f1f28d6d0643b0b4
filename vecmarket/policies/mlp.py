"""Gaussian policies as arrays, computed by the core."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket import _core
from vecmarket.checks import real_array, whole_number
from vecmarket.policies import arrays
from vecmarket.policies.sources import ACTIVATIONS, of_checkpoint, of_file, of_module, to_file

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["MlpPolicy"]

_LOW, _HIGH = (0.0, -10.0), (1.0, 10.0)  # the market's action space
_LARGEST_LOG_STD = 80.0  # in size: the exponential is a finite 32-bit float, and not 0
_SMALLEST_SCALE = 1e-37  # its reciprocal is one


class MlpPolicy:
    """A Gaussian policy with a small dense network, as arrays that never change.

    ``mean = network((observation - centre) / scale)``; an action is the mean, or, where it is drawn, normal
    around the mean with the standard deviations ``exp(log_std)``, and then clipped to ``low`` and ``high``.
    The network is computed by the engine's core, without the interpreter lock: called on observations, and
    in `MarketVectorEnv`, `MarketEnv` and `Engine` as a rival, with the same numbers. F features, A = 2 parts
    of an action.

    Parameters
    ----------
    weights, biases
        Of each layer, (out, in) and (out,), as torch has them; the last layer has 2 outputs. They are copied.
    activation
        What the hidden layers apply: ``"tanh"``, ``"relu"`` or ``"silu"``.
    centre, scale
        Of the observations, (F,) each, scale > 0; 0 and 1 when left out.
    log_std
        Logarithm of the standard deviations of drawn actions, (2,), in [-80, 80]; 0 when left out.
    low, high
        Bounds of the actions, (2,) each, infinite for none; the market's action space when left out.
    sampled
        As a rival, draw actions instead of playing the mean; see `stochastic`.

    Attributes
    ----------
    weights, biases
        Tuples of read-only float32 arrays.
    activation, sampled
        As given.
    centre, scale, log_std, low, high
        Read-only float32 arrays.
    core
        The same policy in the engine's core.

    Raises
    ------
    ValueError
        When a shape does not fit, a number is not finite or out of range, or the activation is unknown.
    TypeError
        When something is not made of real numbers.
    """

    __slots__ = (
        "activation",
        "biases",
        "centre",
        "core",
        "high",
        "log_std",
        "low",
        "sampled",
        "scale",
        "weights",
    )

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    activation: str
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    log_std: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    sampled: bool
    core: _core.Policy

    def __init__(
        self,
        weights: Sequence[ArrayLike],
        biases: Sequence[ArrayLike],
        activation: str = "tanh",
        *,
        centre: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        log_std: ArrayLike | None = None,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
        sampled: bool = False,
    ) -> None:
        layers = arrays.layers(weights, biases)
        features, actions = layers[0][0].shape[1], layers[-1][0].shape[0]
        if actions != len(_LOW):
            raise ValueError(f"weights[{len(layers) - 1}]: must have {len(_LOW)} rows, got {actions}")
        if activation not in ACTIVATIONS.values():
            raise ValueError(
                f"activation: must be one of {', '.join(ACTIVATIONS.values())}, got {activation!r}"
            )
        if not isinstance(sampled, bool):
            raise TypeError(f"sampled: must be True or False, got {sampled!r}")
        given = {
            "weights": tuple(w for w, _ in layers),
            "biases": tuple(b for _, b in layers),
            "activation": activation,
            "centre": arrays.vector("centre", centre, np.zeros(features)),
            "scale": arrays.vector("scale", scale, np.ones(features)),
            "log_std": arrays.vector("log_std", log_std, np.zeros(actions)),
            "low": arrays.vector("low", low, np.array(_LOW), infinite=True),
            "high": arrays.vector("high", high, np.array(_HIGH), infinite=True),
            "sampled": sampled,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)
        arrays.check("scale", self.scale, self.scale >= _SMALLEST_SCALE, f"at least {_SMALLEST_SCALE}")
        bounds = f"in [{-_LARGEST_LOG_STD:g}, {_LARGEST_LOG_STD:g}]"
        arrays.check("log_std", self.log_std, np.abs(self.log_std) <= _LARGEST_LOG_STD, bounds)
        arrays.check("low", self.low, self.low <= self.high, f"at most high, {self.high.tolist()}")
        core = _core.Policy(
            list(self.widths),
            activation,
            np.concatenate([part.ravel() for layer in layers for part in layer]),
            self.centre,
            self.scale,
            np.exp(self.log_std),
            self.low,
            self.high,
            sampled,
        )
        object.__setattr__(self, "core", core)

    @classmethod
    def from_torch(
        cls,
        module: Any,
        *,
        centre: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        log_std: ArrayLike | None = None,
        low: ArrayLike | None = None,
        high: ArrayLike | None = None,
        sampled: bool = False,
    ) -> MlpPolicy:
        """Copy the weights of a torch module.

        Parameters
        ----------
        module
            An `ActorCritic` of `vecmarket.training`, or a ``torch.nn.Sequential`` of ``Linear`` with one kind
            of ``Tanh``, ``ReLU`` or ``SiLU`` in between.
        centre, scale, log_std, low, high, sampled
            As in `MlpPolicy`; what is left out is that of the `ActorCritic`, or the default.

        Raises
        ------
        TypeError
            When the module is none of these, or computes something else than its layers one after another: a
            ``forward`` of its own, or forward hooks.
        ValueError
            When the layers do not alternate or do not fit.
        """
        own = of_module(module)
        given = {"centre": centre, "scale": scale, "log_std": log_std, "low": low, "high": high}
        return cls(**(own | {name: x for name, x in given.items() if x is not None}), sampled=sampled)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, sampled: bool = False) -> MlpPolicy:
        """Read a policy from a safetensors file, as a training run and `save` write it.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When the file is damaged, no policy, or of another version.
        """
        return cls._read(path, of_file(Path(path)), sampled)

    @classmethod
    def from_checkpoint(cls, path: str | os.PathLike[str], *, sampled: bool = False) -> MlpPolicy:
        """Read the policy of a run as its checkpoint has it; the run is its folder or the file itself.

        Needs torch, which the file is read with.

        Raises
        ------
        FileNotFoundError
            When there is no checkpoint.
        ValueError
            When the file is no checkpoint, damaged, or of another version.
        """
        return cls._read(path, of_checkpoint(Path(path)), sampled)

    @classmethod
    def _read(cls, path: str | os.PathLike[str], fields: dict[str, Any], sampled: bool) -> MlpPolicy:
        try:
            return cls(**fields, sampled=sampled)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: incomplete policy: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as a safetensors file, without whether it is sampled.

        Raises
        ------
        OSError
            When the file cannot be written.
        """
        to_file(Path(path), self.widths, self._fields())

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the observation, the hidden layers and the action."""
        return (self.num_features, *(len(bias) for bias in self.biases))

    @property
    def num_features(self) -> int:
        """Numbers in an observation, F."""
        return int(self.weights[0].shape[1])

    def stochastic(self) -> MlpPolicy:
        """Return the policy that, as a rival, draws its actions, anew in every step of every market."""
        return self if self.sampled else self._replace(sampled=True)

    def deterministic(self) -> MlpPolicy:
        """Return the policy that, as a rival, plays its mean."""
        return self._replace(sampled=False) if self.sampled else self

    def __call__(self, observations: ArrayLike, *, threads: int = 0) -> NDArray[np.float32]:
        """Return the mean actions within the bounds, (N, 2) float32, whether `sampled` or not.

        Parameters
        ----------
        observations
            (N, F), any real dtype; float32, C-contiguous, is not copied.
        threads
            Threads that share many rows; 0 for all cores. The results do not depend on it.

        Raises
        ------
        ValueError
            When the shape does not fit or a number is not finite, or beyond the range of float32.
        TypeError
            When the observations are not real numbers.
        """
        return self.core.mean(self._rows(observations), threads)

    def sample(
        self,
        observations: ArrayLike,
        *,
        seed: int | Sequence[int] | NDArray[np.integer[Any]],
        episode: int | Sequence[int] | NDArray[np.integer[Any]] = 0,
        step: int | Sequence[int] | NDArray[np.integer[Any]] = 0,
        agent: int = 0,
        threads: int = 0,
    ) -> NDArray[np.float32]:
        """Return drawn actions, (N, 2) float32: a pure function of the observations and these keys.

        They are those of a sampled rival in the engine that has the place `agent`, in environments with these
        seeds, in that episode and step.

        Parameters
        ----------
        observations
            (N, F), any real dtype.
        seed
            An integer s gives row i the seed s + i; or one per row, (N,).
        episode, step
            For all rows, or one per row, (N,).
        agent
            Place of the agent.
        threads
            Threads that share many rows; 0 for all cores. The results do not depend on it.

        Raises
        ------
        ValueError
            When a shape does not fit, or a key is negative or too large.
        TypeError
            When something is of the wrong type.
        """
        rows = self._rows(observations)
        seeds = arrays.keys("seed", seed, len(rows), np.uint64)
        if np.ndim(seed) == 0:
            seeds += np.arange(len(rows), dtype=np.uint64)
        episodes = arrays.keys("episode", episode, len(rows), np.uint64)
        steps = arrays.keys("step", step, len(rows), np.uint32)
        place = whole_number("agent", agent, least=0)
        if place >= 1 << 24:
            raise ValueError(f"agent: must be below {1 << 24}, got {place}")
        return self.core.sample(rows, seeds, episodes, steps, place, threads)

    def _rows(self, observations: ArrayLike) -> NDArray[np.float32]:
        rows = real_array("observations", observations, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.num_features:
            raise ValueError(f"observations: must have shape (N, {self.num_features}), got {rows.shape}")
        return rows

    def _replace(self, **changes: Any) -> MlpPolicy:
        return _restore({**self._fields(), **changes})

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "core"}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name}: an MlpPolicy cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name}: an MlpPolicy cannot be changed")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._fields(),)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MlpPolicy):
            return NotImplemented
        return self.core.fingerprint == other.core.fingerprint and all(
            np.array_equal(a, b) for a, b in zip(self._arrays(), other._arrays(), strict=True)
        )

    def __hash__(self) -> int:
        return hash(self.core.fingerprint)

    def _arrays(self) -> Iterable[NDArray[np.float32]]:
        return (*self.weights, *self.biases, self.centre, self.scale, self.log_std, self.low, self.high)

    def __repr__(self) -> str:
        sampled = ", sampled" if self.sampled else ""
        return f"MlpPolicy({'-'.join(map(str, self.widths))}, {self.activation}{sampled})"


def _restore(fields: dict[str, Any]) -> MlpPolicy:
    return MlpPolicy(**fields)
