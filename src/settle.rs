//! Settlement: profits from prices and dispatch.

use crate::market::pricing::paid;
use crate::scenario::Scenario;
use crate::shard::Shard;

/// Writes profits, $, (S, A): what is paid less SRMC, times what runs.
pub fn settle(scenario: &Scenario, shard: &Shard, profits: &mut [f64]) {
    let agents = scenario.agents();
    let state = &shard.state;
    for row in 0..shard.rows() {
        let srmc = shard.parameters(scenario, row).srmc;
        for agent in 0..agents {
            let cell = row * agents + agent;
            let price = paid(scenario.rules.pricing, state.price[row], state.offer_price[cell]);
            let x = state.dispatch[cell];
            profits[cell] = price * x - srmc[agent] * x;
        }
    }
}
