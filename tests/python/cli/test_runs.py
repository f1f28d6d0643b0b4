"""``vecmarket train`` and ``vecmarket evaluate`` on runs of a few iterations."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vecmarket import _core
from vecmarket.cli import main

# Four iterations of 24 hours in 16 markets.
TINY = [
    *("--scenario", "default", "--learner", "G4", "--total-steps", str(4 * 16 * 24), "--num-envs", "16"),
    *("--ppo.hidden", "8", "8", "--torch-threads", "1", "--no-progress", "--no-tensorboard"),
]


def settings(out: Path, name: str) -> list[str]:
    return ["train", *TINY, "--out", str(out), "--name", name]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "policy.safetensors")


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, and what it printed."""
    out = tmp_path_factory.mktemp("runs")
    done = subprocess.run(
        [sys.executable, "-m", "vecmarket", *settings(out, "whole")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "whole", done.stdout


def test_train_ends_with_the_table_and_the_files(trained: tuple[Path, str]) -> None:
    run, text = trained
    for word in ("truthful", "policy", "best reply", "clearing price", "profit", "dispatch", "markup"):
        assert word in text
    names = {path.name for path in run.iterdir()}
    assert {
        "config.json",
        "policy.safetensors",
        "evaluation.json",
        "evaluation.csv",
        "evaluation.png",
    } <= names
    assert (run / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    assert metrics["return"]["truthful"] == 0.0
    assert metrics["return"]["best"] == pytest.approx(0.134, abs=0.01)
    assert metrics["return"]["policy"] <= metrics["return"]["best"]


def test_evaluate_prints_the_same_table(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run, text = trained
    (run / "evaluation.png").unlink()
    assert main(["evaluate", str(run)]) == 0
    assert table(capsys.readouterr().out) == table(text)
    assert len(table(text)) > 10
    assert (run / "evaluation.png").is_file()


def test_an_interrupted_run_resumes_to_the_same_policy(
    trained: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train, count = _core.train, 0

    def stop_in_the_second(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            signal.raise_signal(signal.SIGINT)
        return train(*arguments, **named)

    run = tmp_path / "whole"
    with monkeypatch.context() as patch:
        patch.setattr(_core, "train", stop_in_the_second)
        assert main(settings(tmp_path, "whole")) == 130
    hint = re.search(r"vecmarket (train --resume \S+)", capsys.readouterr().out)
    assert hint is not None
    whole, half = weights(trained[0]), weights(run)
    assert any(not torch.equal(whole[name], half[name]) for name in whole)

    assert main([*hint[1].split(), "--no-evaluate"]) == 0
    resumed = weights(run)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    argv = settings(tmp_path, "long")
    argv[argv.index("--total-steps") + 1] = "100000000"
    process = subprocess.Popen(
        [sys.executable, "-m", "vecmarket", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "long" / "metrics.csv"
    patience = time.monotonic() + 120.0
    while not (metrics.is_file() and metrics.read_text().count("\n") > 2):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < patience
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert f"vecmarket train --resume {tmp_path / 'long'}" in out
    assert (tmp_path / "long" / "checkpoint.pt").is_file()
    assert (tmp_path / "long" / "policy.safetensors").is_file()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["train", "--num-envs", "0"], "num_envs: must be a whole number of at least 1, got 0"),
        (["train", "--scenario", "ieee"], "ieee-rts"),
        (["train", "--learner", "U351"], "U351"),
        (
            ["train", "--scenario", "default"],
            "learner: --learner must name one of the scenario's agents: unknown name 'U350_1'; the agents",
        ),
        (
            ["train", "--scenario", "default", "--learner", "5"],
            "learner: --learner must name one of the scenario's agents: must be in 0..4, got 5",
        ),
        (["train", "--resume", "."], "no run: . has no config.json"),
        (["train", "--scenario", "csv"], "fleet"),
        (["train", "--scenario", "csv", "--fleet", "none.csv", "--demand", "none.csv"], "none.csv"),
        (["train", "--scenario", "none.toml"], "none.toml"),
        (["train", "--device", "abacus"], "device"),
        (["train", "--rivals", "angry"], "rivals"),
        (["train", "--resume", "no-such-run"], "no-such-run"),
        (
            ["train", "--learner", "G4", "--agents", "G1"],
            "agents: is a setting of a game; --game says of which",
        ),
        (["train", "--rounds", "3"], "rounds: is a setting of a game; --game"),
        (["train", "--no-withholding"], "withholding: is a setting of a game; --game"),
        (["evaluate", "no-such-run"], "no run: no-such-run has no config.json"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(
    argv: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_bad_setting_of_the_algorithm_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    # tyro tells of these itself, in a box.
    with pytest.raises(SystemExit) as stop:
        main(["train", "--ppo.gamma", "2"])
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert "ppo.gamma: must be finite and in [0.0, 1.0]" in " ".join(text.split())
    assert "dummy" not in text


def test_resuming_with_another_setting_is_refused(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    # 64 markets of ieee-rts are what a new run has; this one has 16 of default.
    for name, value, message in (
        ("num-envs", "17", "num_envs: the run to resume has 16, not 17"),
        ("num-envs", "64", "num_envs: the run to resume has 16, not 64"),
        ("scenario", "ieee-rts", "scenario: the run to resume has 'default', not 'ieee-rts'"),
        ("ppo.gamma", "0.5", "error: ppo.gamma: the run to resume has 0.0, not 0.5\n"),
        ("name", "zz", f"name: a run goes on in its own folder, {trained[0]}, not under the name 'zz'"),
        ("out", "elsewhere", f"out: a run goes on in its own folder, {trained[0]}, not in 'elsewhere'"),
        ("rounds", "5", "rounds: is a setting of a game; --game says of which"),
    ):
        assert main(["train", "--resume", str(trained[0]), f"--{name}", value]) == 2
        assert message in capsys.readouterr().err


def test_resuming_with_the_same_settings_is_no_change(trained: tuple[Path, str]) -> None:
    given = ["--num-envs", "16", "--ppo.hidden", "8", "8"]
    assert main(["train", "--no-evaluate", "--no-progress", f"--resume={trained[0]}", *given]) == 0


@pytest.mark.parametrize("kind", [ValueError, TypeError, OverflowError, AttributeError])
def test_errors_from_deep_inside_are_one_line_too(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: list[str]) -> int:
        raise kind("too\nlarge")

    monkeypatch.setattr("vecmarket.cli.commands.run", fail)
    assert main(["info"]) == 2
    assert capsys.readouterr().err == "error: too large\n"


def test_a_name_that_is_taken_is_refused(
    trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = trained
    assert main(settings(run.parent, run.name)) == 2
    assert "taken" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_begins_anew_and_says_so(
    trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "killed"
    run.mkdir()
    (run / "config.json").write_bytes((trained[0] / "config.json").read_bytes())
    assert main(["train", "--resume", str(run), "--num-envs", "17"]) == 2
    assert [path.name for path in run.iterdir()] == ["config.json"]
    assert main(["train", "--resume", str(run), "--no-evaluate"]) == 0
    assert f"no checkpoint yet; beginning with the settings of {run}" in capsys.readouterr().out
    whole, begun = weights(trained[0]), weights(run)
    assert all(torch.equal(whole[name], begun[name]) for name in whole)


def test_a_file_of_a_run_is_no_run(trained: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    policy = trained[0] / "policy.safetensors"
    assert main(["evaluate", str(policy)]) == 2
    assert capsys.readouterr().err == f"error: no run: {policy} has no config.json\n"


@pytest.mark.parametrize("command", ["train --resume", "evaluate"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "settings: not a training run's: no JSON: Expecting property name"),
        ("[]", "settings: not a training run's: must be a JSON object, is list"),
        ('"game"', "settings: not a training run's: must be a JSON object, is str"),
        ('{"game": 3}', "settings: not a game's: 'game' must be an object, is 3"),
        ('{"game": {}}', "settings: not a game's: 'train' is missing"),
    ],
)
def test_a_damaged_file_of_settings_is_named(
    command: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(content)
    assert main([*command.split(), str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'config.json'}: {message}")


@pytest.mark.parametrize("damage", ["config.json", "policy.safetensors", "scenario.toml"])
def test_a_damaged_run_is_one_line(
    damage: str, trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.json", "policy.safetensors", "scenario.toml"):
        (tmp_path / name).write_bytes((trained[0] / name).read_bytes())
    (tmp_path / damage).write_bytes(b"\x00 nothing")
    assert main(["evaluate", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
