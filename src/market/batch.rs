//! Many markets, given and answered as rows: cleared eight at a time.

use rayon::join;

use super::lanes::{self, Cleared, Offers};
use super::pricing::Prices;
use super::{Outcome, Scratch, merit_order};
use crate::publish;
use crate::rng::{Kind, Streams, tie_words};
use crate::scenario::Rules;
use crate::simd::{Float, LANES, Lanes, Mask, Simd, Vector, Work};
use crate::spec::{LARGEST, TieBreak};

/// N markets of G offers each.
#[derive(Debug, Clone, Copy)]
pub struct Markets<'a> {
    /// The rules of all of them.
    pub rules: Rules,
    /// Price floor and cap, $/MWh; infinite for none.
    pub bounds: (f64, f64),
    /// Key of the random order of equal offers.
    pub seed: u64,
    /// Offers of one market, G.
    pub offers: usize,
    /// $/MWh, (N, G).
    pub prices: &'a [f64],
    /// MW, (N, G).
    pub quantities: &'a [f64],
    /// MW, (N,).
    pub demand: &'a [f64],
}

/// What N markets came to.
#[derive(Debug)]
pub struct Outcomes<'a> {
    /// $/MWh, (N,).
    pub price: &'a mut [f64],
    /// MW, (N, G).
    pub dispatch: &'a mut [f64],
    /// MW, (N,).
    pub unserved: &'a mut [f64],
    /// MW, (N,).
    pub curtailed: &'a mut [f64],
    /// Place of the marginal unit, -1 for none, (N,).
    pub marginal: &'a mut [i64],
}

impl Outcomes<'_> {
    fn split_at(&mut self, row: usize, offers: usize) -> (Outcomes<'_>, Outcomes<'_>) {
        let price = self.price.split_at_mut(row);
        let dispatch = self.dispatch.split_at_mut(row * offers);
        let unserved = self.unserved.split_at_mut(row);
        let curtailed = self.curtailed.split_at_mut(row);
        let marginal = self.marginal.split_at_mut(row);
        (
            Outcomes {
                price: price.0,
                dispatch: dispatch.0,
                unserved: unserved.0,
                curtailed: curtailed.0,
                marginal: marginal.0,
            },
            Outcomes {
                price: price.1,
                dispatch: dispatch.1,
                unserved: unserved.1,
                curtailed: curtailed.1,
                marginal: marginal.1,
            },
        )
    }
}

impl Markets<'_> {
    /// Clears the markets from `first` on, as many as `outcomes` has room for. Returns false, with outcomes that mean
    /// nothing, where a number is none that a market can use.
    pub fn clear(&self, simd: Simd, first: usize, outcomes: Outcomes<'_>) -> bool {
        simd.run(Rows { markets: self, first, outcomes })
    }

    /// As [`clear`](Self::clear), in pieces of about `piece` rows that rayon's threads share.
    pub fn spread(&self, simd: Simd, first: usize, mut outcomes: Outcomes<'_>, piece: usize) -> bool {
        let rows = outcomes.price.len();
        let half = (rows / 2).next_multiple_of(LANES);
        if rows <= piece || half >= rows {
            return self.clear(simd, first, outcomes);
        }
        let (low, high) = outcomes.split_at(half, self.offers);
        let sound = join(|| self.spread(simd, first, low, piece), || self.spread(simd, first + half, high, piece));
        sound.0 & sound.1
    }

    /// Clears one market by its merit order.
    pub fn clear_row(&self, row: usize, scratch: &mut Scratch, dispatch: &mut [f64]) -> Outcome {
        if self.rules.tie_break == TieBreak::Random {
            // Row i is keyed by (seed, i): the row stands where an environment has its step and episode.
            let streams = Streams::new(self.seed, row as u64 >> 32);
            tie_words(&mut scratch.ties, self.offers, |block| streams.words(row as u32, Kind::Ties, block));
        }
        let cells = row * self.offers..(row + 1) * self.offers;
        let (prices, quantities) = (&self.prices[cells.clone()], &self.quantities[cells]);
        merit_order::clear(self.rules, self.bounds, prices, quantities, self.demand[row], scratch, dispatch)
    }
}

/// Some of the rows, at any level of instructions.
struct Rows<'a> {
    markets: &'a Markets<'a>,
    first: usize,
    outcomes: Outcomes<'a>,
}

impl Work for Rows<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) -> bool {
        let Self { markets, first, mut outcomes } = self;
        let mut block = Block::new(markets.offers);
        let mut scratch = Scratch::default();
        let rows = outcomes.price.len();
        let mut row = 0;
        while row < rows {
            let end = rows.min(row + LANES);
            if !block.take(simd, markets, first + row, end - row) {
                return false;
            }
            let cleared = block.clear(simd, markets);
            block.publish(simd, &cleared, &mut outcomes, row, end);
            let mut ordered = needs_an_order(simd, markets.rules.tie_break, &cleared);
            while ordered != 0 {
                let here = row + ordered.trailing_zeros() as usize;
                one_by_one(markets, first, here, &mut outcomes, &mut scratch);
                ordered &= ordered - 1;
            }
            row = end;
        }
        true
    }
}

/// The lanes whose outcome depends on a random order, bit by bit.
#[inline(always)]
fn needs_an_order<V: Vector>(simd: V, tie_break: TieBreak, cleared: &Cleared<V>) -> u32 {
    match tie_break {
        TieBreak::ProRata | TieBreak::Index => 0,
        TieBreak::Random => {
            // In shortage the last in order is marginal.
            let (tied, short) = (simd.splat(1.0).below(cleared.ties), simd.splat(0.0).below(cleared.unserved));
            (tied | short).bits()
        }
    }
}

/// Clears a market by its merit order.
#[inline(never)]
fn one_by_one(markets: &Markets<'_>, first: usize, row: usize, outcomes: &mut Outcomes<'_>, scratch: &mut Scratch) {
    let cells = row * markets.offers..(row + 1) * markets.offers;
    let outcome = markets.clear_row(first + row, scratch, &mut outcomes.dispatch[cells]);
    outcomes.price[row] = outcome.price;
    outcomes.unserved[row] = outcome.unserved;
    outcomes.curtailed[row] = outcome.curtailed;
    outcomes.marginal[row] = outcome.marginal.map_or(-1, |unit| unit as i64);
}

/// Eight markets side by side.
struct Block {
    prices: Vec<Lanes>,
    quantities: Vec<Lanes>,
    demand: Lanes,
    dispatch: Vec<Lanes>,
    marginal: Lanes,
    /// Rows of a block that has fewer than eight.
    padded: Vec<f64>,
}

impl Block {
    fn new(offers: usize) -> Self {
        let lanes = || vec![Lanes::default(); offers];
        Self {
            prices: lanes(),
            quantities: lanes(),
            demand: Lanes::default(),
            dispatch: lanes(),
            marginal: Lanes::default(),
            padded: Vec::new(),
        }
    }

    /// Takes `rows` markets, eight at most; false where one has a number that it cannot use.
    #[inline(always)]
    fn take<V: Vector>(&mut self, simd: V, markets: &Markets<'_>, first: usize, rows: usize) -> bool {
        let width = markets.offers;
        let cells = first * width..(first + rows) * width;
        let (prices, quantities) = (&markets.prices[cells.clone()], &markets.quantities[cells]);
        let (floor, cap) = markets.bounds;
        let any = [simd.splat(-LARGEST), simd.splat(LARGEST)];
        let priced = [simd.splat(floor).larger(any[0]), simd.splat(cap).smaller(any[1])];
        let offered = [simd.splat(0.0), any[1]];
        let given = &markets.demand[first..first + rows];
        match given.first_chunk() {
            Some(eight) => self.demand = Lanes(*eight),
            None => {
                self.demand = Lanes::default();
                self.demand.0[..rows].copy_from_slice(given);
            }
        }
        let demand = simd.load(&self.demand);
        let sound = any[0].at_most(demand) & demand.at_most(any[1]);
        let sound = if rows == LANES {
            sound & turn(simd, prices, priced, &mut self.prices) & turn(simd, quantities, offered, &mut self.quantities)
        } else {
            // Lanes that are left over repeat the first market, without demand.
            pad(&mut self.padded, prices, width);
            let sound = sound & turn(simd, &self.padded, priced, &mut self.prices);
            pad(&mut self.padded, quantities, width);
            sound & turn(simd, &self.padded, offered, &mut self.quantities)
        };
        sound.bits() == (1 << LANES) - 1
    }

    #[inline(always)]
    fn clear<V: Vector>(&mut self, simd: V, markets: &Markets<'_>) -> Cleared<V> {
        let (floor, cap) = (simd.splat(markets.bounds.0), simd.splat(markets.bounds.1));
        let prices = Prices { simd, rules: markets.rules, floor, cap };
        let offers = Offers { prices: &self.prices, quantities: &self.quantities };
        let demand = simd.load(&self.demand);
        let cleared = lanes::clear(simd, &prices, offers, demand, &mut self.dispatch);
        match markets.rules.tie_break {
            TieBreak::Index => lanes::queue(simd, offers, &cleared, demand, &mut self.dispatch),
            TieBreak::ProRata | TieBreak::Random => {}
        }
        simd.store(lanes::marginal(simd, offers, &cleared), &mut self.marginal);
        cleared
    }

    /// Writes the outcomes from `row` to `end`.
    #[inline(always)]
    fn publish<V: Vector>(&self, simd: V, cleared: &Cleared<V>, outcomes: &mut Outcomes<'_>, row: usize, end: usize) {
        let width = self.dispatch.len();
        let zero = simd.splat(0.0);
        let curtailed = (zero - simd.load(&self.demand)).larger(zero);
        publish::market(&simd.array(cleared.price), &mut outcomes.price[row..end]);
        publish::market(&simd.array(cleared.unserved), &mut outcomes.unserved[row..end]);
        publish::market(&simd.array(curtailed), &mut outcomes.curtailed[row..end]);
        for (place, marginal) in outcomes.marginal[row..end].iter_mut().zip(&self.marginal.0) {
            *place = *marginal as i64;
        }
        publish::agents(simd, self.dispatch.as_slice(), &mut outcomes.dispatch[row * width..end * width]);
    }
}

/// Makes eight rows of fewer.
#[inline(never)]
fn pad(padded: &mut Vec<f64>, rows: &[f64], width: usize) {
    padded.clear();
    padded.extend_from_slice(rows);
    while padded.len() < LANES * width {
        padded.extend_from_slice(&rows[..width]);
    }
}

/// Columns that are turned together.
const ABREAST: usize = 4;

/// The least and the greatest number of a kind that a market can use.
type Range<F> = [F; 2];

/// Turns eight rows into lanes; false in lanes with a number outside the range.
#[inline(always)]
fn turn<V: Vector>(simd: V, rows: &[f64], range: Range<V::Float>, lanes: &mut [Lanes]) -> <V::Float as Float>::Mask {
    let width = lanes.len();
    let mut each: [&[f64]; LANES] = [&[]; LANES];
    // One after the other: chunks would be put here by a scatter, which costs more than a small market.
    let mut rest = rows;
    for row in &mut each {
        (*row, rest) = rest.split_at(width);
    }
    let mut sound = range[0].at_most(range[0]);
    let Some(last) = width.checked_sub(ABREAST) else {
        for (column, lanes) in lanes.iter_mut().enumerate() {
            let mut here = Lanes::default();
            for (lane, row) in each.iter().enumerate() {
                here[lane] = row[column];
            }
            sound = sound & keep(simd, simd.load(&here), range, lanes);
        }
        return sound;
    };
    let mut start = 0;
    loop {
        let mut four = [[0.0; ABREAST]; LANES];
        for (four, row) in four.iter_mut().zip(&each) {
            four.copy_from_slice(&row[start..start + ABREAST]);
        }
        let columns = simd.columns(four);
        for (k, lanes) in lanes[start..start + ABREAST].iter_mut().enumerate() {
            sound = sound & keep(simd, columns[k], range, lanes);
        }
        if start == last {
            return sound;
        }
        // The last columns are turned again rather than one by one.
        start = (start + ABREAST).min(last);
    }
}

/// Puts numbers into memory; false for those outside the range.
#[inline(always)]
fn keep<V: Vector>(
    simd: V,
    x: V::Float,
    [least, most]: Range<V::Float>,
    lanes: &mut Lanes,
) -> <V::Float as Float>::Mask {
    // A quantity of -0 becomes 0, lest it be dispatched.
    simd.store(x.larger(least), lanes);
    least.at_most(x) & x.at_most(most)
}
