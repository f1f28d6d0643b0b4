"""Files of policies: the same policy gives the same bytes, and no other bytes pass for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from gymnasium.spaces import Box
from safetensors import safe_open

import vecmarket as vm
from policies.nets import draw
from vecmarket.training import ActorCritic, load_policy, save_policy


def small() -> ActorCritic:
    model = ActorCritic(Box(-1.0, 1.0, (3,)), Box(np.float32([0, -10]), np.float32([1, 10])), hidden=(4,))
    return model.requires_grad_(False)


def without_checksum(content: bytes) -> bytes:
    """The file as it was written before there were checksums."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    del header["__metadata__"]["checksum"]
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + content[end:]


@pytest.mark.parametrize("flip", [0x01, 0x04, 0x20, 0x80, 0xFF])
def test_no_byte_can_change_unnoticed(flip: int, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(small(), path)
    whole, passed = path.read_bytes(), []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        try:
            vm.MlpPolicy.load(path)
        except ValueError:
            continue
        passed.append(place)
    assert passed == []
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ flip]))
    with pytest.raises(ValueError, match=r"policy\.safetensors: damaged: the checksum does not fit"):
        load_policy(path)


def test_padding_of_the_header_is_covered_too(tmp_path: Path) -> None:
    path, padded = tmp_path / "policy.safetensors", False
    for units in range(1, 20):
        draw(3, (units,)).save(path)
        whole = path.read_bytes()
        end = 8 + int.from_bytes(whole[:8], "little")
        assert end % 8 == 0
        if whole[end - 1 : end] == b" ":
            padded = True
            for space in b"\t\n\r":
                path.write_bytes(whole[: end - 1] + bytes([space]) + whole[end:])
                with pytest.raises(ValueError, match="damaged"):
                    vm.MlpPolicy.load(path)
    assert padded


def test_the_same_policy_gives_the_same_bytes(tmp_path: Path) -> None:
    policy, model = draw(3, (4,)), small()
    files = [tmp_path / f"{i}" for i in range(8)]
    for file in files:
        policy.save(file)
    assert len({file.read_bytes() for file in files}) == 1
    for file in files:
        save_policy(model, file)
    assert len({file.read_bytes() for file in files}) == 1
    command = (
        "import sys; from vecmarket.training import load_policy, save_policy;"
        "save_policy(load_policy(sys.argv[1]), sys.argv[2])"
    )
    for seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        there = str(tmp_path / "there")
        subprocess.run([sys.executable, "-c", command, str(files[0]), there], check=True, env=environment)
        assert Path(there).read_bytes() == files[0].read_bytes()


def test_safetensors_reads_what_is_written(tmp_path: Path) -> None:
    path, model = tmp_path / "policy.safetensors", small()
    save_policy(model, path)
    state = model.state_dict()
    arrays = safetensors.numpy.load_file(path)
    assert arrays.keys() == state.keys()
    assert all(np.array_equal(arrays[name], state[name]) for name in state)
    with safe_open(path, framework="pt") as file:
        assert sorted(file.metadata()) == ["checksum", "format", "shape", "version"]
        assert torch.equal(file.get_tensor("actor.0.weight"), model.actor[0].weight)


def test_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    path, policy = tmp_path / "policy.safetensors", draw(3, (4,))
    policy.save(path)
    path.write_bytes(without_checksum(path.read_bytes()))
    assert vm.MlpPolicy.load(path) == policy


def changed(content: bytes, shape: dict[str, object], **arrays: np.ndarray) -> bytes:
    """A file without a checksum that says another shape, or holds other arrays."""
    metadata = {"format": "vecmarket-policy", "version": "1", "shape": json.dumps(shape)}
    return safetensors.numpy.save(safetensors.numpy.load(content) | arrays, metadata)


@pytest.mark.parametrize("hidden", [[5], [], [4, 4], [100_000, 100_000], "4", None])
def test_hidden_widths_are_those_of_the_arrays(hidden: object, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    save_policy(small(), path)
    whole = path.read_bytes()
    path.write_bytes(changed(whole, {"activation": "tanh", "hidden": [4]}))
    assert vm.MlpPolicy.load(path) == vm.MlpPolicy.from_torch(load_policy(path))
    path.write_bytes(changed(whole, {"activation": "tanh", "hidden": hidden}))
    for load in (vm.MlpPolicy.load, load_policy):
        with pytest.raises(
            ValueError, match=r"policy\.safetensors: incomplete policy: hidden: must be \[4\]"
        ):
            load(path)
    path.write_bytes(changed(whole, {"activation": "tanh"}))
    for load in (vm.MlpPolicy.load, load_policy):
        with pytest.raises(ValueError, match=r"policy\.safetensors: incomplete policy: 'hidden'"):
            load(path)


@pytest.mark.parametrize(
    "name", ["actor.0.weight", "actor.2.bias", "centre", "scale", "log_std", "action_low"]
)
def test_what_is_no_number_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    model = small()
    model.state_dict()[name].flatten()[-1:] = float("nan")
    save_policy(model, path)
    for content in (path.read_bytes(), without_checksum(path.read_bytes())):
        path.write_bytes(content)
        for load in (vm.MlpPolicy.load, load_policy):
            with pytest.raises(ValueError, match=r"policy\.safetensors: incomplete policy: .*got nan"):
                load(path)


def test_a_critic_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "policy.safetensors", small()
    model.state_dict()["critic.2.weight"][0, 1] = float("inf")
    save_policy(model, path)
    with pytest.raises(ValueError, match=r"critic\.2\.weight\[0, 1\]: must be finite, got inf"):
        load_policy(path)


def test_metadata_that_nobody_wrote_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "policy.safetensors"
    draw(3, (4,)).save(path)
    path.write_bytes(path.read_bytes().replace(b'"checksum"', b'"checksun"'))
    with pytest.raises(ValueError, match="damaged: unknown metadata 'checksun'"):
        vm.MlpPolicy.load(path)
