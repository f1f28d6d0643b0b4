//! The state of a fixed block of environments, structure of arrays, with its scratch.

use serde::{Deserialize, Serialize};

use crate::rng::Streams;
use crate::scenario::{Parameters, Scenario};

/// Environments in one shard. Results do not depend on it.
pub const SHARD: usize = 64;

/// What a snapshot keeps. S rows, A agents.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {
    /// Seed of each environment, (S,).
    pub seed: Vec<u64>,
    /// Episode being played, from 0, (S,).
    pub episode: Vec<u64>,
    /// Steps taken in the episode, (S,).
    pub t: Vec<u32>,
    /// Hour of the series at which the episode started, (S,).
    pub start: Vec<u32>,
    /// Demand that the next step clears, MW, (S,).
    pub demand: Vec<f64>,
    /// Last clearing price, $/MWh, 0 after a reset, (S,).
    pub price: Vec<f64>,
    /// Last unserved energy, MWh, (S,).
    pub unserved: Vec<f64>,
    /// The environment has been reset at least once, (S,).
    pub started: Vec<bool>,
    /// The episode has ended, (S,).
    pub finished: Vec<bool>,
    /// Last offered prices, $/MWh, 0 after a reset, (S, A).
    pub offer_price: Vec<f64>,
    /// Last offered quantities, MW, 0 after a reset, (S, A).
    pub offer_quantity: Vec<f64>,
    /// Last dispatch, MW, 0 after a reset, (S, A).
    pub dispatch: Vec<f64>,
}

/// Temporary working memory of a step; holds nothing between steps.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Working memory of the clearing.
    pub clearing: crate::market::Scratch,
    /// Rows that this step resets instead of stepping, (S,).
    pub resetting: Vec<bool>,
    /// Offered price less SRMC as a share of its largest distance, in [-1, 1], (S, L).
    pub price_moves: Vec<f64>,
}

/// Parameter rows: one per environment when the scenario draws numbers, else one for all.
#[derive(Debug, Clone)]
pub struct Numbers {
    rows: Vec<f64>,
    stride: usize,
}

impl Numbers {
    fn new(scenario: &Scenario, rows: usize) -> Self {
        let base = scenario.base_row();
        if scenario.is_randomised() {
            Self { rows: base.repeat(rows), stride: base.len() }
        } else {
            Self { rows: base.to_vec(), stride: 0 }
        }
    }

    /// The numbers of one environment in its episode.
    #[inline]
    pub fn of<'a>(&'a self, scenario: &Scenario, row: usize) -> Parameters<'a> {
        let width = scenario.base_row().len();
        scenario.parameters(&self.rows[row * self.stride..][..width])
    }

    fn draw(&mut self, scenario: &Scenario, row: usize, streams: Streams) {
        if self.stride > 0 {
            scenario.draw(streams, &mut self.rows[row * self.stride..][..self.stride]);
        }
    }
}

/// A block of environments.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Place of the first row among all environments.
    pub first: usize,
    /// What a snapshot keeps.
    pub state: State,
    /// The numbers of the episodes.
    pub numbers: Numbers,
    /// Temporary working memory.
    pub scratch: Scratch,
}

impl Shard {
    /// `rows` environments with seeds `first_seed`, `first_seed + 1`, ..., not yet reset.
    pub fn new(scenario: &Scenario, first: usize, rows: usize, first_seed: u64) -> Self {
        let cells = rows * scenario.agents();
        let state = State {
            seed: (0..rows as u64).map(|i| first_seed.wrapping_add(i)).collect(),
            episode: vec![0; rows],
            t: vec![0; rows],
            start: vec![0; rows],
            demand: vec![0.0; rows],
            price: vec![0.0; rows],
            unserved: vec![0.0; rows],
            started: vec![false; rows],
            finished: vec![false; rows],
            offer_price: vec![0.0; cells],
            offer_quantity: vec![0.0; cells],
            dispatch: vec![0.0; cells],
        };
        Self {
            first,
            state,
            numbers: Numbers::new(scenario, rows),
            scratch: Scratch {
                resetting: vec![false; rows],
                price_moves: Vec::with_capacity(cells),
                ..Scratch::default()
            },
        }
    }

    /// Environments in this shard.
    #[inline]
    pub fn rows(&self) -> usize {
        self.state.t.len()
    }

    /// The numbers of one environment in its episode.
    #[inline]
    pub fn parameters<'a>(&'a self, scenario: &Scenario, row: usize) -> Parameters<'a> {
        self.numbers.of(scenario, row)
    }

    /// The random streams of one environment in its episode.
    #[inline]
    pub fn streams(&self, row: usize) -> Streams {
        Streams::new(self.state.seed[row], self.state.episode[row])
    }

    /// The hour of the series that the next step clears; past the end of the series, its last hour.
    #[inline]
    pub fn series_hour(&self, scenario: &Scenario, row: usize) -> u32 {
        (self.state.start[row] + self.state.t[row]).min(scenario.demand.len() as u32 - 1)
    }

    /// Draws the numbers of one environment's episode; they follow from its seed and episode.
    pub fn draw_parameters(&mut self, scenario: &Scenario, row: usize) {
        let streams = self.streams(row);
        self.numbers.draw(scenario, row, streams);
    }

    /// Takes a state that was checked to fit this scenario.
    pub fn restore(&mut self, scenario: &Scenario, state: State) {
        self.state = state;
        for row in 0..self.rows() {
            if self.state.started[row] {
                self.draw_parameters(scenario, row);
            }
        }
    }
}
