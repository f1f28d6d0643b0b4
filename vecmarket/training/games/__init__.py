"""Games: several agents of a market learn against each other."""

from __future__ import annotations

from vecmarket.training.games.best_response import BestResponse
from vecmarket.training.games.config import GameConfig, GameRun
from vecmarket.training.games.episodes import FixedEpisodes, Outcome
from vecmarket.training.games.folder import load_profile, load_rounds
from vecmarket.training.games.jobs import Job, TrainingJobs, train_jobs
from vecmarket.training.games.strategies import Pool, Strategy, frozen
from vecmarket.training.games.together import Together
from vecmarket.training.games.trainer import GameResult, make_game, play_game

__all__ = [
    "BestResponse",
    "FixedEpisodes",
    "GameConfig",
    "GameResult",
    "GameRun",
    "Job",
    "Outcome",
    "Pool",
    "Strategy",
    "Together",
    "TrainingJobs",
    "frozen",
    "load_profile",
    "load_rounds",
    "make_game",
    "play_game",
    "train_jobs",
]
