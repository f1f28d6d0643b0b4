"""Checkpoints: one file that a run goes on from, bit for bit.

A file is one line of text, ``vecmarket-checkpoint VERSION SHA256``, and then what ``torch.save`` wrote. The
line tells a file of another version and a damaged one before anything is read from it, and the rest is read
with ``weights_only=True``, so that a file from elsewhere cannot run code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vecmarket.files import write_atomically
from vecmarket.training.config import TrainConfig

__all__ = ["CHECKPOINT_FILE", "Checkpoint", "checkpoint_path", "load_checkpoint", "save_checkpoint"]

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


def checkpoint_path(run: Path) -> Path:
    """Return the checkpoint of a run, given by its folder or by the file itself."""
    return run / CHECKPOINT_FILE if run.is_dir() else run


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside and rename it; a crash in between leaves the old one."""
    content = io.BytesIO()
    config = checkpoint.config.to_json()
    torch.save({"config": config, "learner": checkpoint.learner, "seconds": checkpoint.seconds}, content)
    body = content.getvalue()
    head = b"%s %d %s\n" % (_MAGIC, _VERSION, hashlib.sha256(body).hexdigest().encode())
    write_atomically(path, head + body)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote; its tensors come to the CPU.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is no checkpoint, damaged, or of another version.
    """
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
        values = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        return Checkpoint(
            TrainConfig.from_json(values["config"]), values["learner"], float(values["seconds"])
        )
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error
