"""``vecmarket train --game`` on games of a few iterations."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vecmarket import _core
from vecmarket.cli import main
from vecmarket.training.games import GameRun, load_profile

# Two iterations of 24 hours in 16 markets for each of two agents, in each of two rounds.
TINY = [
    *("--scenario", "default", "--agents", "G3", "4", "--rounds", "2", "--round-steps", str(2 * 16 * 24)),
    *("--num-envs", "16", "--ppo.hidden", "8", "8", "--episodes", "4", "--no-progress", "--no-tensorboard"),
]


def arguments(game: str, out: Path, name: str = "run") -> list[str]:
    return ["train", "--game", game, *TINY, "--out", str(out), "--name", name]


def rounds(run: Path) -> list[dict[str, str]]:
    with (run / "rounds.csv").open() as file:
        return list(csv.DictReader(file))


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("│")]


@pytest.mark.parametrize("game", ["iterated", "simultaneous", "fictitious", "independent", "shared"])
def test_every_schedule_ends_with_the_rounds_and_a_table(
    game: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(game, tmp_path)) == 0
    text = capsys.readouterr().out
    run = tmp_path / "run"
    rows = rounds(run)
    assert [(row["round"], row["agent"]) for row in rows] == [(r, a) for r in "12" for a in ("G3", "G4")]
    assert f"2 rounds, {2 * 2 * 2 * 16 * 24:,} steps in" in text
    if game == "fictitious":
        assert len(table(text)) == 5
        assert text.count("mixture of 3") == 2
        assert f"price {float(rows[-1]['mixture_price']):,.2f} $/MWh" in text
    else:
        # best responses of those who learn, and of nobody else
        gains = {line.split()[1]: line.split("│")[5].strip() for line in table(text) if "│ G" in line}
        assert list(gains) == ["G0", "G1", "G2", "G3", "G4"]
        assert [gain == "-" for gain in gains.values()] == [True, True, True, False, False]
        assert "exploitability" in text
        assert (run / "agents.csv").is_file()
        # every round is judged, not only the last
        assert "3 rounds: " in text  # with the one before anybody learned
        judged = rounds(run / "judged")
        assert [row["round"] for row in judged] == ["0", "1", "2"]
        assert (run / "rounds.png").stat().st_size > 10_000

    assert main(["evaluate", str(run)]) == 0
    assert table(capsys.readouterr().out) == table(text)


def test_rounds_and_profile_agree_on_a_scenario_with_days(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", "--game", "simultaneous", "--scenario", "ieee-rts", "--agents", "U350_1", "U155_1"]
    argv += ["--rounds", "1", "--round-steps", str(4 * 16 * 24), "--num-envs", "16", "--ppo.hidden", "8"]
    argv += ["--no-progress", "--no-tensorboard", "--out", str(tmp_path), "--name", "run"]
    assert main(argv) == 0
    run = tmp_path / "run"
    with (run / "market.csv").open() as file:
        market = next(csv.DictReader(file))
    first, last = rounds(run / "judged")
    for key in ("price", "exploitability", "exploitability_share"):
        assert last[key] == market[key]
    honest = float(market["price"]) - float(market["price_increase"])
    assert float(first["price"]) == pytest.approx(honest, abs=1e-3)  # nobody has learned yet
    for row in rounds(run):
        assert float(row["price"]) == pytest.approx(float(market["price"]), rel=1e-4)
    share = f"{float(market['exploitability_share']):.1f} % of the deviators' profits"
    text = " ".join(capsys.readouterr().out.split())
    assert text.count(share) == 2


def test_a_missing_round_is_named_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments("iterated", tmp_path), "--rounds", "3", "--patience", "0"]) == 0
    run = tmp_path / "run"
    shutil.rmtree(run / "round-0002")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 2
    said = capsys.readouterr()
    assert "round-0002" in said.err
    assert "round 2 of the run's 3 is missing" in said.err
    assert said.out == ""
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_progress_names_round_and_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [a for a in arguments("iterated", tmp_path) if a != "--no-progress"]
    assert main([*argv, "--no-evaluate"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("round")]
    told = [tuple(line.split()[1:3]) for line in lines if "profit" in line and "price" in line]
    assert told == [("1", "G3"), ("1", "G4"), ("2", "G3"), ("2", "G4")]
    assert all(re.search(r"gain -?[\d.,]+ \$/h, (changed|kept)", line) for line in lines[:4])


def test_an_interrupted_game_resumes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments("iterated", tmp_path, "whole"), "--no-evaluate"]) == 0
    train, count = _core.train, 0

    def stop_in_the_sixth(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:
            signal.raise_signal(signal.SIGINT)
        return train(*arguments, **named)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(_core, "train", stop_in_the_sixth)
        assert main(arguments("iterated", tmp_path, "cut")) == 130
    hint = re.search(r"vecmarket (train --resume \S+)", capsys.readouterr().out)
    assert hint is not None
    assert {row["round"] for row in rounds(tmp_path / "cut")} == {"1"}
    assert main([*hint[1].split(), "--no-evaluate", "--rounds", "2"]) == 0
    for file in ("rounds.csv", "profile.json"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert len(load_profile(tmp_path / "cut")) == 5
    for given, message in (
        (["--tolerance", "3"], "tolerance: the run to resume has 1.0, not 3.0"),
        (["--rounds", "1"], "rounds: the run to resume has played 2 rounds, 1 leaves nothing to do"),
        (["--name", "zz"], "name: a run goes on in its own folder"),
    ):
        assert main([*hint[1].split(), *given]) == 2
        assert message in capsys.readouterr().err


def test_a_game_without_a_checkpoint_begins_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments("shared", tmp_path), "--no-evaluate"]) == 0
    (tmp_path / "run" / "checkpoint.pt").unlink()
    profile = (tmp_path / "run" / "profile.json").read_bytes()
    assert "no checkpoint yet" not in capsys.readouterr().out
    assert main(["train", "--resume", str(tmp_path / "run"), "--no-evaluate"]) == 0
    assert f"no checkpoint yet; beginning with the settings of {tmp_path / 'run'}" in capsys.readouterr().out
    assert (tmp_path / "run" / "profile.json").read_bytes() == profile


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    argv = [*arguments("simultaneous", tmp_path), "--rounds", "100000", "--patience", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vecmarket", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run = tmp_path / "run"
    until = time.monotonic() + 120.0
    while not (run / "round-0002" / "profile.json").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert f"vecmarket train --resume {run}" in out
    settings = GameRun.from_json((run / "config.json").read_text())
    assert settings.game.game == "simultaneous"
    assert len(rounds(run)) >= 2  # the signal may come before the second round is in the checkpoint


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--rounds", "0"], "rounds: must be a whole number of at least 1, got 0"),
        (["--agents", "G3", "G9"], "G9"),
        (["--agents", "G3", "3"], "agents: 'G3' is named twice"),
        (["--learner", "G3"], "learner: is no setting of a game; --agents names who learns"),
        (["--total-steps", "7"], "total_steps: is no setting of a game; --round-steps"),
        (["--initial", "angry"], "initial: must be"),
        (["--pool", "3"], "pool: is no setting of a game that is iterated, only of a fictitious one"),
        (["--game", "shared", "--starts", "4"], "starts: is no setting of shared learning, only of iterated"),
        (
            ["--game", "independent", "--accept", "always", "--patience", "3"],
            "patience: is no setting of independent learning, only of iterated, simultaneous, fictitious",
        ),
        (["--update-probability", "1.5"], "update_probability: must be in (0, 1], got 1.5"),
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
    try:
        code = main(["train", "--game", "iterated", "--scenario", "default", *argv])
    except SystemExit as stop:  # tyro tells of single settings itself, in a box
        code = int(stop.code or 0)
    assert code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_another_kind_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ["train", "--scenario", "default", "--learner", "4", "--total-steps", "1", "--num-envs", "2"]
    one += ["--no-progress", "--no-tensorboard", "--no-evaluate", "--out", str(tmp_path), "--name", "one"]
    assert main(one) == 0
    for given in (tmp_path / "one", tmp_path / "one" / "checkpoint.pt"):
        capsys.readouterr()
        assert main(["train", "--resume", str(given), "--game", "shared"]) == 2
        reason = f"game: {given} is the run of one agent, no game; leave --game out"
        assert capsys.readouterr().err == f"error: {reason}\n"
    assert main(arguments("shared", tmp_path, "game")) == 0
    capsys.readouterr()
    (tmp_path / "game" / "profile.json").unlink()
    assert main(["evaluate", str(tmp_path / "game")]) == 2
    assert "no such profile" in capsys.readouterr().err
