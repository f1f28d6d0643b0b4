"""``vecmarket train --game`` and ``vecmarket evaluate`` of a game's run: its rounds and its last profile."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vecmarket.config import Scenario
from vecmarket.evaluation import (
    Bidder,
    Grid,
    ProfileEvaluation,
    Rounds,
    evaluate_profile,
    print_profile,
    print_rounds,
    save_profile,
    save_rounds,
)
from vecmarket.plots import save_rounds_png
from vecmarket.policies import MlpPolicy
from vecmarket.training import ActorCritic
from vecmarket.training.folder import CONFIG_FILE, SCENARIO_FILE, read_settings
from vecmarket.training.games import (
    FixedEpisodes,
    GameRun,
    Pool,
    Strategy,
    load_profile,
    load_rounds,
    play_game,
)
from vecmarket.training.games.players import learning_agents, starting_profile

__all__ = ["game_settings", "is_game", "run_game", "show_game"]

INTERRUPTED = 130  # 128 + SIGINT, as shells count it
ROUNDS_PICTURE = "rounds.png"
JUDGED = "judged"  # folder of the tables of the rounds


def is_game(run: Path) -> bool:
    """Tell whether a folder holds the run of a game, rather than of one agent's training."""
    try:
        settings = json.loads((run / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whoever reads it as a training run says what is wrong
    return isinstance(settings, dict) and "game" in settings


def game_settings(run: Path) -> GameRun:
    """Return the settings of a game's run."""
    return read_settings(run, GameRun.from_json)


def run_game(config: GameRun, *, resume: Path | None, evaluate: bool) -> int:
    """Play a game, and judge its last profile; an interrupted run says how to go on."""
    console = Console()
    result = play_game(config, resume=resume)
    rounds = result.rows[-1]["round"] if result.rows else 0
    outcome = "nobody improves any more" if result.settled else "not settled"
    console.print(
        f"{rounds} rounds, {result.steps:,} steps in {result.seconds:.1f} s, {outcome}: {result.run}",
        highlight=False,
        soft_wrap=True,
    )
    if result.interrupted:
        console.print(
            f"interrupted; to go on: vecmarket train --resume {result.run}", highlight=False, soft_wrap=True
        )
        return INTERRUPTED
    if evaluate:
        judge_profile(console, result.run, result.config, result.scenario, result.profile)
    return 0


def show_game(run: Path) -> int:
    """Judge the last profile of a game's run again."""
    config = game_settings(run)
    judge_profile(Console(), run, config, Scenario.load(run / SCENARIO_FILE), load_profile(run))
    return 0


def judge_profile(
    console: Console, run: Path, config: GameRun, scenario: Scenario, profile: Sequence[Strategy | Pool]
) -> None:
    """Print and write what a profile comes to on the evaluation days, beside every learner's best response.

    A profile of mixtures is played, but no best response is looked for: enumeration needs rivals that answer
    the same observation in the same way.
    """
    if any(isinstance(strategy, Pool) for strategy in profile):
        _show_mixtures(console, config, scenario, profile)
        return
    bidders = _bidders(profile)
    learners = learning_agents(scenario, config.game)
    # Before anything is written: a round may be missing.
    earlier: list[Sequence[Strategy | Pool]] = [starting_profile(scenario, config), *load_rounds(run)[:-1]]
    # Best responses may do what learners could.
    grid = Grid.critical(withholding=config.game.withholding)
    evaluation = evaluate_profile(scenario, bidders, deviators=learners, grid=grid)
    print_profile(evaluation, console)
    written = list(save_profile(evaluation, run).files)
    rounds = judge_rounds(earlier, evaluation, grid)
    print_rounds(rounds, console)
    (run / JUDGED).mkdir(exist_ok=True)
    # rounds.csv of the run itself is what training saw
    written += [*save_rounds(rounds, run / JUDGED).files, save_rounds_png(rounds, run / ROUNDS_PICTURE)]
    for path in written:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def judge_rounds(earlier: Sequence[Sequence[Strategy | Pool]], last: ProfileEvaluation, grid: Grid) -> Rounds:
    """Return what the profiles of all rounds come to, with every learner's best response.

    `earlier` begins with the profile before anybody learned, round 0; `last` is the evaluation of the newest,
    and all are judged as it was: on the same episodes, with the same deviators and
    `grid`.
    """
    deviators = [deviation.agent for deviation in last.deviations]
    evaluations = (
        evaluate_profile(last.scenario, _bidders(profile), deviators=deviators, grid=grid)
        for profile in earlier
    )
    return Rounds.of(itertools.chain(evaluations, [last]))


def _bidders(profile: Sequence[Strategy | Pool]) -> list[Bidder]:
    """Return strategies as evaluation takes them; a mixture is none."""
    bidders: list[Bidder] = []
    for strategy in profile:
        if isinstance(strategy, Pool):
            raise TypeError("profile: a mixture is nothing that can be judged by enumeration")
        bidders.append(MlpPolicy.from_torch(strategy) if isinstance(strategy, ActorCritic) else strategy)
    return bidders


def _show_mixtures(
    console: Console, config: GameRun, scenario: Scenario, profile: Sequence[Strategy | Pool]
) -> None:
    """Print what every agent earns, beside the profile in which all are truthful."""
    episodes = FixedEpisodes.of_evaluation(scenario, config.game.episodes, config.train.engine_threads)
    honest = episodes.play(["truthful"] * len(profile))
    played = episodes.play(profile)
    table = Table(
        title=f"price {played.price:,.2f} $/MWh; all truthful {honest.price:,.2f} $/MWh; mean over all hours"
    )
    table.add_column("agent", no_wrap=True)
    for column in ("bids", "profit $/h", "truthful $/h", "dispatch MW", "truthful MW"):
        table.add_column(column, justify="right")
    for place, name in enumerate(scenario.agents):
        cells = (
            float(outcome[place])
            for outcome in (played.profit, honest.profit, played.dispatch, honest.dispatch)
        )
        table.add_row(escape(name), _bids(profile[place]), *(f"{cell:,.1f}" for cell in cells))
    console.print(table)


def _bids(strategy: Strategy | Pool) -> str:
    if isinstance(strategy, Pool):
        return f"mixture of {len(strategy.members)}"
    if isinstance(strategy, str):
        return strategy
    return f"SRMC {strategy:+g}" if isinstance(strategy, float | int) else "policy"
