//! The clearing of eight markets at once, one per lane, without sorting.
//!
//! The marginal price is the lowest at which offers up to it reach demand. A few bisections narrow the prices down, then
//! offers are tried one by one from below. Every pass is the same arithmetic in every lane, so that nothing depends on
//! what is drawn but how often the last loop runs. Equal offers at the margin share in proportion to their quantities.
//!
//! Supply is summed in the order of places here, in merit order in [`super::merit_order`]: sums differ in their last bits,
//! and with them the dispatch of marginal units (a test holds the bound). Where demand less its tolerance lies within that
//! rounding of a cumulative sum the two may stop at different units; see `docs/decisions/0008`.

use pulp::Simd;

use super::merit_order::REACHED;
use super::pricing;
use crate::scenario::Rules;
use crate::simd::{LANES, Lanes, lanes};

/// Offers that are tried one by one are not worth another bisection.
const FEW: usize = 4;

/// Clears eight markets; offers and dispatch are (G,) lanes. Returns prices, $/MWh, and unserved energy, MW.
#[inline(always)]
pub fn clear<S: Simd>(
    simd: S,
    rules: Rules,
    (floor, cap): (&Lanes, &Lanes),
    prices: &[Lanes],
    quantities: &[Lanes],
    demand: &Lanes,
    dispatch: &mut [Lanes],
) -> (Lanes, Lanes) {
    let tolerance = lanes(|l| REACHED * demand[l].abs().max(1.0));
    let enough = lanes(|l| demand[l] - tolerance[l]);
    let mut margin = Margin::default();
    for part in 0..LANES / S::F64_LANES {
        let low = narrow(simd, part, prices, quantities, &enough);
        walk(simd, part, prices, quantities, &enough, low, &mut margin);
    }

    let mut price = [0.0; LANES];
    let mut unserved = [0.0; LANES];
    let mut rations = Rations { ties: margin.ties, ..Rations::default() };
    for l in 0..LANES {
        let bounds = (floor[l], cap[l]);
        let supply = margin.below[l] + margin.at[l];
        if demand[l] <= 0.0 {
            price[l] = pricing::without_demand(bounds);
            rations.at[l] = f64::NEG_INFINITY;
        } else if supply >= enough[l] && margin.at[l] > 0.0 {
            let exactly = supply <= demand[l] + tolerance[l] && margin.next[l] < f64::INFINITY;
            price[l] = pricing::at_the_margin(rules, margin.price[l], exactly.then_some(margin.next[l]));
            rations.at[l] = margin.price[l];
            rations.rest[l] = demand[l] - margin.below[l];
            // Supply that reaches demand only within the tolerance must not run above what was offered.
            rations.share[l] = (rations.rest[l] / margin.at[l]).min(1.0);
        } else {
            price[l] = pricing::in_shortage(rules, bounds, (supply > 0.0).then_some(margin.price[l]));
            unserved[l] = demand[l] - supply;
            rations.at[l] = f64::INFINITY;
        }
    }
    for part in 0..LANES / S::F64_LANES {
        run(simd, part, prices, quantities, &rations, dispatch);
    }
    (price, unserved)
}

/// The marginal offers of each lane.
#[derive(Default)]
struct Margin {
    /// Their price; that of the dearest offer where supply does not reach demand.
    price: Lanes,
    /// Supply below that price.
    below: Lanes,
    /// Supply at that price.
    at: Lanes,
    /// Offers at that price, counted.
    ties: Lanes,
    /// The next price above; infinity for none.
    next: Lanes,
}

/// Who runs how far in each lane: offers below the price `at` fully, those at it as they share what is left.
#[derive(Default)]
struct Rations {
    at: Lanes,
    ties: Lanes,
    share: Lanes,
    rest: Lanes,
}

/// A price below which supply does not reach demand, by bisection.
#[inline(always)]
fn narrow<S: Simd>(simd: S, part: usize, prices: &[Lanes], quantities: &[Lanes], enough: &Lanes) -> S::f64s {
    let (zero, half) = (simd.splat_f64s(0.0), simd.splat_f64s(0.5));
    let enough = vector::<S>(enough, part);
    let mut low = simd.splat_f64s(f64::INFINITY);
    let mut high = simd.splat_f64s(f64::NEG_INFINITY);
    for (b, q) in column::<S>(prices, part).zip(column::<S>(quantities, part)) {
        let offered = simd.greater_than_f64s(q, zero);
        low = simd.select_f64s(simd.and_m64s(offered, simd.less_than_f64s(b, low)), b, low);
        high = simd.select_f64s(simd.and_m64s(offered, simd.greater_than_f64s(b, high)), b, high);
    }
    // A step below the cheapest offer that no rounding takes back.
    let step = simd.mul_f64s(simd.splat_f64s(1e-9), simd.abs_f64s(low));
    low = simd.sub_f64s(low, simd.add_f64s(simd.splat_f64s(1.0), step));
    let mut left = prices.len();
    while left > FEW {
        left /= 2;
        let middle = simd.mul_f64s(half, simd.add_f64s(low, high));
        let mut supply = zero;
        for (b, q) in column::<S>(prices, part).zip(column::<S>(quantities, part)) {
            supply = simd.add_f64s(supply, simd.select_f64s(simd.less_than_or_equal_f64s(b, middle), q, zero));
        }
        let reached = simd.greater_than_or_equal_f64s(supply, enough);
        low = simd.select_f64s(reached, low, middle);
        high = simd.select_f64s(reached, middle, high);
    }
    low
}

/// Tries the offers above `low` one price after another until every lane has reached demand or run out of offers.
#[inline(always)]
fn walk<S: Simd>(
    simd: S,
    part: usize,
    prices: &[Lanes],
    quantities: &[Lanes],
    enough: &Lanes,
    low: S::f64s,
    margin: &mut Margin,
) {
    let (zero, one, none) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0), simd.splat_f64s(f64::INFINITY));
    let enough = vector::<S>(enough, part);
    let mut price = low;
    loop {
        let (mut below, mut at, mut ties, mut next) = (zero, zero, zero, none);
        for (b, q) in column::<S>(prices, part).zip(column::<S>(quantities, part)) {
            let offered = simd.greater_than_f64s(q, zero);
            let here = simd.equal_f64s(b, price);
            below = simd.add_f64s(below, simd.select_f64s(simd.less_than_f64s(b, price), q, zero));
            at = simd.add_f64s(at, simd.select_f64s(here, q, zero));
            ties = simd.add_f64s(ties, simd.select_f64s(simd.and_m64s(here, offered), one, zero));
            let above = simd.and_m64s(simd.greater_than_f64s(b, price), simd.less_than_f64s(b, next));
            next = simd.select_f64s(simd.and_m64s(above, offered), b, next);
        }
        let short = simd.less_than_f64s(simd.add_f64s(below, at), enough);
        let nobody = simd.equal_f64s(at, zero);
        let go_on = simd.and_m64s(simd.or_m64s(short, nobody), simd.less_than_f64s(next, none));
        if simd.first_true_m64s(go_on) >= S::F64_LANES {
            put::<S>(&mut margin.price, part, price);
            put::<S>(&mut margin.below, part, below);
            put::<S>(&mut margin.at, part, at);
            put::<S>(&mut margin.ties, part, ties);
            put::<S>(&mut margin.next, part, next);
            return;
        }
        price = simd.select_f64s(go_on, next, price);
    }
}

/// Writes the dispatch.
#[inline(always)]
fn run<S: Simd>(
    simd: S,
    part: usize,
    prices: &[Lanes],
    quantities: &[Lanes],
    rations: &Rations,
    dispatch: &mut [Lanes],
) {
    let zero = simd.splat_f64s(0.0);
    let (at, rest, share) =
        (vector::<S>(&rations.at, part), vector::<S>(&rations.rest, part), vector::<S>(&rations.share, part));
    let many = simd.greater_than_f64s(vector::<S>(&rations.ties, part), simd.splat_f64s(1.0));
    let offers = column::<S>(prices, part).zip(column::<S>(quantities, part));
    for (x, (b, q)) in dispatch.iter_mut().zip(offers) {
        // Alone at the margin, a unit takes what is left to the bit.
        let alone = simd.select_f64s(simd.less_than_f64s(rest, q), rest, q);
        let shared = simd.select_f64s(many, simd.mul_f64s(share, q), alone);
        let marginal = simd.select_f64s(simd.equal_f64s(b, at), shared, zero);
        put::<S>(x, part, simd.select_f64s(simd.less_than_f64s(b, at), q, marginal));
    }
}

/// One vector of eight lanes.
#[inline(always)]
fn vector<S: Simd>(lanes: &Lanes, part: usize) -> S::f64s {
    S::as_simd_f64s(lanes).0[part]
}

#[inline(always)]
fn put<S: Simd>(lanes: &mut Lanes, part: usize, x: S::f64s) {
    S::as_mut_simd_f64s(lanes).0[part] = x;
}

/// The same vector of every agent.
#[inline(always)]
fn column<S: Simd>(cells: &[Lanes], part: usize) -> impl ExactSizeIterator<Item = S::f64s> + '_ {
    S::as_simd_f64s(cells.as_flattened()).0.chunks_exact(LANES / S::F64_LANES).map(move |lanes| lanes[part])
}
