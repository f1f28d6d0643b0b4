//! Actions become offers: one variant per bidding rule.

use crate::math;
use crate::scenario::Scenario;
use crate::seats::{Seat, Seats};
use crate::shard::Shard;
use crate::simd::{Float, LANES, Vector};
use crate::spec::BiddingRule;

/// Floats in one agent's action.
pub const ACTION_WIDTH: usize = 2;
/// Lower bounds of an action, as in the action space.
pub const ACTION_LOW: [f64; ACTION_WIDTH] = [0.0, -10.0];
/// Upper bounds of an action, as in the action space.
pub const ACTION_HIGH: [f64; ACTION_WIDTH] = [1.0, 10.0];

/// One agent's action.
type Action = [f32; ACTION_WIDTH];

/// Writes every agent's offer in the environments of a block. `actions` is (rows, L) from the block's first row on, finite;
/// what lies outside the box counts as the nearest legal action.
#[inline(always)]
pub fn offer<V: Vector>(
    simd: V,
    scenario: &Scenario,
    seats: &Seats,
    shard: &mut Shard,
    block: usize,
    actions: &[Action],
) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let Shard { state, numbers, .. } = shard;
    let floor = numbers.of_block(simd, block, slots.price_floor());
    let cap = numbers.of_block(simd, block, slots.price_cap());
    let delta = numbers.of_block(simd, block, slots.max_bid_delta());
    let rows = eight_rows(actions, seats.acting().len());
    let cells = block * agents..(block + 1) * agents;
    let (prices, quantities) = (&mut state.offer_price[cells.clone()], &mut state.offer_quantity[cells]);
    let mut column = 0;
    for (agent, (seat, (offer_price, offer_quantity))) in
        seats.seats().iter().zip(prices.iter_mut().zip(quantities)).enumerate()
    {
        let mut quantity = numbers.of_block(simd, block, slots.capacity(agent));
        let mut price = numbers.of_block(simd, block, slots.srmc(agent));
        match (seat, scenario.bidding) {
            (Seat::Acts, BiddingRule::WithholdAndMarkup) => {
                let [withheld, parameter] = within_the_box(simd, rows.map(|row| row[column]));
                quantity = quantity * (simd.splat(1.0) - withheld);
                price = price + math::tanh(simd, parameter) * delta;
                column += 1;
            }
            (Seat::Truthful, _) => {}
            (Seat::Markup(markup), _) => price = price + simd.splat(*markup),
        }
        // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
        simd.store(price.larger(floor).smaller(cap) + simd.splat(0.0), offer_price);
        simd.store(quantity, offer_quantity);
    }
    limit_to_available(scenario, shard, block);
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

/// The rows of a block, each as long as the others. Lanes to spare play the last row once more.
#[inline(always)]
fn eight_rows(actions: &[Action], acting: usize) -> [&[Action]; LANES] {
    let last = actions.len() / acting - 1;
    std::array::from_fn(|l| &actions[l.min(last) * acting..][..acting])
}

/// The actions of one agent in the environments of a block, within the box.
#[inline(always)]
fn within_the_box<V: Vector>(simd: V, actions: [Action; LANES]) -> [V::Float; ACTION_WIDTH] {
    let [withheld, parameter] = simd.unzip(actions);
    [
        withheld.larger(simd.splat(ACTION_LOW[0])).smaller(simd.splat(ACTION_HIGH[0])),
        parameter.larger(simd.splat(ACTION_LOW[1])).smaller(simd.splat(ACTION_HIGH[1])),
    ]
}

