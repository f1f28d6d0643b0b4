//! The clearing of the markets of a block.

use crate::market;
use crate::market::lanes;
use crate::market::pricing::Prices;
use crate::numbers::Number;
use crate::rng::{Kind, Streams, tie_words};
use crate::scenario::Scenario;
use crate::shard::{Block, Working};
use crate::simd::{Float, Mask, Vector};
use crate::spec::TieBreak;

/// Clears the offers of the environments of a block: writes dispatch, price and unserved energy into its state.
#[inline(always)]
pub fn clear<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    numbers: &[N],
    block: &mut Block<'_>,
    scratch: &mut Working,
) {
    let slots = scenario.slots();
    let floor = numbers[slots.price_floor()].get(simd);
    let cap = numbers[slots.price_cap()].get(simd);
    let prices = Prices { simd, rules: scenario.rules, floor, cap };
    let demand = simd.load(&block.head.demand);
    let offers = lanes::Offers { prices: block.offer_price, quantities: block.offer_quantity };
    let cleared = lanes::clear(simd, &prices, offers, demand, block.dispatch);
    simd.store(cleared.price, &mut block.head.price);
    simd.store(cleared.unserved, &mut block.head.unserved);
    match scenario.rules.tie_break {
        TieBreak::ProRata => {}
        TieBreak::Index => lanes::queue(simd, offers, &cleared, demand, block.dispatch),
        TieBreak::Random => {
            // Equal offers at the margin are put in order, which is found market by market; all else is the same.
            let bounds = (simd.array(floor), simd.array(cap));
            let mut tied = simd.splat(1.0).below(cleared.ties).bits();
            while tied != 0 {
                let lane = tied.trailing_zeros() as usize;
                in_random_order(scenario, (bounds.0[lane], bounds.1[lane]), block, lane, scratch);
                tied &= tied - 1;
            }
        }
    }
}

/// Clears one market by its merit order.
#[inline(never)]
fn in_random_order(scenario: &Scenario, bounds: (f64, f64), block: &mut Block<'_>, lane: usize, scratch: &mut Working) {
    let Working { clearing, market, .. } = scratch;
    let streams = Streams::new(block.head.seed[lane], block.head.episode[lane]);
    let step = block.head.t[lane];
    tie_words(&mut clearing.ties, scenario.agents(), |words| streams.words(step, Kind::Ties, words));
    market.gather(block.offers(), lane);
    let demand = block.head.demand[lane];
    let (prices, quantities, dispatch) = (&market.prices, &market.quantities, &mut market.dispatch);
    let outcome = market::clear(scenario.rules, bounds, prices, quantities, demand, clearing, dispatch);
    for (lanes, x) in block.dispatch.iter_mut().zip(dispatch) {
        lanes[lane] = *x;
    }
    block.head.price[lane] = outcome.price;
    block.head.unserved[lane] = outcome.unserved;
}
