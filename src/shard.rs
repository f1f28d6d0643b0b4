//! The state of a fixed number of environments, with its scratch.
//!
//! Environments stand in blocks of [`LANES`]: the numbers of one agent in the eight environments of a block are
//! neighbours, so that a stage handles eight markets by one vector instruction, and all that a block's step needs lies
//! together, so that memory is read in its own order. The last block of a batch may have lanes to spare; they are computed
//! with the others and never seen.

use crate::market::lanes::Offers;
use crate::numbers::Numbers;
use crate::rng::Streams;
use crate::scenario::Scenario;
use crate::simd::{LANES, Lanes};

/// Environments in one shard. Results do not depend on it.
pub const SHARD: usize = 64;

/// What outlives a step of eight environments, beside what [`Cells`] holds for each agent.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub struct Head {
    /// Seed of each environment.
    pub seed: [u64; LANES],
    /// Episode being played, from 0.
    pub episode: [u64; LANES],
    /// Steps taken in the episode.
    pub t: [u32; LANES],
    /// Hour of the series at which the episode started.
    pub start: [u32; LANES],
    /// Demand that the next step clears, MW.
    pub demand: Lanes,
    /// Last clearing price, $/MWh, 0 after a reset.
    pub price: Lanes,
    /// Last unserved energy, MWh, 0 after a reset.
    pub unserved: Lanes,
    /// The environment has been reset at least once.
    pub started: [bool; LANES],
    /// The episode has ended.
    pub finished: [bool; LANES],
}

impl Head {
    /// The hours of the series that the next step clears; past the end of the series, its last hour.
    #[inline(always)]
    pub fn series_hours(&self, scenario: &Scenario) -> [u32; LANES] {
        let last = scenario.demand.len() as u32 - 1;
        let mut hours = [0; LANES];
        for l in 0..LANES {
            hours[l] = self.start[l].saturating_add(self.t[l]).min(last);
        }
        hours
    }
}

/// What is known of each agent in the environments of a block: its last offer and what it ran, 0 after a reset. It outlives
/// a step only in shards that keep it: writing it costs as much memory traffic as half of what a caller gets to see.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub enum Cells {
    /// Offered price, $/MWh.
    OfferPrice,
    /// Offered quantity, MW.
    OfferQuantity,
    /// Dispatch, MW.
    Dispatch,
}

impl Cells {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// One block, to be stepped. A agents.
#[derive(Debug)]
pub struct Block<'a> {
    /// What is known of its markets.
    pub head: &'a mut Head,
    /// Last offered prices, $/MWh, (A,).
    pub offer_price: &'a mut [Lanes],
    /// Last offered quantities, MW, (A,).
    pub offer_quantity: &'a mut [Lanes],
    /// Last dispatch, MW, (A,).
    pub dispatch: &'a mut [Lanes],
}

impl Block<'_> {
    /// The offers.
    #[inline(always)]
    pub fn offers(&self) -> Offers<'_> {
        Offers { prices: self.offer_price, quantities: self.offer_quantity }
    }
}

/// Temporary working memory of a step; holds nothing between steps.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Working memory of the stages.
    pub working: Working,
    /// Environments that this step resets instead of stepping, (S / 8 blocks,).
    pub resetting: Vec<[bool; LANES]>,
    /// The numbers that are being drawn, (slots,).
    pub numbers: Vec<f64>,
    /// Cells of the block at hand in a shard that does not keep them, (kinds of cells, A).
    pub cells: Vec<Lanes>,
    /// What all acting agents of a market see alike, (8, F); see [`crate::rows`].
    pub market_rows: Vec<f32>,
}

/// Working memory of the stages that step a block. A agents, of which L act.
#[derive(Debug, Clone, Default)]
pub struct Working {
    /// For the clearing.
    pub clearing: crate::market::Scratch,
    /// One market out of its lanes.
    pub market: OneMarket,
    /// Profits, $, (A,).
    pub profits: Vec<Lanes>,
    /// Rewards, (L,).
    pub rewards: Vec<[f32; LANES]>,
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
    pub fn gather(&mut self, offers: Offers<'_>, lane: usize) {
        self.prices.clear();
        self.prices.extend(offers.prices.iter().map(|lanes| lanes[lane]));
        self.quantities.clear();
        self.quantities.extend(offers.quantities.iter().map(|lanes| lanes[lane]));
        self.dispatch.resize(offers.prices.len(), 0.0);
    }
}

/// Some environments.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Place of the first row among all environments.
    pub first: usize,
    rows: usize,
    agents: usize,
    /// What outlives a step, (S / 8 blocks,).
    pub heads: Vec<Head>,
    /// See [`Cells`], (S / 8 blocks, kinds of cells, A); empty where they are not kept.
    cells: Vec<Lanes>,
    /// The numbers of the episodes.
    pub numbers: Numbers,
    /// Temporary working memory.
    pub scratch: Scratch,
}

impl Shard {
    /// `rows` environments with seeds `first_seed`, `first_seed + 1`, ..., not yet reset.
    pub fn new(scenario: &Scenario, first: usize, rows: usize, first_seed: u64) -> Self {
        let (blocks, agents) = (rows.div_ceil(LANES), scenario.agents());
        let seed = |row: usize| first_seed.wrapping_add(row as u64);
        let head = |block: usize| Head { seed: std::array::from_fn(|l| seed(block * LANES + l)), ..Head::default() };
        let scratch = Scratch {
            resetting: vec![[false; LANES]; blocks],
            numbers: scenario.base_row().to_vec(),
            working: Working { profits: vec![Lanes::default(); agents], ..Working::default() },
            cells: vec![Lanes::default(); Cells::COUNT * agents],
            market_rows: vec![0.0; LANES * scenario.width],
        };
        let heads = (0..blocks).map(head).collect();
        let mut shard =
            Self { first, rows, agents, heads, cells: vec![], numbers: Numbers::new(scenario, blocks), scratch };
        if scenario.looks_back() {
            shard.keep_cells();
        }
        shard
    }

    /// Keeps from now on what is known of each agent.
    pub fn keep_cells(&mut self) {
        self.cells.resize(self.blocks() * Cells::COUNT * self.agents, Lanes::default());
    }

    /// True where what is known of each agent is kept.
    #[inline]
    pub fn keeps_cells(&self) -> bool {
        !self.cells.is_empty()
    }

    /// Environments in this shard.
    #[inline(always)]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of environments, the last of which may have lanes to spare.
    #[inline(always)]
    pub fn blocks(&self) -> usize {
        self.heads.len()
    }

    /// A block to be stepped, the numbers of its episodes, and working memory.
    #[inline(always)]
    pub fn block(&mut self, block: usize) -> (Block<'_>, &Numbers, &mut Working) {
        let size = Cells::COUNT * self.agents;
        let Scratch { cells: passing, working, .. } = &mut self.scratch;
        let cells = if self.cells.is_empty() { passing } else { &mut self.cells[block * size..][..size] };
        let (offer_price, rest) = cells.split_at_mut(self.agents);
        let (offer_quantity, dispatch) = rest.split_at_mut(self.agents);
        let head = &mut self.heads[block];
        (Block { head, offer_price, offer_quantity, dispatch }, &self.numbers, working)
    }

    /// The head of one environment and its lane in it.
    #[inline(always)]
    pub fn head(&self, row: usize) -> (&Head, usize) {
        (&self.heads[row / LANES], row % LANES)
    }

    /// What is known of one agent in one environment, in a shard that keeps it.
    #[inline]
    pub fn cell(&self, kind: Cells, row: usize, agent: usize) -> f64 {
        self.cells[self.place(kind, row, agent)][row % LANES]
    }

    /// Puts back what is known of one agent in one environment.
    pub fn set_cell(&mut self, kind: Cells, row: usize, agent: usize, x: f64) {
        let place = self.place(kind, row, agent);
        self.cells[place][row % LANES] = x;
    }

    #[inline(always)]
    fn place(&self, kind: Cells, row: usize, agent: usize) -> usize {
        (row / LANES * Cells::COUNT + kind as usize) * self.agents + agent
    }

    /// The random streams of one environment in its episode.
    #[inline]
    pub fn streams(&self, row: usize) -> Streams {
        let (head, lane) = self.head(row);
        Streams::new(head.seed[lane], head.episode[lane])
    }

    /// The hour of the series that the next step clears; past the end of the series, its last hour.
    #[inline]
    pub fn series_hour(&self, scenario: &Scenario, row: usize) -> u32 {
        let (head, lane) = self.head(row);
        head.series_hours(scenario)[lane]
    }

    /// In the environments of a block that `scratch.resetting` marks there was no last step.
    #[inline(always)]
    pub fn forget_last_step(&mut self, block: usize) {
        let reset = self.scratch.resetting[block];
        let size = if self.keeps_cells() { Cells::COUNT * self.agents } else { 0 };
        let head = &mut self.heads[block];
        let of_agents = self.cells[block * size..][..size].iter_mut();
        for lanes in [&mut head.price, &mut head.unserved].into_iter().chain(of_agents) {
            for l in 0..LANES {
                lanes[l] = if reset[l] { 0.0 } else { lanes[l] };
            }
        }
    }

    /// Draws the numbers of one environment's episode; they follow from its seed and episode.
    pub fn draw_numbers(&mut self, scenario: &Scenario, row: usize) {
        let streams = self.streams(row);
        self.numbers.draw(scenario, streams, row, &mut self.scratch.numbers);
    }
}
