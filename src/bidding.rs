//! Actions become offers: one variant per bidding rule.

use crate::math;
use crate::scenario::Scenario;
use crate::seats::{Seat, Seats};
use crate::shard::Shard;
use crate::spec::BiddingRule;

/// Floats in one agent's action.
pub const ACTION_WIDTH: usize = 2;
/// Lower bounds of an action, as in the action space.
pub const ACTION_LOW: [f64; ACTION_WIDTH] = [0.0, -10.0];
/// Upper bounds of an action, as in the action space.
pub const ACTION_HIGH: [f64; ACTION_WIDTH] = [1.0, 10.0];

/// Writes every agent's offer. `actions` is (S, L, 2), finite; what lies outside the box counts as the nearest legal
/// action.
pub fn offer(scenario: &Scenario, seats: &Seats, shard: &mut Shard, actions: &[f32]) {
    let agents = scenario.agents();
    let acting = seats.acting().len();
    let (moves, rows) = (&mut shard.scratch.price_moves, shard.state.t.len());
    moves.clear();
    // A loop of its own over contiguous numbers, which vectorises.
    moves.extend(actions.chunks_exact(ACTION_WIDTH).map(|action| match scenario.bidding {
        BiddingRule::WithholdAndMarkup => math::tanh(clip(action, 1)),
    }));
    for row in 0..rows {
        let hour = shard.series_hour(scenario, row);
        let parameters = shard.numbers.of(scenario, row);
        let (floor, cap) = (parameters.price_floor(), parameters.price_cap());
        let delta = parameters.max_bid_delta();
        let available = scenario.availability_at(hour);
        let prices = &mut shard.state.offer_price[row * agents..][..agents];
        let quantities = &mut shard.state.offer_quantity[row * agents..][..agents];
        let mut cell = row * acting;
        for (agent, seat) in seats.seats().iter().enumerate() {
            let cost = parameters.srmc[agent];
            let (share, price) = match (seat, scenario.bidding) {
                (Seat::Acts, BiddingRule::WithholdAndMarkup) => {
                    let withheld = clip(&actions[cell * ACTION_WIDTH..], 0);
                    let price = cost + shard.scratch.price_moves[cell] * delta;
                    cell += 1;
                    (1.0 - withheld, price)
                }
                (Seat::Truthful, _) => (1.0, cost),
                (Seat::Markup(markup), _) => (1.0, cost + markup),
            };
            quantities[agent] = share * parameters.capacity[agent];
            // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
            prices[agent] = price.max(floor).min(cap) + 0.0;
        }
        if let Some(available) = available {
            for (quantity, available) in quantities.iter_mut().zip(available) {
                *quantity *= available;
            }
        }
    }
}

/// One part of an action, within the box.
#[inline]
fn clip(action: &[f32], part: usize) -> f64 {
    f64::from(action[part]).clamp(ACTION_LOW[part], ACTION_HIGH[part])
}
