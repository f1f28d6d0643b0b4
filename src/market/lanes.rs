//! The clearing of eight markets at once, one per lane, without sorting.
//!
//! The marginal price is the lowest at which offers up to it reach demand. With few offers each one's price is tried: what
//! all of them supply up to it is counted, all against all. With many, a bracket around the marginal price is narrowed
//! first, a quarter a pass, and the few offers left inside ([`super::bracket`]) are tried. Every pass is the same
//! arithmetic in every lane, so that nothing is predicted and nothing mispredicted. Equal offers at the margin share in
//! proportion to their quantities.
//!
//! Supply is summed in the order of places here, in merit order in [`super::merit_order`]: sums differ in their last bits,
//! and with them the dispatch of marginal units (a test holds the bound). Where demand less its tolerance lies within that
//! rounding of a cumulative sum the two may stop at different units; see `docs/decisions/0008`.

use super::bracket;
use super::merit_order::REACHED;
use super::pricing::Prices;
use crate::simd::{Float, Lanes, Vector};

/// So many offers are tried all against all.
const FEW: usize = 28;

/// The offers of eight markets.
#[derive(Debug, Clone, Copy)]
pub struct Offers<'a> {
    /// $/MWh, (G,) lanes.
    pub prices: &'a [Lanes],
    /// MW, not negative, (G,) lanes.
    pub quantities: &'a [Lanes],
}

impl<'a> Offers<'a> {
    /// Price and quantity, offer by offer.
    #[inline(always)]
    pub(super) fn iter(self) -> std::iter::Zip<std::slice::Iter<'a, Lanes>, std::slice::Iter<'a, Lanes>> {
        self.prices.iter().zip(self.quantities)
    }
}

/// What eight markets came to.
#[derive(Debug, Clone, Copy)]
pub struct Cleared<V: Vector> {
    /// Clearing prices, $/MWh.
    pub price: V::Float,
    /// Demand that nobody serves, MW.
    pub unserved: V::Float,
    /// Offers up to this price run; infinite where all do, or none.
    pub margin: V::Float,
    /// Offers at the margin, counted; 0 where all run, or none.
    pub ties: V::Float,
    /// Price of the marginal unit's offer, $/MWh: the dearest in shortage, -infinity where nobody is marginal.
    pub marginal_price: V::Float,
    /// Supply below that price; -infinity in shortage, where no offer reaches demand.
    below: V::Float,
    /// Supply that reaches demand.
    enough: V::Float,
}

/// The marginal offers of each lane.
#[derive(Clone, Copy)]
pub(super) struct Margin<F> {
    /// Their price.
    pub price: F,
    /// Supply below that price.
    pub below: F,
    /// Supply at that price.
    pub at: F,
    /// Offers at that price, counted.
    pub ties: F,
}

impl<F: Float> Margin<F> {
    /// `yes` where the mask is true.
    #[inline(always)]
    pub(super) fn select(mask: F::Mask, yes: Self, no: Self) -> Self {
        Self {
            price: F::select(mask, yes.price, no.price),
            below: F::select(mask, yes.below, no.below),
            at: F::select(mask, yes.at, no.at),
            ties: F::select(mask, yes.ties, no.ties),
        }
    }
}

/// Clears eight markets and writes their dispatch, MW, (G,) lanes.
#[inline(always)]
pub fn clear<V: Vector>(
    simd: V,
    prices: &Prices<V>,
    offers: Offers<'_>,
    demand: V::Float,
    dispatch: &mut [Lanes],
) -> Cleared<V> {
    let zero = simd.splat(0.0);
    let tolerance = simd.splat(REACHED) * demand.magnitude().larger(simd.splat(1.0));
    // Never zero, so that demand within the tolerance has a marginal unit too; any offer reaches the least number above.
    let enough = (demand - tolerance).larger(simd.splat(f64::from_bits(1)));

    let (total, dearest, margin) = if offers.prices.len() <= FEW {
        let tried = try_all(simd, offers, zero, enough);
        (tried.total, tried.dearest, margin(simd, offers, zero, tried.lowest))
    } else {
        let survey = survey(simd, offers);
        (survey.total, survey.dearest, bracket::find(simd, offers, &survey, enough))
    };
    let supply = margin.below + margin.at;
    let exactly = match prices.rules.look_above_the_margin() {
        true => {
            let next = cheapest_above(simd, offers, margin.price);
            let there = next.below(simd.splat(f64::INFINITY));
            // Where demand is reached before the last of equal offers, the next offer is another of them.
            let last = supply_before_the_last(simd, offers, &margin).below(enough);
            (next, supply.at_most(demand + tolerance) & there & last)
        }
        false => (zero, zero.below(zero)),
    };

    let short = total.below(enough);
    let idle = demand.at_most(zero);
    let anybody = zero.below(total);
    let at_margin = prices.at_the_margin(margin.price, exactly.0, exactly.1);
    let price = V::Float::select(short, prices.in_shortage(dearest, anybody), at_margin);
    let price = V::Float::select(idle, prices.without_demand(), price);
    let unserved = V::Float::select(short, demand - total, zero);
    let unserved = V::Float::select(idle, zero, unserved);

    let limit = V::Float::select(short, simd.splat(f64::INFINITY), margin.price);
    let nobody = simd.splat(f64::NEG_INFINITY);
    let limit = V::Float::select(idle, nobody, limit);
    run(simd, offers, limit, &margin, demand, dispatch);
    let marginal_price = V::Float::select(short, dearest, margin.price);
    Cleared {
        price,
        unserved,
        margin: limit,
        ties: V::Float::select(short | idle, zero, margin.ties),
        marginal_price: V::Float::select(idle, nobody, marginal_price),
        below: V::Float::select(short, nobody, margin.below),
        enough,
    }
}

/// The place of each lane's marginal unit, -1 for none: of equal offers the one that reaches demand when they are taken in
/// the order of places, in shortage the last.
#[inline(always)]
pub fn marginal<V: Vector>(simd: V, offers: Offers<'_>, cleared: &Cleared<V>) -> V::Float {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let (mut place, mut marginal, mut supply) = (zero, simd.splat(-1.0), cleared.below);
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        let here = b.equals(cleared.marginal_price) & zero.below(q) & supply.below(cleared.enough);
        marginal = V::Float::select(here, place, marginal);
        supply = supply.plus_where(here, q);
        place = place + one;
    }
    marginal
}

/// Lets equal offers at the margin run one after the other, in the order of places, instead of sharing.
#[inline(always)]
pub fn queue<V: Vector>(simd: V, offers: Offers<'_>, cleared: &Cleared<V>, demand: V::Float, dispatch: &mut [Lanes]) {
    let zero = simd.splat(0.0);
    let mut supply = cleared.below;
    for (x, (b, q)) in dispatch.iter_mut().zip(offers.iter()) {
        let (b, q) = (simd.load(b), simd.load(q));
        let here = b.equals(cleared.marginal_price);
        let rest = (demand - supply).smaller(q);
        let rest = V::Float::select(supply.below(cleared.enough), rest, zero);
        simd.store(V::Float::select(here, rest, simd.load(x)), x);
        supply = supply.plus_where(here, q);
    }
}

/// What the offers of each lane look like as a whole; those with a quantity of zero do not count.
pub(super) struct Survey<F> {
    pub cheapest: F,
    pub dearest: F,
    /// MW, summed in the order of places.
    pub total: F,
}

#[inline(always)]
fn survey<V: Vector>(simd: V, offers: Offers<'_>) -> Survey<V::Float> {
    let zero = simd.splat(0.0);
    let (mut cheapest, mut dearest) = (simd.splat(f64::INFINITY), simd.splat(f64::NEG_INFINITY));
    let mut total = zero;
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        let offered = zero.below(q);
        cheapest = V::Float::select(offered, b.smaller(cheapest), cheapest);
        // The later of equal ones, as in merit order: -0 and 0 are equal prices.
        dearest = V::Float::select(offered, dearest.larger(b), dearest);
        total = total + q;
    }
    Survey { cheapest, dearest, total }
}

/// What came of trying the price of every offer.
#[derive(Clone, Copy)]
pub(super) struct Tried<F> {
    /// The lowest price of an offer at which supply is enough; infinity for none.
    pub lowest: F,
    /// The dearest offer; -infinity for none.
    pub dearest: F,
    /// All supply.
    pub total: F,
}

/// Tries the price of every offer, where `base` is offered below all of them.
#[inline(always)]
pub(super) fn try_all<V: Vector>(simd: V, offers: Offers<'_>, base: V::Float, enough: V::Float) -> Tried<V::Float> {
    // Four prices a pass: each offer is loaded once for four sums, none of which waits for another.
    const ABREAST: usize = 4;
    let mut tried = Tried { lowest: simd.splat(f64::INFINITY), dearest: simd.splat(f64::NEG_INFINITY), total: base };
    let (prices, last_prices) = offers.prices.as_chunks::<ABREAST>();
    let (quantities, last_quantities) = offers.quantities.as_chunks::<ABREAST>();
    for (b, q) in prices.iter().zip(quantities) {
        tried = try_some(simd, offers, base, enough, b, q, tried);
    }
    for (b, q) in last_prices.iter().zip(last_quantities) {
        tried = try_some(simd, offers, base, enough, &[*b], &[*q], tried);
    }
    tried
}

/// Tries the prices of some offers too.
#[inline(always)]
fn try_some<V: Vector, const N: usize>(
    simd: V,
    offers: Offers<'_>,
    base: V::Float,
    enough: V::Float,
    prices: &[Lanes; N],
    quantities: &[Lanes; N],
    mut tried: Tried<V::Float>,
) -> Tried<V::Float> {
    let zero = simd.splat(0.0);
    let mut here = [zero; N];
    for k in 0..N {
        here[k] = simd.load(&prices[k]);
    }
    let supply = supply_up_to(simd, offers, base, here);
    for k in 0..N {
        let offered = zero.below(simd.load(&quantities[k]));
        let reached = enough.at_most(supply[k]) & offered;
        tried.lowest = V::Float::select(reached, here[k].smaller(tried.lowest), tried.lowest);
        // The later of equal ones, as in merit order: -0 and 0 are equal prices.
        tried.dearest = V::Float::select(offered, tried.dearest.larger(here[k]), tried.dearest);
        tried.total = supply[k].larger(tried.total);
    }
    tried
}

/// `base` and what is offered up to each of some prices.
#[inline(always)]
pub(super) fn supply_up_to<V: Vector, const N: usize>(
    simd: V,
    offers: Offers<'_>,
    base: V::Float,
    prices: [V::Float; N],
) -> [V::Float; N] {
    let mut supply = [base; N];
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        for k in 0..N {
            supply[k] = supply[k].plus_where(b.at_most(prices[k]), q);
        }
    }
    supply
}

/// What stands at a price, and below it, where `base` is offered below all of these offers.
#[inline(always)]
pub(super) fn margin<V: Vector>(simd: V, offers: Offers<'_>, base: V::Float, price: V::Float) -> Margin<V::Float> {
    let (zero, one) = (simd.splat(0.0), simd.splat(1.0));
    let (mut below, mut at, mut ties) = (base, zero, zero);
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        let here = b.equals(price);
        below = below.plus_where(b.below(price), q);
        at = at.plus_where(here, q);
        ties = ties.plus_where(here & zero.below(q), one);
    }
    Margin { price, below, at, ties }
}

/// Supply below the margin and of all offers at it but the last.
#[inline(always)]
fn supply_before_the_last<V: Vector>(simd: V, offers: Offers<'_>, margin: &Margin<V::Float>) -> V::Float {
    let zero = simd.splat(0.0);
    let (mut supply, mut before) = (margin.below, margin.below);
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        let here = b.equals(margin.price) & zero.below(q);
        before = V::Float::select(here, supply, before);
        supply = supply.plus_where(here, q);
    }
    before
}

/// The cheapest offer above a price; infinity for none.
#[inline(always)]
pub(super) fn cheapest_above<V: Vector>(simd: V, offers: Offers<'_>, price: V::Float) -> V::Float {
    let zero = simd.splat(0.0);
    let mut next = simd.splat(f64::INFINITY);
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        next = V::Float::select(price.below(b) & zero.below(q), b.smaller(next), next);
    }
    next
}

/// Writes the dispatch: offers below the limit run fully, those at it share what is left.
#[inline(always)]
fn run<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    limit: V::Float,
    margin: &Margin<V::Float>,
    demand: V::Float,
    dispatch: &mut [Lanes],
) {
    let zero = simd.splat(0.0);
    let rest = demand - margin.below;
    // Supply that reaches demand only within the tolerance must not run above what was offered.
    let share = (rest / margin.at).smaller(simd.splat(1.0));
    let many = simd.splat(1.0).below(margin.ties);
    for (x, (b, q)) in dispatch.iter_mut().zip(offers.iter()) {
        let (b, q) = (simd.load(b), simd.load(q));
        // Alone at the margin, a unit takes what is left to the bit.
        let marginal = V::Float::select(many, share * q, rest.smaller(q));
        let marginal = V::Float::select(b.equals(limit), marginal, zero);
        simd.store(V::Float::select(b.below(limit), q, marginal), x);
    }
}
