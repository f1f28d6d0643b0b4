"""Policies with drawn weights, and what they should come to."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import vecmarket as vm


def draw(features: int, hidden: tuple[int, ...] = (64, 64), *, seed: int = 0, **options: Any) -> vm.MlpPolicy:
    """Return a policy with weights of the usual size, whose actions differ and now and then leave the box."""
    rng = np.random.default_rng(seed)
    widths = [features, *hidden, 2]
    weights = [rng.normal(0.0, 1.5 / np.sqrt(i), (o, i)) for i, o in itertools.pairwise(widths)]
    biases = [rng.normal(0.0, 0.3, o) for o in widths[1:]]
    options.setdefault("centre", rng.normal(size=features))
    options.setdefault("scale", rng.uniform(0.5, 2.0, features))
    options.setdefault("log_std", [-1.0, -0.5])
    return vm.MlpPolicy(weights, biases, **options)


def slowly(policy: vm.MlpPolicy, observations: np.ndarray) -> np.ndarray:
    """Return the outputs before they are clipped, in doubles."""
    functions = {
        "tanh": np.tanh,
        "relu": lambda x: np.maximum(x, 0.0),
        "silu": lambda x: x / (1.0 + np.exp(-x)),
    }
    x = (observations.astype(np.float64) - policy.centre) / policy.scale
    for weight, bias in zip(policy.weights[:-1], policy.biases[:-1], strict=True):
        x = functions[policy.activation](x @ weight.T.astype(np.float64) + bias)
    return np.asarray(x @ policy.weights[-1].T.astype(np.float64) + policy.biases[-1])
