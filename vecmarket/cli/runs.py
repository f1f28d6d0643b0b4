"""``vecmarket train`` and ``vecmarket evaluate``: a run from its settings to its table and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from vecmarket.cli.games import game_settings, is_game, run_game, show_game
from vecmarket.config import Scenario
from vecmarket.evaluation import evaluate, print_table, save
from vecmarket.plots import save_png
from vecmarket.training import TrainConfig, as_numpy_policy, load_policy, train
from vecmarket.training.folder import POLICY_FILE, SCENARIO_FILE, never_began, read_settings
from vecmarket.training.games import GameConfig, GameRun

if TYPE_CHECKING:
    from vecmarket.evaluation import Policy

__all__ = ["Evaluate", "Train", "evaluate_run", "train_defaults", "train_run"]

PICTURE_FILE = "evaluation.png"
INTERRUPTED = 130  # 128 + SIGINT, as shells count it


@dataclass(frozen=True)
class Train:
    """Train one agent with PPO, then judge it beside truthful bidding and the exact best reply.

    Without settings, this is the main job: a 350 MW coal unit of the IEEE Reliability Test System learns to
    bid against 31 truthful rivals, on days drawn from the year. Every 7th week is left out, for the judging.
    With --game, several agents learn against each other instead.

    Attributes
    ----------
    resume
        Continue this run instead, with its own settings, to the same result as if it had never stopped.
    evaluate
        Judge the policy at the end, print the table and write the picture.
    game
        Settings of a game.
    config
        Settings of the run.
    """

    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN_DIR")] = None
    evaluate: bool = True
    game: Annotated[GameConfig, tyro.conf.arg(name="")] = field(default_factory=GameConfig)
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)


@dataclass(frozen=True)
class Evaluate:
    """Judge the policy of a run again, on the same fixed days, and print the same table.

    Attributes
    ----------
    run
        Folder of the run, which gets evaluation.json, evaluation.csv and evaluation.png.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_DIR")]


@dataclass(frozen=True)
class _Resume:
    resume: Path | None = None


def train_defaults(argv: Sequence[str]) -> Train:
    """Return what stands where an argument is left out: with ``--resume``, the run's own settings.

    So every setting that is given is compared with the run's, also one that is the usual default.
    """
    resume = tyro.cli(_Resume, args=argv, return_unknown_args=True, add_help=False)[0].resume
    if resume is None:
        return Train()
    if not resume.exists():
        raise FileNotFoundError(f"{resume}: no such run")
    run = run_folder(resume)
    if is_game(run):
        own = game_settings(run)
        return Train(game=own.game, config=own.train)
    return Train(config=_settings(run))


def run_folder(resume: Path) -> Path:
    """Return the folder of a run that is given by its folder or by its checkpoint."""
    return resume if resume.is_dir() else resume.parent


def train_run(options: Train) -> int:
    """Train, and judge the outcome; an interrupted run says how to go on."""
    console = Console()
    if options.game.game is None:
        _check_no_game(options.game)
    elif options.resume is not None and not is_game(run_folder(options.resume)):
        raise ValueError(f"game: {options.resume} is the run of one agent, no game; leave --game out")
    if options.resume is not None and never_began(options.resume):
        console.print(
            f"no checkpoint yet; beginning with the settings of {options.resume}",
            highlight=False,
            soft_wrap=True,
        )
    if options.game.game is not None:
        return run_game(
            GameRun(options.game, options.config), resume=options.resume, evaluate=options.evaluate
        )
    result = train(options.config, resume=options.resume)
    pace = f"{result.steps:,} steps in {result.seconds:.1f} s, {result.steps_per_second:,.0f} steps/s"
    console.print(f"{pace}: {result.run}", highlight=False, soft_wrap=True)
    if result.interrupted:
        console.print(
            f"interrupted; to go on: vecmarket train --resume {result.run}", highlight=False, soft_wrap=True
        )
        return INTERRUPTED
    if options.evaluate:
        _judge(console, result.run, result.config, result.scenario, result.policy)
    return 0


def evaluate_run(options: Evaluate) -> int:
    """Read a run's settings, scenario and policy, and judge it."""
    run = options.run
    if is_game(run):
        return show_game(run)
    config = _settings(run)
    scenario = Scenario.load(run / SCENARIO_FILE)
    policy = as_numpy_policy(load_policy(run / POLICY_FILE))
    _judge(Console(), run, config, scenario, policy)
    return 0


def _judge(console: Console, run: Path, config: TrainConfig, scenario: Scenario, policy: Policy) -> None:
    evaluation = evaluate(scenario, config.learner, policy, rivals=config.rivals)
    print_table(evaluation, console)
    for path in (*save(evaluation, run), save_png(evaluation, run / PICTURE_FILE)):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _settings(run: Path) -> TrainConfig:
    return read_settings(run, TrainConfig.from_json)


def _check_no_game(given: GameConfig) -> None:
    """Refuse settings of a game where none is named."""
    for one in fields(GameConfig):
        if getattr(given, one.name) != one.default:
            raise ValueError(f"{one.name}: is a setting of a game; --game says of which")
