//! The clearing of every market of a shard.

use crate::market::clear;
use crate::rng::{Kind, tie_words};
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::spec::TieBreak;

/// Clears the offers of every environment of a shard: writes dispatch, price and unserved energy into its state.
pub fn clear_shard(scenario: &Scenario, shard: &mut Shard) {
    let agents = scenario.agents();
    for row in 0..shard.rows() {
        if scenario.rules.tie_break == TieBreak::Random {
            let streams = shard.streams(row);
            let step = shard.state.t[row];
            tie_words(&mut shard.scratch.clearing.ties, agents, |block| streams.words(step, Kind::Ties, block));
        }
        let parameters = shard.numbers.of(scenario, row);
        let bounds = (parameters.price_floor(), parameters.price_cap());
        let (state, scratch) = (&mut shard.state, &mut shard.scratch.clearing);
        let cells = row * agents..(row + 1) * agents;
        let outcome = clear(
            scenario.rules,
            bounds,
            &state.offer_price[cells.clone()],
            &state.offer_quantity[cells.clone()],
            state.demand[row],
            scratch,
            &mut state.dispatch[cells],
        );
        state.price[row] = outcome.price;
        state.unserved[row] = outcome.unserved;
    }
}
