"""Judge a policy on days it has not seen: beside truthful bidding and the exact best reply."""

from __future__ import annotations

from vecmarket.evaluation.best_reply import best_replies
from vecmarket.evaluation.comparison import Evaluation, Metric, evaluate
from vecmarket.evaluation.offers import Grid
from vecmarket.evaluation.plays import Episodes, Play, Policy, play, truthful
from vecmarket.evaluation.randomness import evaluation_seeds
from vecmarket.evaluation.tables import print_table, save

__all__ = [
    "Episodes",
    "Evaluation",
    "Grid",
    "Metric",
    "Play",
    "Policy",
    "best_replies",
    "evaluate",
    "evaluation_seeds",
    "play",
    "print_table",
    "save",
    "truthful",
]
