//! Actions become offers: one variant per bidding rule.

use crate::math;
use crate::scenario::Scenario;
use crate::seats::{Seat, Seats};
use crate::shard::Shard;
use crate::simd::{LANES, Lanes, lanes};
use crate::spec::BiddingRule;

/// Floats in one agent's action.
pub const ACTION_WIDTH: usize = 2;
/// Lower bounds of an action, as in the action space.
pub const ACTION_LOW: [f64; ACTION_WIDTH] = [0.0, -10.0];
/// Upper bounds of an action, as in the action space.
pub const ACTION_HIGH: [f64; ACTION_WIDTH] = [1.0, 10.0];

/// Writes every agent's offer. `actions` is (S, L, 2), finite; what lies outside the box counts as the nearest legal
/// action.
#[inline(always)]
pub fn offer(scenario: &Scenario, seats: &Seats, shard: &mut Shard, actions: &[f32]) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let stride = seats.acting().len() * ACTION_WIDTH;
    for block in 0..shard.blocks() {
        let actions = &actions[block * LANES * stride..];
        let floor = shard.numbers.block(block, slots.price_floor());
        let cap = shard.numbers.block(block, slots.price_cap());
        let delta = shard.numbers.block(block, slots.max_bid_delta());
        let mut column = 0;
        for (agent, seat) in seats.seats().iter().enumerate() {
            let mut quantity = shard.numbers.block(block, slots.capacity(agent));
            let mut price = shard.numbers.block(block, slots.srmc(agent));
            match (seat, scenario.bidding) {
                (Seat::Acts, BiddingRule::WithholdAndMarkup) => {
                    let [withheld, parameter] = gather(actions, stride, column);
                    let moves = lanes(|l| math::tanh(parameter[l]));
                    quantity = lanes(|l| quantity[l] * (1.0 - withheld[l]));
                    price = lanes(|l| price[l] + moves[l] * delta[l]);
                    column += ACTION_WIDTH;
                }
                (Seat::Truthful, _) => {}
                (Seat::Markup(markup), _) => price.iter_mut().for_each(|price| *price += markup),
            }
            for l in 0..LANES {
                // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
                price[l] = price[l].max(floor[l]).min(cap[l]) + 0.0;
            }
            shard.state.offer_price[block * agents + agent] = price;
            shard.state.offer_quantity[block * agents + agent] = quantity;
        }
        limit_to_available(scenario, shard, block);
    }
}

/// Scales the offered quantities by the availability of the hour.
#[inline(always)]
fn limit_to_available(scenario: &Scenario, shard: &mut Shard, block: usize) {
    if scenario.availability.is_none() {
        return;
    }
    let agents = scenario.agents();
    for l in 0..LANES {
        let hour = shard.series_hour(scenario, block * LANES + l);
        if let Some(available) = scenario.availability_at(hour) {
            for (quantity, available) in shard.state.offer_quantity[block * agents..].iter_mut().zip(available) {
                quantity[l] *= available;
            }
        }
    }
}

/// One agent's actions in the environments of a block, within the box. Lanes to spare act as if with zeros.
#[inline(always)]
fn gather(actions: &[f32], stride: usize, column: usize) -> [Lanes; ACTION_WIDTH] {
    let mut parts = [[0.0f32; LANES]; ACTION_WIDTH];
    for (l, row) in actions.chunks_exact(stride).take(LANES).enumerate() {
        parts[0][l] = row[column];
        parts[1][l] = row[column + 1];
    }
    std::array::from_fn(|part| lanes(|l| f64::from(parts[part][l]).max(ACTION_LOW[part]).min(ACTION_HIGH[part])))
}
