//! Settlement: profits from prices and dispatch.

use crate::market::pricing::paid;
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::simd::{LANES, Lanes};

/// Writes the profits of a block, $, (A,) lanes: what is paid less SRMC, times what runs.
#[inline(always)]
pub fn settle(scenario: &Scenario, shard: &Shard, block: usize, profits: &mut [Lanes]) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let state = &shard.state;
    let clearing_price = state.price[block];
    let cells = block * agents..(block + 1) * agents;
    let run = state.offer_price[cells.clone()].iter().zip(&state.dispatch[cells]);
    for (agent, (profit, (offer, x))) in profits.iter_mut().zip(run).enumerate() {
        let srmc = shard.numbers.block(block, slots.srmc(agent));
        for l in 0..LANES {
            let price = paid(scenario.rules.pricing, clearing_price[l], offer[l]);
            profit[l] = price * x[l] - srmc[l] * x[l];
        }
    }
}
