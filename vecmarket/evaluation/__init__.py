"""Judge policies on days they have not seen.

One learner beside truthful bidding and the exact best reply (`evaluate`); or a profile of policies, one per
agent, with every agent's exact best response, exploitability and the market's figures (`evaluate_profile`),
over training seeds (`over_seeds`) and over the rounds of a game (`Rounds`).
"""

from __future__ import annotations

from vecmarket.evaluation.best_reply import best_replies
from vecmarket.evaluation.columns import Table, Written, write_tables
from vecmarket.evaluation.comparison import Evaluation, Metric, evaluate
from vecmarket.evaluation.deviations import Deviation
from vecmarket.evaluation.dynamics import Dynamics, diagnose
from vecmarket.evaluation.exploitability import ProfileEvaluation, evaluate_profile
from vecmarket.evaluation.figures import AGENT_FIGURES, MARKET_FIGURES, Figure, Figures
from vecmarket.evaluation.markets import MarketPlay, play_profile
from vecmarket.evaluation.offers import Grid
from vecmarket.evaluation.plays import Episodes, Play, Policy, play, truthful
from vecmarket.evaluation.profile import Bidder, Profile
from vecmarket.evaluation.randomness import evaluation_seeds
from vecmarket.evaluation.reports import (
    print_profile,
    print_rounds,
    print_seeds,
    save_profile,
    save_rounds,
    save_seeds,
)
from vecmarket.evaluation.rounds import Rounds
from vecmarket.evaluation.seeds import Interval, SeedFigures, over_seeds, t_interval
from vecmarket.evaluation.tables import print_table, save

__all__ = [
    "AGENT_FIGURES",
    "MARKET_FIGURES",
    "Bidder",
    "Deviation",
    "Dynamics",
    "Episodes",
    "Evaluation",
    "Figure",
    "Figures",
    "Grid",
    "Interval",
    "MarketPlay",
    "Metric",
    "Play",
    "Policy",
    "Profile",
    "ProfileEvaluation",
    "Rounds",
    "SeedFigures",
    "Table",
    "Written",
    "best_replies",
    "diagnose",
    "evaluate",
    "evaluate_profile",
    "evaluation_seeds",
    "over_seeds",
    "play",
    "play_profile",
    "print_profile",
    "print_rounds",
    "print_seeds",
    "print_table",
    "save",
    "save_profile",
    "save_rounds",
    "save_seeds",
    "t_interval",
    "truthful",
    "write_tables",
]
