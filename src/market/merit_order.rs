//! Who runs: the merit order, the marginal unit, ties and shortage.

use std::ops::{Add, Range};

use crate::market::pricing;
use crate::scenario::Rules;
use crate::spec::TieBreak;

/// Supply has reached demand when it is short of it by no more than this share of `max(1, |demand|)`.
///
/// Prices jump at a unit's end, so every kernel has to use the same rule.
pub const REACHED: f64 = 1e-9;

/// What a market came to, beside the dispatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Clearing price, $/MWh.
    pub price: f64,
    /// Demand that nobody serves, MW.
    pub unserved: f64,
    /// Negative demand that nobody takes, MW.
    pub curtailed: f64,
    /// Place of the marginal unit, if any.
    pub marginal: Option<usize>,
}

/// Working memory of the clearing.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Room for one sort key per offer, in the order of places and in merit order.
    keys: [Vec<u64>; 2],
    /// One random word per offer; read under `TieBreak::Random` only.
    pub ties: Vec<u32>,
}

/// Clears one market and writes the dispatch, MW, (G,).
///
/// Offers are finite, quantities are not negative, and prices lie within `bounds` (floor, cap; infinite for none).
pub fn clear(
    rules: Rules,
    bounds: (f64, f64),
    prices: &[f64],
    quantities: &[f64],
    demand: f64,
    scratch: &mut Scratch,
    dispatch: &mut [f64],
) -> Outcome {
    dispatch.fill(0.0);
    if demand <= 0.0 {
        let price = pricing::without_demand(bounds);
        return Outcome { price, unserved: 0.0, curtailed: (-demand).max(0.0) + 0.0, marginal: None };
    }
    let order = sort(rules.tie_break, prices, quantities, scratch);

    let tolerance = REACHED * demand.abs().max(1.0);
    let enough = demand - tolerance;
    let (mut before, mut supply) = (0.0, 0.0);
    let mut marginal = None;
    for (rank, unit) in order.units().enumerate() {
        before = supply;
        supply += quantities[unit];
        dispatch[unit] = quantities[unit];
        if supply >= enough {
            marginal = Some((rank, unit));
            break;
        }
    }
    let Some((rank, unit)) = marginal else {
        let dearest = order.units().next_back();
        let price = pricing::in_shortage(rules, bounds, dearest.map(|unit| prices[unit]));
        return Outcome { price, unserved: demand - supply, curtailed: 0.0, marginal: dearest };
    };

    let next = (supply <= demand + tolerance).then(|| order.unit(rank + 1)).flatten();
    let price = pricing::at_the_margin(rules, prices[unit], next.map(|next| prices[next]));
    dispatch[unit] = (demand - before).min(quantities[unit]);
    if rules.tie_break == TieBreak::ProRata {
        share(demand, rank, &order, prices, quantities, dispatch);
    }
    Outcome { price, unserved: 0.0, curtailed: 0.0, marginal: Some(unit) }
}

/// Shares what is left at the marginal price among all who offer at it, if there are others than the marginal unit.
fn share(demand: f64, marginal: usize, order: &Order<'_>, prices: &[f64], quantities: &[f64], dispatch: &mut [f64]) {
    let at = order.unit(marginal).map(|unit| prices[unit]);
    let ties = |rank: usize| order.unit(rank).map(|unit| prices[unit]) == at;
    let (mut first, mut end) = (marginal, marginal + 1);
    while first > 0 && ties(first - 1) {
        first -= 1;
    }
    while ties(end) {
        end += 1;
    }
    if end - first == 1 {
        return;
    }
    let supply = |ranks: Range<usize>| order.among(ranks).map(|unit| quantities[unit]).fold(0.0, Add::add);
    // Supply that reaches demand only within the tolerance must not run above what was offered.
    let share = ((demand - supply(0..first)) / supply(first..end)).min(1.0);
    for unit in order.among(first..end) {
        dispatch[unit] = share * quantities[unit];
    }
}

/// The offers with positive quantity in merit order.
struct Order<'a> {
    keys: &'a [u64],
    /// The bits of a key that are a place.
    places: u64,
}

impl Order<'_> {
    #[inline]
    fn unit(&self, rank: usize) -> Option<usize> {
        self.keys.get(rank).map(|key| (key & self.places) as usize)
    }

    #[inline]
    fn units(&self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
        self.among(0..self.keys.len())
    }

    #[inline]
    fn among(&self, ranks: Range<usize>) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
        self.keys[ranks].iter().map(|key| (key & self.places) as usize)
    }
}

/// Up to so many offers, counting who precedes whom is faster than a sort, whose branches no processor can foresee.
const FEW: usize = 128;

/// Puts the offers with positive quantity in merit order: by price, then by random word if asked for, then by place.
///
/// The keys that are sorted are the leading bits of the price with the place in the low bits, since one number is
/// compared without a branch; offers whose prices differ below those bits are put right afterwards.
fn sort<'a>(tie_break: TieBreak, prices: &[f64], quantities: &[f64], scratch: &'a mut Scratch) -> Order<'a> {
    let Scratch { keys, ties } = scratch;
    if keys[0].len() < prices.len() {
        for keys in &mut *keys {
            keys.resize(prices.len(), 0);
        }
    }
    let [keys, sorted] = keys;
    let bits = usize::BITS - prices.len().leading_zeros();
    let places = (1 << bits) - 1;
    let mut offered = 0;
    for (place, (&price, &quantity)) in prices.iter().zip(quantities).enumerate() {
        keys[offered] = ordered(price) & !places | place as u64;
        offered += usize::from(quantity > 0.0);
    }
    let (keys, sorted) = (&mut keys[..offered], &mut sorted[..offered]);
    let (keys, vague) = match prices.len() {
        0..=8 => count::<8>(keys, sorted, bits),
        9..=16 => count::<16>(keys, sorted, bits),
        17..=32 => count::<32>(keys, sorted, bits),
        33..=FEW => count::<FEW>(keys, sorted, bits),
        _ => {
            keys.sort_unstable();
            (keys, bits)
        }
    };
    let word = |place: usize| if tie_break == TieBreak::Random { ties[place] } else { 0 };
    settle(keys, vague, |key| {
        let place = (key & places) as usize;
        (ordered(prices[place]), word(place), place)
    });
    Order { keys, places }
}

/// Sorts up to N keys by their upper halves and their places; returns how many bits do not count.
///
/// A key's rank is the number of smaller ones: N^2 comparisons, but of half the width, in vectors, without a branch.
#[inline]
fn count<'a, const N: usize>(keys: &[u64], sorted: &'a mut [u64], bits: u32) -> (&'a mut [u64], u32) {
    const LANES: usize = 8;
    let places = (1 << bits) - 1;
    let mut halves = [i32::MAX; N];
    for (half, &key) in halves.iter_mut().zip(keys) {
        // The sign bit is turned over: vectors compare signed numbers.
        *half = ((key >> 32) as i32 & !places | key as i32 & places) ^ i32::MIN;
    }
    // A loop of known length pays where it is short; what is beyond the offers is smaller than none.
    let others = if N <= 2 * LANES { &halves[..] } else { &halves[..keys.len()] };
    for (block, ranked) in halves.as_chunks::<LANES>().0.iter().zip(keys.chunks(LANES)) {
        let mut ranks = [0; LANES];
        for &other in others {
            for (rank, &half) in ranks.iter_mut().zip(block) {
                *rank += i32::from(other < half);
            }
        }
        for (&rank, &key) in ranks.iter().zip(ranked) {
            sorted[rank as usize] = key;
        }
    }
    (sorted, 32 + bits)
}

/// Orders the keys exactly whose bits from `sorted` upwards are the same.
fn settle<T: Ord>(keys: &mut [u64], sorted: u32, exact: impl Fn(u64) -> T) {
    let mut rank = 1;
    while rank < keys.len() {
        let same = |a: u64| a >> sorted == keys[rank - 1] >> sorted;
        if same(keys[rank]) {
            let run = rank - 1 + keys[rank - 1..].iter().take_while(|key| same(**key)).count();
            keys[rank - 1..run].sort_unstable_by_key(|key| exact(*key));
            rank = run;
        }
        rank += 1;
    }
}

/// Bits of a finite number such that unsigned order is numerical order; -0 and 0 are the same.
#[inline]
fn ordered(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits() as i64;
    // Negative numbers are turned over whole, the others change their sign bit only.
    (bits ^ (bits >> 63 | i64::MIN)) as u64
}
