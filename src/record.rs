//! What a rollout keeps: every step of every row, the running episodes, and sums over them.

use std::sync::Mutex;

use crate::bidding::ACTION_WIDTH;
use crate::step::{Game, Outputs};

/// What happened, step by step. M rows, one for each acting agent of each environment, row = environment * L + agent;
/// T steps; F features. A row's steps are neighbours.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Rows, M.
    pub rows: usize,
    /// Steps, T.
    pub steps: usize,
    /// Floats of an observation, F.
    pub features: usize,
    /// Observations from which steps were taken, (M, T, F).
    pub observations: Vec<f32>,
    /// Actions as drawn, before they are cut to their bounds, (M, T, 2).
    pub actions: Vec<f32>,
    /// Log-densities of the actions, (M, T).
    pub log_probs: Vec<f32>,
    /// Values of the observations, (M, T).
    pub values: Vec<f32>,
    /// Values of the true last observations of truncated episodes, zero elsewhere, (M, T).
    pub last_values: Vec<f32>,
    /// Values of the observations after the last step, (M,).
    pub next_values: Vec<f32>,
    /// Rewards, (M, T).
    pub rewards: Vec<f32>,
    /// The episode ended, (M, T).
    pub terminated: Vec<bool>,
    /// The episode was cut, (M, T).
    pub truncated: Vec<bool>,
}

impl Record {
    /// Zeros.
    pub fn new(rows: usize, steps: usize, features: usize) -> Self {
        let cells = rows * steps;
        Self {
            rows,
            steps,
            features,
            observations: vec![0.0; cells * features],
            actions: vec![0.0; cells * ACTION_WIDTH],
            log_probs: vec![0.0; cells],
            values: vec![0.0; cells],
            last_values: vec![0.0; cells],
            next_values: vec![0.0; rows],
            rewards: vec![0.0; cells],
            terminated: vec![false; cells],
            truncated: vec![false; cells],
        }
    }

    /// The rows of each shard.
    pub fn pieces<'a>(&'a mut self, running: &'a mut Running, rows: usize) -> Vec<Mutex<Piece<'a>>> {
        let cells = (rows * self.steps).max(1);
        let mut observations = self.observations.chunks_mut((cells * self.features).max(1));
        let mut actions = self.actions.chunks_mut(cells * ACTION_WIDTH);
        let mut log_probs = self.log_probs.chunks_mut(cells);
        let mut values = self.values.chunks_mut(cells);
        let mut last_values = self.last_values.chunks_mut(cells);
        let mut rewards = self.rewards.chunks_mut(cells);
        let mut terminated = self.terminated.chunks_mut(cells);
        let mut truncated = self.truncated.chunks_mut(cells);
        let mut returns = running.returns.chunks_mut(rows);
        let mut lengths = running.lengths.chunks_mut(rows);
        let mut pieces = Vec::with_capacity(self.rows.div_ceil(rows));
        for next_values in self.next_values.chunks_mut(rows) {
            pieces.push(Mutex::new(Piece {
                steps: self.steps,
                observations: observations.next().unwrap_or_default(),
                actions: actions.next().unwrap_or_default(),
                log_probs: log_probs.next().unwrap_or_default(),
                values: values.next().unwrap_or_default(),
                last_values: last_values.next().unwrap_or_default(),
                next_values,
                rewards: rewards.next().unwrap_or_default(),
                terminated: terminated.next().unwrap_or_default(),
                truncated: truncated.next().unwrap_or_default(),
                returns: returns.next().unwrap_or_default(),
                lengths: lengths.next().unwrap_or_default(),
                tally: Tally::default(),
            }));
        }
        pieces
    }
}

/// The running episodes of the rows, (M,) each.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Rewards so far.
    pub returns: Vec<f64>,
    /// Steps so far.
    pub lengths: Vec<u32>,
}

impl Running {
    /// Of episodes that begin.
    pub fn new(rows: usize) -> Self {
        Self { returns: vec![0.0; rows], lengths: vec![0; rows] }
    }
}

/// Sums over what happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Episodes that ended, or were cut.
    pub episodes: u64,
    /// Their returns.
    pub returns: f64,
    /// Their lengths.
    pub lengths: u64,
    /// Profits of the rows in all steps, $.
    pub profits: f64,
    /// Clearing prices in all steps and environments, $/MWh.
    pub prices: f64,
}

impl Tally {
    /// Takes in those of other rows.
    pub fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.returns += other.returns;
        self.lengths += other.lengths;
        self.profits += other.profits;
        self.prices += other.prices;
    }
}

/// A shard's part of a record.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Steps, T.
    pub steps: usize,
    /// As in [`Record`], of its rows.
    pub observations: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub actions: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub log_probs: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub values: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub last_values: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub next_values: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub rewards: &'a mut [f32],
    /// As in [`Record`], of its rows.
    pub terminated: &'a mut [bool],
    /// As in [`Record`], of its rows.
    pub truncated: &'a mut [bool],
    /// As in [`Running`], of its rows.
    pub returns: &'a mut [f64],
    /// As in [`Running`], of its rows.
    pub lengths: &'a mut [u32],
    /// Sums over its rows.
    pub tally: Tally,
}

impl Piece<'_> {
    /// Keeps what a step came to.
    #[inline(always)]
    pub fn keep(&mut self, t: usize, acting: usize, game: &Game<'_>, out: &Outputs<'_>) {
        let agents = game.scenario.agents();
        let flags = out.terminated.iter().zip(&*out.truncated);
        for (env, ((terminated, truncated), price)) in flags.zip(&*out.prices).enumerate() {
            self.tally.prices += price;
            for (slot, agent) in game.seats.acting().iter().enumerate() {
                let row = env * acting + slot;
                let at = row * self.steps + t;
                let reward = out.rewards[row];
                self.rewards[at] = reward;
                self.terminated[at] = *terminated;
                self.truncated[at] = *truncated;
                self.tally.profits += out.profits[env * agents + agent];
                self.returns[row] += f64::from(reward);
                self.lengths[row] += 1;
                if *terminated || *truncated {
                    self.tally.episodes += 1;
                    self.tally.returns += self.returns[row];
                    self.tally.lengths += u64::from(self.lengths[row]);
                    (self.returns[row], self.lengths[row]) = (0.0, 0);
                }
            }
        }
    }

    /// An episode was cut in a step.
    #[inline(always)]
    pub fn any_cut(&self, t: usize, rows: usize) -> bool {
        (0..rows).any(|row| self.truncated[row * self.steps + t])
    }
}
