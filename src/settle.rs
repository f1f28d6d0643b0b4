//! Settlement: profits from prices and dispatch.

use crate::market::pricing::paid;
use crate::numbers::Number;
use crate::scenario::Scenario;
use crate::shard::Block;
use crate::simd::{Lanes, Vector};

/// Writes the profits of a block, $, (A,): what is paid less SRMC, times what runs.
#[inline(always)]
pub fn settle<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    numbers: &[N],
    block: &Block<'_>,
    profits: &mut [Lanes],
) {
    let price = simd.load(&block.head.price);
    let srmc = &numbers[scenario.slots().srmc(0)..];
    let run = block.offer_price.iter().zip(block.dispatch.iter()).zip(srmc);
    for (profit, ((offer, x), srmc)) in profits.iter_mut().zip(run) {
        let (offer, x) = (simd.load(offer), simd.load(x));
        let earned = paid(scenario.rules.pricing, price, offer) * x - srmc.get(simd) * x;
        simd.store(earned, profit);
    }
}
