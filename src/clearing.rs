//! The clearing of every market of a shard.

use crate::market::{clear, lanes};
use crate::rng::{Kind, tie_words};
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::simd::LANES;
use crate::spec::TieBreak;

/// Clears the offers of every environment of a shard: writes dispatch, price and unserved energy into its state.
#[inline(always)]
pub fn clear_shard<S: pulp::Simd>(simd: S, scenario: &Scenario, shard: &mut Shard) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    if scenario.rules.tie_break != TieBreak::ProRata {
        return one_by_one(scenario, shard);
    }
    for block in 0..shard.blocks() {
        let floor = shard.numbers.block(block, slots.price_floor());
        let cap = shard.numbers.block(block, slots.price_cap());
        let state = &mut shard.state;
        let cells = block * agents..(block + 1) * agents;
        let (price, unserved) = lanes::clear(
            simd,
            scenario.rules,
            (&floor, &cap),
            &state.offer_price[cells.clone()],
            &state.offer_quantity[cells.clone()],
            &state.demand[block],
            &mut state.dispatch[cells],
        );
        state.price[block] = price;
        state.unserved[block] = unserved;
    }
}

/// Rules that order equal offers need the merit order itself, which is found market by market.
#[inline(never)]
fn one_by_one(scenario: &Scenario, shard: &mut Shard) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    for row in 0..shard.rows() {
        let (block, lane) = (row / LANES, row % LANES);
        let streams = shard.streams(row);
        let bounds = (shard.numbers.row(row, slots.price_floor()), shard.numbers.row(row, slots.price_cap()));
        let state = &mut shard.state;
        let scratch = &mut shard.scratch.clearing;
        if scenario.rules.tie_break == TieBreak::Random {
            let step = state.t[row];
            tie_words(&mut scratch.ties, agents, |words| streams.words(step, Kind::Ties, words));
        }
        let cells = block * agents..(block + 1) * agents;
        let mut market = std::mem::take(&mut shard.scratch.market);
        market.gather(&state.offer_price[cells.clone()], &state.offer_quantity[cells.clone()], lane);
        let demand = state.demand[block][lane];
        let outcome =
            clear(scenario.rules, bounds, &market.prices, &market.quantities, demand, scratch, &mut market.dispatch);
        for (lanes, x) in state.dispatch[cells].iter_mut().zip(&market.dispatch) {
            lanes[lane] = *x;
        }
        shard.scratch.market = market;
        state.price[block][lane] = outcome.price;
        state.unserved[block][lane] = outcome.unserved;
    }
}
