//! Actions become offers: one variant per bidding rule.

use crate::ahead::Ahead;
use crate::math;
use crate::numbers::Number;
use crate::scenario::Scenario;
use crate::seats::{Seat, Seats};
use crate::shard::Block;
use crate::simd::{Float, LANES, Vector};
use crate::spec::BiddingRule;

/// Floats in one agent's action.
pub const ACTION_WIDTH: usize = 2;
/// Lower bounds of an action, as in the action space.
pub const ACTION_LOW: [f64; ACTION_WIDTH] = [0.0, -10.0];
/// Upper bounds of an action, as in the action space.
pub const ACTION_HIGH: [f64; ACTION_WIDTH] = [1.0, 10.0];

/// One agent's action.
pub type Action = [f32; ACTION_WIDTH];

/// Writes every agent's offer in the environments of a block. `actions` is (rows, L) from the block's first row on, finite;
/// what lies outside the box counts as the nearest legal action. The longest computation of a step is here, and so it is
/// here that the memory of its results is asked for.
#[inline(always)]
pub fn offer<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    seats: &Seats,
    numbers: &[N],
    block: &mut Block<'_>,
    actions: &[Action],
    mut ahead: Ahead,
) {
    let slots = scenario.slots();
    let floor = numbers[slots.price_floor()].get(simd);
    let cap = numbers[slots.price_cap()].get(simd);
    let delta = numbers[slots.max_bid_delta()].get(simd);
    let rows = eight_rows(actions, seats.acting().len());
    let (capacities, rest) = numbers.split_at(scenario.agents());
    let fleet = seats.seats().iter().zip(capacities.iter().zip(rest));
    let mut column = 0;
    let offers = block.offer_price.iter_mut().zip(block.offer_quantity.iter_mut());
    for ((price, quantity), (seat, (capacity, srmc))) in offers.zip(fleet) {
        ahead.ask();
        let mut q = capacity.get(simd);
        let mut b = srmc.get(simd);
        match (seat, scenario.bidding) {
            (Seat::Acts, BiddingRule::WithholdAndMarkup) => {
                let [withheld, parameter] = within_the_box(simd, column_of(&rows, column));
                q = q * (simd.splat(1.0) - withheld);
                b = b + math::tanh(simd, parameter) * delta;
                column += 1;
            }
            (Seat::Truthful, _) => {}
            (Seat::Markup(markup), _) => b = b + simd.splat(*markup),
        }
        // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
        simd.store(b.larger(floor).smaller(cap) + simd.splat(0.0), price);
        simd.store(q, quantity);
    }
    limit_to_available(scenario, block);
}

/// Scales the offered quantities by the availability of the hour.
#[inline(always)]
fn limit_to_available(scenario: &Scenario, block: &mut Block<'_>) {
    if scenario.availability.is_none() {
        return;
    }
    for (l, hour) in block.head.series_hours(scenario).into_iter().enumerate() {
        if let Some(available) = scenario.availability_at(hour) {
            for (quantity, available) in block.offer_quantity.iter_mut().zip(available) {
                quantity[l] *= available;
            }
        }
    }
}

/// The rows of a block, each as long as the others. Lanes to spare play the last row once more.
#[inline(always)]
fn eight_rows(actions: &[Action], acting: usize) -> [&[Action]; LANES] {
    let last = actions.len() / acting - 1;
    let mut rows: [&[Action]; LANES] = Default::default();
    for (l, row) in rows.iter_mut().enumerate() {
        *row = &actions[l.min(last) * acting..][..acting];
    }
    rows
}

#[inline(always)]
fn column_of(rows: &[&[Action]; LANES], column: usize) -> [Action; LANES] {
    let mut actions = [[0.0; ACTION_WIDTH]; LANES];
    for l in 0..LANES {
        actions[l] = rows[l][column];
    }
    actions
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
