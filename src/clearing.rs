//! The clearing of the markets of a block.

use crate::market::lanes::{self, Offers};
use crate::market::pricing::Prices;
use crate::market::{self};
use crate::rng::{Kind, tie_words};
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::simd::{Float, LANES, Mask, Vector};
use crate::spec::TieBreak;

/// Clears the offers of the environments of a block: writes dispatch, price and unserved energy into the shard's state.
#[inline(always)]
pub fn clear<V: Vector>(simd: V, scenario: &Scenario, shard: &mut Shard, block: usize) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let Shard { state, numbers, .. } = shard;
    let prices = Prices {
        simd,
        rules: scenario.rules,
        floor: numbers.of_block(simd, block, slots.price_floor()),
        cap: numbers.of_block(simd, block, slots.price_cap()),
    };
    let cells = block * agents..(block + 1) * agents;
    let offers = Offers { prices: &state.offer_price[cells.clone()], quantities: &state.offer_quantity[cells.clone()] };
    let demand = simd.load(&state.demand[block]);
    let cleared = lanes::clear(simd, &prices, offers, demand, &mut state.dispatch[cells]);
    simd.store(cleared.price, &mut state.price[block]);
    simd.store(cleared.unserved, &mut state.unserved[block]);
    if scenario.rules.tie_break != TieBreak::ProRata {
        // Equal offers at the margin are put in order, which is found market by market; all else is the same.
        let mut tied = (simd.splat(1.0).below(cleared.ties)).bits();
        while tied != 0 {
            one_by_one(scenario, shard, block * LANES + tied.trailing_zeros() as usize);
            tied &= tied - 1;
        }
    }
}

/// Clears one market by its merit order.
#[inline(never)]
fn one_by_one(scenario: &Scenario, shard: &mut Shard, row: usize) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
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
    let market = &mut shard.scratch.market;
    market.gather(&state.offer_price[cells.clone()], &state.offer_quantity[cells.clone()], lane);
    let demand = state.demand[block][lane];
    let outcome = market::clear(
        scenario.rules,
        bounds,
        &market.prices,
        &market.quantities,
        demand,
        scratch,
        &mut market.dispatch,
    );
    for (lanes, x) in state.dispatch[cells].iter_mut().zip(&market.dispatch) {
        lanes[lane] = *x;
    }
    state.price[block][lane] = outcome.price;
    state.unserved[block][lane] = outcome.unserved;
}
