//! Settlement: profits from prices and dispatch.

use crate::market::pricing::paid;
use crate::scenario::Scenario;
use crate::shard::Shard;

/// Writes profits, $, (S, A): what is paid less SRMC, times what runs.
pub fn settle(scenario: &Scenario, shard: &Shard, profits: &mut [f64]) {
    let agents = scenario.agents();
    let state = &shard.state;
    for row in 0..shard.rows() {
        let cells = row * agents..(row + 1) * agents;
        let srmc = shard.parameters(scenario, row).srmc;
        let run = state.offer_price[cells.clone()].iter().zip(&state.dispatch[cells.clone()]);
        for ((profit, cost), (offer, x)) in profits[cells].iter_mut().zip(srmc).zip(run) {
            *profit = paid(scenario.rules.pricing, state.price[row], *offer) * x - cost * x;
        }
    }
}
