//! Who runs: the merit order, the marginal unit, ties and shortage.

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
    /// Offers with positive quantity as (sort key, place); the key orders by price.
    order: Vec<(u64, u64)>,
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
    sort(rules.tie_break, prices, quantities, scratch);
    let order = &scratch.order;
    let place = |rank: usize| (order[rank].1 & PLACE) as usize;

    let tolerance = REACHED * demand.abs().max(1.0);
    let enough = demand - tolerance;
    let mut supply = 0.0;
    let mut marginal = None;
    for rank in 0..order.len() {
        supply += quantities[place(rank)];
        if supply >= enough {
            marginal = Some(rank);
            break;
        }
    }
    let Some(rank) = marginal else {
        for rank in 0..order.len() {
            dispatch[place(rank)] = quantities[place(rank)];
        }
        let dearest = order.len().checked_sub(1).map(place);
        let price = pricing::in_shortage(rules, bounds, dearest.map(|unit| prices[unit]));
        return Outcome { price, unserved: demand - supply, curtailed: 0.0, marginal: dearest };
    };

    let unit = place(rank);
    let next = (supply <= demand + tolerance && rank + 1 < order.len()).then(|| prices[place(rank + 1)]);
    let price = pricing::at_the_margin(rules, prices[unit], next);
    dispatch_to(rules.tie_break, demand, rank, order, prices, quantities, dispatch);
    Outcome { price, unserved: 0.0, curtailed: 0.0, marginal: Some(unit) }
}

/// Units before the margin run fully; the marginal unit, or the whole group that ties with it, takes what is left.
fn dispatch_to(
    tie_break: TieBreak,
    demand: f64,
    marginal: usize,
    order: &[(u64, u64)],
    prices: &[f64],
    quantities: &[f64],
    dispatch: &mut [f64],
) {
    let place = |rank: usize| (order[rank].1 & PLACE) as usize;
    let ties = |rank: usize| prices[place(rank)] == prices[place(marginal)];
    let (mut first, mut end) = (marginal, marginal + 1);
    if tie_break == TieBreak::ProRata {
        while first > 0 && ties(first - 1) {
            first -= 1;
        }
        while end < order.len() && ties(end) {
            end += 1;
        }
    }
    let mut before = 0.0;
    for rank in 0..first {
        let unit = place(rank);
        dispatch[unit] = quantities[unit];
        before += quantities[unit];
    }
    let rest = demand - before;
    if end - first == 1 {
        dispatch[place(first)] = rest.min(quantities[place(first)]);
        return;
    }
    let group: f64 = (first..end).map(|rank| quantities[place(rank)]).sum();
    // Supply that reaches demand only within the tolerance must not run above what was offered.
    let share = (rest / group).min(1.0);
    for rank in first..end {
        dispatch[place(rank)] = share * quantities[place(rank)];
    }
}

/// Low half of the second key: the place of the offer. The high half orders equal prices.
const PLACE: u64 = 0xffff_ffff;

/// Puts the offers with positive quantity in merit order: by price, then by random word if asked for, then by place.
fn sort(tie_break: TieBreak, prices: &[f64], quantities: &[f64], scratch: &mut Scratch) {
    let Scratch { order, ties } = scratch;
    order.clear();
    for (place, (&price, &quantity)) in prices.iter().zip(quantities).enumerate() {
        if quantity > 0.0 {
            let word = if tie_break == TieBreak::Random { ties[place] } else { 0 };
            order.push((ordered(price), u64::from(word) << 32 | place as u64));
        }
    }
    order.sort_unstable();
}

/// Bits of a finite number such that unsigned order is numerical order; -0 and 0 are the same.
#[inline]
fn ordered(x: f64) -> u64 {
    let bits = (x + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}
