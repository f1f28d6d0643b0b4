"""Checkpoints: whole or not there at all, and clear about what is wrong with a file."""

from __future__ import annotations

import os

import pytest
import torch

from training.toys import bandit_learner
from vecmarket.training import Checkpoint, TrainConfig, load_checkpoint, save_checkpoint
from vecmarket.training.checkpoints import checkpoint_path


def a_checkpoint(seconds: float = 1.5) -> Checkpoint:
    learner = bandit_learner()
    learner.iterate()
    return Checkpoint(TrainConfig(seed=4), learner.state(), seconds)


def test_what_is_saved_comes_back(tmp_path):
    checkpoint = a_checkpoint()
    save_checkpoint(tmp_path / "checkpoint.pt", checkpoint)
    loaded = load_checkpoint(tmp_path / "checkpoint.pt")
    assert loaded.config == checkpoint.config
    assert loaded.seconds == 1.5
    one, other = bandit_learner(), bandit_learner()
    one.restore(checkpoint.learner)
    other.restore(loaded.learner)
    assert str(one.iterate()) == str(other.iterate())
    assert (
        checkpoint_path(tmp_path) == checkpoint_path(tmp_path / "checkpoint.pt") == tmp_path / "checkpoint.pt"
    )


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch, moment):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, a_checkpoint(1.0))

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"os.{moment}", crash)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, a_checkpoint(2.0))
    monkeypatch.undo()
    assert load_checkpoint(path).seconds == 1.0
    assert os.listdir(tmp_path) == ["checkpoint.pt"]
    save_checkpoint(path, a_checkpoint(2.0))
    assert load_checkpoint(path).seconds == 2.0


def test_files_that_cannot_be_used(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.pt: no such checkpoint"):
        load_checkpoint(path)
    for content in (b"", b"garbage", b"\n\n", b"vecmarket-checkpoint one two\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt: not a vecmarket checkpoint"):
            load_checkpoint(path)
    path.write_bytes(b"vecmarket-checkpoint 99 abc\nbody")
    with pytest.raises(ValueError, match="version 99; this vecmarket reads version 2"):
        load_checkpoint(path)
    save_checkpoint(path, a_checkpoint())
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:5000] + b"x" + whole[5001:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged: the checksum does not fit"):
            load_checkpoint(path)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, Checkpoint(TrainConfig(), {"model": Trap()}, 0.0))
    with pytest.raises(ValueError, match="damaged: "):
        load_checkpoint(path)
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_settings_of_another_release_are_named(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    text = TrainConfig().to_json().replace('"num_envs"', '"number_of_envs"')
    monkeypatch.setattr(TrainConfig, "to_json", lambda self: text)
    save_checkpoint(path, Checkpoint(TrainConfig(), {"x": torch.zeros(1)}, 0.0))
    with pytest.raises(ValueError, match="number_of_envs: no such setting"):
        load_checkpoint(path)
