"""Checkpoints: one file that a run goes on from, bit for bit.

A file is one line of text, ``vecmarket-checkpoint VERSION SHA256``, and then what ``torch.save`` wrote. The
line tells a file of another version and a damaged one before anything is read from it, and the rest is read
with ``weights_only=True``, so that a file from elsewhere cannot run code.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vecmarket.files import write_atomically
from vecmarket.training.config import TrainConfig

__all__ = [
    "CHECKPOINT_FILE",
    "Checkpoint",
    "checkpoint_path",
    "load_checkpoint",
    "read_values",
    "save_checkpoint",
    "write_values",
]

CHECKPOINT_FILE = "checkpoint.pt"
"""Name of the checkpoint in a run's folder."""

_MAGIC = b"vecmarket-checkpoint"
_VERSION = 2
_LONGEST_LINE = 200


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands between two iterations.

    Attributes
    ----------
    config
        The settings of the run.
    learner
        The learner's state: weights, optimiser, random generators, environments, counters.
    seconds
        Time spent so far.
    """

    config: TrainConfig
    learner: dict[str, Any]
    seconds: float


def checkpoint_path(run: str | os.PathLike[str]) -> Path:
    """Return the checkpoint of a run, given by its folder or by the file itself."""
    run = Path(run)
    return run / CHECKPOINT_FILE if run.is_dir() else run


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside and rename it; a crash in between leaves the old one."""
    config = checkpoint.config.to_json()
    write_values(path, {"config": config, "learner": checkpoint.learner, "seconds": checkpoint.seconds})


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote; its tensors come to the CPU.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is no checkpoint of a training run, damaged, or of another version.
    """
    values = read_values(path, ("config", "learner", "seconds"))
    try:
        return Checkpoint(
            TrainConfig.from_json(values["config"]), values["learner"], float(values["seconds"])
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error


def write_values(path: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Write plain values and tensors as a checkpoint file, beside and renamed."""
    content = io.BytesIO()
    torch.save(values, content)
    body = content.getvalue()
    head = b"%s %d %s\n" % (_MAGIC, _VERSION, hashlib.sha256(body).hexdigest().encode())
    write_atomically(Path(path), head + body)


def read_values(path: str | os.PathLike[str], names: tuple[str, ...]) -> dict[str, Any]:
    """Read what `write_values` wrote; its tensors come to the CPU.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is no checkpoint, damaged, of another version, or of something that has other values
        than those named.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        body = file.read()
    words = line.split()
    if len(words) != 3 or words[0] != _MAGIC or not words[1].isdigit():
        raise ValueError(f"{path}: not a vecmarket checkpoint")
    if int(words[1]) != _VERSION:
        raise ValueError(f"{path}: version {int(words[1])}; this vecmarket reads version {_VERSION}")
    if hashlib.sha256(body).hexdigest().encode() != words[2]:
        raise ValueError(f"{path}: damaged: the checksum does not fit")
    try:
        values: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error
    if not isinstance(values, dict) or any(name not in values for name in names):
        raise ValueError(f"{path}: a checkpoint of something else: must hold {', '.join(names)}")
    return values
