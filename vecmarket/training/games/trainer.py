"""One run of a game: its folder, checkpoints, progress, and going on where it stopped."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecmarket.config import Scenario
from vecmarket.files import write_atomically
from vecmarket.training.checkpoints import checkpoint_path, read_values, write_values
from vecmarket.training.folder import (
    CONFIG_FILE,
    FREE_SETTINGS,
    SCENARIO_FILE,
    check_same,
    check_stays,
    make_folder,
    never_began,
    read_settings,
)
from vecmarket.training.games.best_response import BestResponse
from vecmarket.training.games.config import BEST_RESPONSE, GameRun
from vecmarket.training.games.display import RoundBoard, RoundProgress
from vecmarket.training.games.folder import write_round, write_rows
from vecmarket.training.games.players import GameLearner, Row
from vecmarket.training.games.strategies import Pool, Strategy
from vecmarket.training.games.together import Together
from vecmarket.training.interrupts import HeldInterrupt
from vecmarket.training.trainer import build_scenario, run_scenario, torch_threads

__all__ = ["GameResult", "make_game", "play_game"]


@dataclass(frozen=True)
class GameResult:
    """What a run of a game left.

    Attributes
    ----------
    run
        The run's folder.
    config, scenario
        Its settings and the whole scenario.
    strategies
        How every agent bids at the end of the last whole round, by place.
    profile
        The same, but in fictitious play the learning agents' mixtures.
    rows
        The rows of rounds.csv.
    settled
        Whether the game ended because nobody improved.
    steps, seconds
        Steps of all learners, and the time they took, over all sittings.
    interrupted
        Whether Ctrl-C ended the run; its checkpoint is up to date.
    """

    run: Path
    config: GameRun
    scenario: Scenario
    strategies: list[Strategy]
    profile: list[Strategy | Pool]
    rows: list[Row]
    settled: bool
    steps: int
    seconds: float
    interrupted: bool


def play_game(config: GameRun | None = None, *, resume: str | os.PathLike[str] | None = None) -> GameResult:
    """Let several agents of a market learn against each other.

    The folder ``config.train.out / config.train.name`` receives what `vecmarket.training.games.folder`
    describes. A checkpoint is written after every round and every `checkpoint_every` iterations. Ctrl-C
    ends the run after the iteration that it finds under way, with a checkpoint; pressed twice, it stops at
    once and leaves the checkpoint before. A run resumed from either, also in the middle of a round, ends with
    the same strategies, bit for bit, as one that was never interrupted.

    Parameters
    ----------
    config
        Settings of the run. With `resume`, None takes the run's own.
    resume
        Folder of a run, or its checkpoint, to go on with. A run that was ended before its first checkpoint
        begins anew, with the settings and in the folder that it has.

    Raises
    ------
    FileNotFoundError
        When `resume` or a table of the scenario is not there.
    ValueError
        When a setting cannot be used, the run's folder is taken, or `config` differs from the run to resume.
        Of a game of best responses that goes on, `rounds` and `patience` may differ; other `rounds` must be
        more than it has played.
    """
    values: dict[str, Any] | None = None
    run: Path | None = None
    if resume is None:
        if config is None:
            raise ValueError("config: must be given where no run is resumed")
        scenario = build_scenario(config.train)
    else:
        path = checkpoint_path(resume)
        run = path.parent
        if never_began(resume):
            own = read_settings(run, GameRun.from_json)
        else:
            values = read_values(path, ("game", "learner", "seconds"))
            own = GameRun.from_json(values["game"])
        if config is not None:
            _check_resumed(run, own, config, 0 if values is None else int(values["learner"]["round"]))
        config = config or own
        scenario = run_scenario(run, config.train)
    with torch_threads(config.train.torch_threads):
        learner = make_game(config, scenario)
        if values is not None:
            learner.restore(values["learner"])
        if run is None:
            run = _make_folder(config)
        write_atomically(run / CONFIG_FILE, config.to_json().encode())
        if values is None:
            scenario.save(run / SCENARIO_FILE)
        return _play(learner, config, scenario, run, 0.0 if values is None else float(values["seconds"]))


def make_game(config: GameRun, scenario: Scenario) -> GameLearner:
    """Return the schedule that the settings name, ready to iterate; nothing is written.

    Raises
    ------
    ValueError
        When the settings do not fit the scenario.
    """
    return (BestResponse if config.game.game in BEST_RESPONSE else Together)(config, scenario)


def _play(learner: GameLearner, config: GameRun, scenario: Scenario, run: Path, before: float) -> GameResult:
    """Iterate to the end, or to Ctrl-C; `before` is the time of earlier sittings, in seconds."""
    start, seconds, names = time.perf_counter(), before, scenario.agents

    def save() -> None:
        values = {"game": config.to_json(), "learner": learner.state(), "seconds": seconds}
        write_values(checkpoint_path(run), values)

    write_rows(run, learner.rows)  # without what came after the checkpoint
    board = RoundBoard(run / "tensorboard", learner.round) if config.train.tensorboard else None
    bar = (
        RoundProgress(learner, config.game.rounds, _total_steps(learner, config))
        if config.train.progress
        else None
    )
    with HeldInterrupt() as interrupt:
        try:
            save()
            saved = True
            for iteration in itertools.count(1):
                if learner.finished or interrupt.heard:
                    break
                rounds = learner.round
                figures = learner.iterate()
                seconds = before + time.perf_counter() - start
                if learner.round > rounds:
                    write_round(run, learner, names)
                    new = [row for row in learner.rows if row["round"] == learner.round]
                    for log in (bar, board):
                        if log is not None:
                            log.end_round(new)
                saved = learner.round > rounds or iteration % config.train.checkpoint_every == 0
                if saved:
                    save()
                if bar is not None:
                    bar.show(learner, figures)
            if not saved:
                save()
        finally:
            for log in (bar, board):
                if log is not None:
                    log.close()
    return GameResult(
        run=run,
        config=config,
        scenario=scenario,
        strategies=list(learner.strategies),
        profile=learner.profile,
        rows=learner.rows,
        settled=learner.settled,
        steps=learner.steps,
        seconds=seconds,
        interrupted=interrupt.heard,
    )


def _total_steps(learner: GameLearner, config: GameRun) -> int:
    game, iteration = config.game, config.train.ppo.rollout_steps * config.train.num_envs
    each = -(-game.round_steps // iteration) * iteration
    starts = game.starts if game.game in BEST_RESPONSE else 1
    return game.rounds * len(learner.agents) * each * starts


def _make_folder(config: GameRun) -> Path:
    train = config.train
    usual = f"{Path(train.scenario).stem}-{config.game.game}-seed{train.seed}"
    return make_folder(train.out, train.name, usual)


def _check_resumed(run: Path, own: GameRun, given: GameRun, played: int) -> None:
    """Refuse settings that differ from those of the run to resume where it matters."""
    check_same(own.game, given.game, ("rounds", "patience") if own.game.game in BEST_RESPONSE else ())
    check_same(own.train, given.train, FREE_SETTINGS)
    check_stays(run, own.train, given.train)
    if given.game.rounds != own.game.rounds and given.game.rounds <= played:
        raise ValueError(
            f"rounds: the run to resume has played {played} rounds, {given.game.rounds} leaves nothing to do"
        )
