//! The state of a fixed number of environments, structure of arrays, with its scratch.
//!
//! Environments stand in blocks of [`LANES`]: the numbers of one agent in the eight environments of a block are
//! neighbours, so that a stage handles eight markets by one vector instruction. The last block of a batch may have lanes
//! to spare; they are computed with the others and never seen.

use crate::rng::Streams;
use crate::scenario::Scenario;
use crate::simd::{LANES, Lanes, Vector};

/// Environments in one shard. Results do not depend on it.
pub const SHARD: usize = 64;

/// What outlives a step. S rows rounded up to whole blocks, A agents.
#[derive(Debug, Clone)]
pub struct State {
    /// Seed of each environment, (S,).
    pub seed: Vec<u64>,
    /// Episode being played, from 0, (S,).
    pub episode: Vec<u64>,
    /// Steps taken in the episode, (S,).
    pub t: Vec<u32>,
    /// Hour of the series at which the episode started, (S,).
    pub start: Vec<u32>,
    /// Demand that the next step clears, MW, (S / 8) blocks.
    pub demand: Vec<Lanes>,
    /// Last clearing price, $/MWh, 0 after a reset, (S / 8) blocks.
    pub price: Vec<Lanes>,
    /// Last unserved energy, MWh, (S / 8) blocks.
    pub unserved: Vec<Lanes>,
    /// The environment has been reset at least once, (S,).
    pub started: Vec<bool>,
    /// The episode has ended, (S,).
    pub finished: Vec<bool>,
    /// Last offered prices, $/MWh, 0 after a reset, (S / 8 blocks, A).
    pub offer_price: Vec<Lanes>,
    /// Last offered quantities, MW, 0 after a reset, (S / 8 blocks, A).
    pub offer_quantity: Vec<Lanes>,
    /// Last dispatch, MW, 0 after a reset, (S / 8 blocks, A).
    pub dispatch: Vec<Lanes>,
}

/// Temporary working memory of a step; holds nothing between steps.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Working memory of the clearing.
    pub clearing: crate::market::Scratch,
    /// One market out of its lanes.
    pub market: OneMarket,
    /// Rows that this step resets instead of stepping, (S,).
    pub resetting: Vec<bool>,
    /// The numbers that are being drawn, (slots,).
    pub numbers: Vec<f64>,
    /// Profits of the block at hand, $, (A,).
    pub profits: Vec<Lanes>,
    /// Rewards of the block at hand, (L,).
    pub rewards: Vec<[f32; LANES]>,
    /// What all acting agents of an environment see alike, 8 rows; see [`crate::rows`].
    pub market_rows: Vec<[f32; 8]>,
}

/// The offers and the dispatch of one market, (A,) each.
#[derive(Debug, Clone, Default)]
pub struct OneMarket {
    /// Offered prices, $/MWh.
    pub prices: Vec<f64>,
    /// Offered quantities, MW.
    pub quantities: Vec<f64>,
    /// Dispatch, MW.
    pub dispatch: Vec<f64>,
}

impl OneMarket {
    /// Takes the offers of one lane of a block.
    pub fn gather(&mut self, prices: &[Lanes], quantities: &[Lanes], lane: usize) {
        self.prices.clear();
        self.prices.extend(prices.iter().map(|lanes| lanes[lane]));
        self.quantities.clear();
        self.quantities.extend(quantities.iter().map(|lanes| lanes[lane]));
        self.dispatch.resize(prices.len(), 0.0);
    }
}

/// The numbers of the episodes, by slot: one for all environments, or each its own where the scenario draws them.
#[derive(Debug, Clone)]
pub enum Numbers {
    /// The same in every environment, (slots,).
    Shared(Vec<f64>),
    /// Drawn per environment and episode, (S / 8 blocks, slots).
    Drawn {
        /// The numbers.
        lanes: Vec<Lanes>,
        /// Slots of one environment.
        slots: usize,
    },
}

impl Numbers {
    fn new(scenario: &Scenario, blocks: usize) -> Self {
        let base = scenario.base_row();
        if scenario.is_randomised() {
            let block: Vec<Lanes> = base.iter().map(|&x| Lanes::splat(x)).collect();
            Self::Drawn { lanes: block.repeat(blocks), slots: base.len() }
        } else {
            Self::Shared(base.to_vec())
        }
    }

    /// A number in the environments of a block.
    #[inline(always)]
    pub fn of_block<V: Vector>(&self, simd: V, block: usize, slot: usize) -> V::Float {
        match self {
            Self::Shared(numbers) => simd.splat(numbers[slot]),
            Self::Drawn { lanes, slots } => simd.load(&lanes[block * slots + slot]),
        }
    }

    /// A number in one environment.
    #[inline]
    pub fn row(&self, row: usize, slot: usize) -> f64 {
        match self {
            Self::Shared(numbers) => numbers[slot],
            Self::Drawn { lanes, slots } => lanes[row / LANES * slots + slot][row % LANES],
        }
    }
}

/// Some environments.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Place of the first row among all environments.
    pub first: usize,
    rows: usize,
    /// What outlives a step.
    pub state: State,
    /// The numbers of the episodes.
    pub numbers: Numbers,
    /// Temporary working memory.
    pub scratch: Scratch,
}

impl Shard {
    /// `rows` environments with seeds `first_seed`, `first_seed + 1`, ..., not yet reset.
    pub fn new(scenario: &Scenario, first: usize, rows: usize, first_seed: u64) -> Self {
        let blocks = rows.div_ceil(LANES);
        let (padded, cells) = (blocks * LANES, blocks * scenario.agents());
        let state = State {
            seed: (0..padded as u64).map(|i| first_seed.wrapping_add(i)).collect(),
            episode: vec![0; padded],
            t: vec![0; padded],
            start: vec![0; padded],
            demand: vec![Lanes::default(); blocks],
            price: vec![Lanes::default(); blocks],
            unserved: vec![Lanes::default(); blocks],
            started: vec![false; padded],
            finished: vec![false; padded],
            offer_price: vec![Lanes::default(); cells],
            offer_quantity: vec![Lanes::default(); cells],
            dispatch: vec![Lanes::default(); cells],
        };
        let scratch = Scratch {
            resetting: vec![false; padded],
            numbers: scenario.base_row().to_vec(),
            profits: vec![Lanes::default(); scenario.agents()],
            ..Scratch::default()
        };
        Self { first, rows, state, numbers: Numbers::new(scenario, blocks), scratch }
    }

    /// Environments in this shard.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of environments, the last of which may have lanes to spare.
    #[inline(always)]
    pub fn blocks(&self) -> usize {
        self.state.demand.len()
    }

    /// The random streams of one environment in its episode.
    #[inline]
    pub fn streams(&self, row: usize) -> Streams {
        Streams::new(self.state.seed[row], self.state.episode[row])
    }

    /// The hour of the series that the next step clears; past the end of the series, its last hour.
    #[inline(always)]
    pub fn series_hour(&self, scenario: &Scenario, row: usize) -> u32 {
        self.state.start[row].saturating_add(self.state.t[row]).min(scenario.demand.len() as u32 - 1)
    }

    /// In the environments that `scratch.resetting` marks there was no last step.
    #[inline(always)]
    pub fn forget_last_step(&mut self, scenario: &Scenario) {
        let agents = scenario.agents();
        let Self { state, scratch, .. } = self;
        for (block, reset) in scratch.resetting.chunks_exact(LANES).enumerate() {
            let cells = block * agents..(block + 1) * agents;
            let of_agents = state.offer_price[cells.clone()].iter_mut();
            let of_agents = of_agents.chain(&mut state.offer_quantity[cells.clone()]).chain(&mut state.dispatch[cells]);
            for lanes in [&mut state.price[block], &mut state.unserved[block]].into_iter().chain(of_agents) {
                for (x, reset) in lanes.0.iter_mut().zip(reset) {
                    *x = if *reset { 0.0 } else { *x };
                }
            }
        }
    }

    /// Draws the numbers of one environment's episode; they follow from its seed and episode.
    pub fn draw_numbers(&mut self, scenario: &Scenario, row: usize) {
        let streams = self.streams(row);
        if let Numbers::Drawn { lanes, slots } = &mut self.numbers {
            let drawn = &mut self.scratch.numbers;
            scenario.draw(streams, drawn);
            for (lanes, x) in lanes[row / LANES * *slots..].iter_mut().zip(drawn) {
                lanes[row % LANES] = *x;
            }
        }
    }
}

/// One environment's numbers out of lanes: `cells` is (blocks, A), the result one number per agent.
#[inline]
pub fn of_row(cells: &[Lanes], agents: usize, row: usize) -> impl Iterator<Item = f64> + '_ {
    cells[row / LANES * agents..][..agents].iter().map(move |lanes| lanes[row % LANES])
}
