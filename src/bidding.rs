//! Actions become offers: one variant per bidding rule.

pub use crate::action::{ACTION_HIGH, ACTION_LOW, ACTION_WIDTH, Action};
use crate::ahead::Ahead;
use crate::math;
use crate::numbers::Number;
use crate::scenario::Scenario;
use crate::seats::{Seat, Seats};
use crate::shard::Block;
use crate::simd::{Float, LANES, Lanes, Vector};
use crate::spec::BiddingRule;

/// What is bid in some rows. L agents act, and the engine plays P as mixtures.
#[derive(Debug, Clone, Copy)]
pub struct Bids<'a> {
    /// Of the agents that act, finite, (rows, L).
    pub acting: &'a [Action],
    /// Of the engine's players, (rows, P).
    pub players: &'a [Action],
    /// What the players add to their SRMC beside that, $/MWh, (blocks, P).
    pub markups: &'a [Lanes],
    /// P.
    pub places: usize,
}

impl<'a> Bids<'a> {
    /// Where no mixtures play.
    #[inline(always)]
    pub fn only(acting: &'a [Action]) -> Self {
        Self { acting, players: &[], markups: &[], places: 0 }
    }

    /// Those from the first row of a block on.
    #[inline(always)]
    pub fn from_block(self, block: usize, acting: usize) -> Self {
        let (places, row) = (self.places, block * LANES);
        Self {
            acting: &self.acting[row * acting..],
            players: &self.players[row * places..],
            markups: &self.markups[block * places..],
            places,
        }
    }
}

/// Writes every agent's offer in the environments of a block, from the bids from its first row on; what lies outside the
/// box counts as the nearest legal action. The longest computation of a step is here, and so it is here that the memory of
/// its results is asked for.
#[inline(always)]
pub fn offer<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    seats: &Seats,
    numbers: &[N],
    block: &mut Block<'_>,
    bids: Bids<'_>,
    mut ahead: Ahead,
) {
    let slots = scenario.slots();
    let floor = numbers[slots.price_floor()].get(simd);
    let cap = numbers[slots.price_cap()].get(simd);
    let delta = numbers[slots.max_bid_delta()].get(simd);
    let rows = eight_rows(bids.acting, seats.acting().len());
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
            (Seat::Truthful | Seat::Mixed(_), _) => {}
            (Seat::Markup(markup), _) => b = b + simd.splat(*markup),
        }
        // Adding zero turns -0 into 0, so that equal offers are equal to the bit.
        simd.store(b.larger(floor).smaller(cap) + simd.splat(0.0), price);
        simd.store(q, quantity);
    }
    if bids.places > 0 {
        offer_of_players(simd, scenario, seats, numbers, block, bids);
    }
    limit_to_available(scenario, block);
}

/// Writes the offers of the engine's players. A loop of their own: the one above stays as short as it is for those who
/// have none.
#[inline(always)]
fn offer_of_players<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    seats: &Seats,
    numbers: &[N],
    block: &mut Block<'_>,
    bids: Bids<'_>,
) {
    let slots = scenario.slots();
    let floor = numbers[slots.price_floor()].get(simd);
    let cap = numbers[slots.price_cap()].get(simd);
    let delta = numbers[slots.max_bid_delta()].get(simd);
    let rows = eight_rows(bids.players, bids.places);
    let mut place = 0;
    for (agent, seat) in seats.seats().iter().enumerate() {
        if !matches!(seat, Seat::Mixed(_)) {
            continue;
        }
        let mut q = numbers[slots.capacity(agent)].get(simd);
        let mut b = numbers[slots.srmc(agent)].get(simd);
        match scenario.bidding {
            BiddingRule::WithholdAndMarkup => {
                let [withheld, parameter] = within_the_box(simd, column_of(&rows, place));
                q = q * (simd.splat(1.0) - withheld);
                b = b + math::tanh(simd, parameter) * delta;
            }
        }
        b = b + bids.markups[place].get(simd);
        simd.store(b.larger(floor).smaller(cap) + simd.splat(0.0), &mut block.offer_price[agent]);
        simd.store(q, &mut block.offer_quantity[agent]);
        place += 1;
    }
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
fn eight_rows(actions: &[Action], agents: usize) -> [&[Action]; LANES] {
    let last = actions.len() / agents - 1;
    let mut rows: [&[Action]; LANES] = Default::default();
    for (l, row) in rows.iter_mut().enumerate() {
        *row = &actions[l.min(last) * agents..][..agents];
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
