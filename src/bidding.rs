//! Actions become offers: one variant per bidding rule.

use crate::scenario::{Parameters, Scenario};
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
    for row in 0..shard.rows() {
        let hour = shard.series_hour(scenario, row);
        let mut prices = std::mem::take(&mut shard.state.offer_price);
        let mut quantities = std::mem::take(&mut shard.state.offer_quantity);
        let parameters = shard.parameters(scenario, row);
        let (floor, cap) = (parameters.price_floor(), parameters.price_cap());
        let available = scenario.availability_at(hour);
        let mut own = actions[row * acting * ACTION_WIDTH..][..acting * ACTION_WIDTH].chunks_exact(ACTION_WIDTH);
        for agent in 0..agents {
            let cost = parameters.srmc[agent];
            let (share, price) = match seats.seats()[agent] {
                Seat::Acts => {
                    let action = own.next().map_or([0.0; ACTION_WIDTH], clip);
                    bid(scenario.bidding, &parameters, cost, action)
                }
                Seat::Truthful => (1.0, cost),
                Seat::Markup(markup) => (1.0, cost + markup),
            };
            let capacity = parameters.capacity[agent] * available.map_or(1.0, |a| a[agent]);
            let cell = row * agents + agent;
            quantities[cell] = share * capacity;
            // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
            prices[cell] = price.max(floor).min(cap) + 0.0;
        }
        shard.state.offer_price = prices;
        shard.state.offer_quantity = quantities;
    }
}

/// The offered share of what is available, and the offered price before floor and cap.
#[inline]
fn bid(rule: BiddingRule, parameters: &Parameters<'_>, cost: f64, action: [f64; ACTION_WIDTH]) -> (f64, f64) {
    match rule {
        BiddingRule::WithholdAndMarkup => (1.0 - action[0], cost + libm::tanh(action[1]) * parameters.max_bid_delta()),
    }
}

#[inline]
fn clip(action: &[f32]) -> [f64; ACTION_WIDTH] {
    std::array::from_fn(|i| f64::from(action[i]).clamp(ACTION_LOW[i], ACTION_HIGH[i]))
}
