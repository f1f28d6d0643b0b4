//! The marginal offers among many: a bracket around the marginal price, narrowed until few offers are left inside.

use super::lanes::{Margin, Offers, Survey, cheapest_above, margin, supply_up_to, try_all};
use crate::simd::{Float, LANES, Lanes, Mask, Vector};

/// Offers of a lane that are tried one against the others.
const ROOM: usize = 16;

/// Prices between which the marginal one lies: above `low`, and not above `high`.
#[derive(Clone, Copy)]
struct Bracket<F> {
    low: F,
    high: F,
    /// Supply up to `low`.
    supply: F,
}

/// Finds the marginal offers of each lane in which supply reaches `enough`.
///
/// What a lane comes to is its own affair: a bracket narrowed because of a neighbour would sum supply in another order.
#[inline(always)]
pub(super) fn find<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    survey: &Survey<V::Float>,
    enough: V::Float,
) -> Margin<V::Float> {
    // A step below the cheapest offer that no rounding takes back.
    let step = simd.splat(1.0) + simd.splat(1e-9) * survey.cheapest.magnitude();
    let mut bracket = Bracket { low: survey.cheapest - step, high: survey.dearest, supply: simd.splat(0.0) };
    // Each pass leaves a quarter; so many leave two or three offers where prices lie evenly.
    for _ in 0..offers.prices.len().ilog2().div_ceil(2) {
        bracket = quarter(simd, offers, bracket, enough);
    }
    let mut inside = Inside::new();
    inside.gather(simd, offers, &bracket);
    if inside.most() > ROOM {
        bracket = thinned(simd, offers, bracket, enough);
        inside = Inside::new();
        inside.gather(simd, offers, &bracket);
    }
    let left = inside.offers();
    let tried = try_all(simd, left, bracket.supply, enough);
    // Sums up to the bracket's ends and sums inside it are rounded differently: where the offers inside fall
    // short by that, the dearest of them is marginal.
    let reached = tried.lowest.below(simd.splat(f64::INFINITY));
    let price = V::Float::select(reached, tried.lowest, tried.dearest);
    let found = margin(simd, left, bracket.supply, price);
    if inside.most() <= ROOM {
        return found;
    }
    // More offers at one price than there is room for.
    let one_price = inside.crowded(simd);
    let price = cheapest_above(simd, offers, bracket.low);
    Margin::select(one_price, margin(simd, offers, simd.splat(0.0), price), found)
}

/// A quarter of the bracket.
#[inline(always)]
fn quarter<V: Vector>(simd: V, offers: Offers<'_>, bracket: Bracket<V::Float>, enough: V::Float) -> Bracket<V::Float> {
    let half = simd.splat(0.5);
    let middle = half * (bracket.low + bracket.high);
    let tried = [half * (bracket.low + middle), middle, half * (middle + bracket.high)];
    between(simd, offers, bracket, enough, tried)
}

/// The part of the bracket that ends at the first of some rising prices at which demand is reached.
#[inline(always)]
fn between<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    Bracket { low, high, supply }: Bracket<V::Float>,
    enough: V::Float,
    tried: [V::Float; 3],
) -> Bracket<V::Float> {
    let supplies = supply_up_to(simd, offers, simd.splat(0.0), tried);
    let reached = [enough.at_most(supplies[0]), enough.at_most(supplies[1]), enough.at_most(supplies[2])];
    Bracket {
        low: first_of::<V>(reached, [low, tried[0], tried[1], tried[2]]),
        high: first_of::<V>(reached, [tried[0], tried[1], tried[2], high]),
        supply: first_of::<V>(reached, [supply, supplies[0], supplies[1], supplies[2]]),
    }
}

/// Narrows the brackets of lanes with more offers inside than there is room for, until there is or until one price is
/// left.
#[inline(always)]
fn thinned<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    mut bracket: Bracket<V::Float>,
    enough: V::Float,
) -> Bracket<V::Float> {
    let half = simd.splat(0.5);
    loop {
        let Crowd { cheapest, dearest, count } = crowd(simd, offers, &bracket);
        let busy = simd.splat(ROOM as f64).below(count) & cheapest.below(dearest);
        if !busy.any() {
            return bracket;
        }
        // Half of what the offers span, however far apart the bracket's ends are. The cheapest leaves, or all others do:
        // this comes to an end even where the middle is rounded to an end.
        let middle = half * (cheapest + dearest);
        let tried = [cheapest, middle, half * (middle + dearest)];
        let next = between(simd, offers, bracket, enough, tried);
        bracket = Bracket {
            low: V::Float::select(busy, next.low, bracket.low),
            high: V::Float::select(busy, next.high, bracket.high),
            supply: V::Float::select(busy, next.supply, bracket.supply),
        };
    }
}

/// The offers inside a bracket as a whole.
struct Crowd<F> {
    cheapest: F,
    dearest: F,
    count: F,
}

#[inline(always)]
fn crowd<V: Vector>(simd: V, offers: Offers<'_>, bracket: &Bracket<V::Float>) -> Crowd<V::Float> {
    let (mut cheapest, mut dearest) = (simd.splat(f64::INFINITY), simd.splat(f64::NEG_INFINITY));
    let mut count = simd.splat(0.0);
    for (b, q) in offers.iter() {
        let (b, q) = (simd.load(b), simd.load(q));
        let here = holds(simd, bracket, b, q);
        cheapest = V::Float::select(here, b.smaller(cheapest), cheapest);
        dearest = V::Float::select(here, b.larger(dearest), dearest);
        count = count.plus_where(here, simd.splat(1.0));
    }
    Crowd { cheapest, dearest, count }
}

/// Whether an offer lies inside a bracket.
#[inline(always)]
fn holds<V: Vector>(simd: V, bracket: &Bracket<V::Float>, b: V::Float, q: V::Float) -> <V::Float as Float>::Mask {
    bracket.low.below(b) & b.at_most(bracket.high) & simd.splat(0.0).below(q)
}

/// The number at the place of the first mask that is true, the last number where none is.
#[inline(always)]
fn first_of<V: Vector>(
    [first, second, third]: [<V::Float as Float>::Mask; 3],
    [a, b, c, d]: [V::Float; 4],
) -> V::Float {
    let upper = V::Float::select(third, c, d);
    V::Float::select(first, a, V::Float::select(second, b, upper))
}

/// The offers inside the bracket, one column a lane; places that are left over hold a quantity of zero.
struct Inside {
    prices: [Lanes; ROOM],
    quantities: [Lanes; ROOM],
    counts: [usize; LANES],
}

impl Inside {
    #[inline(always)]
    fn new() -> Self {
        Self { prices: [Lanes::splat(f64::INFINITY); ROOM], quantities: [Lanes::splat(0.0); ROOM], counts: [0; LANES] }
    }

    /// Gathers them in the order of places, as many as there is room for.
    #[inline(always)]
    fn gather<V: Vector>(&mut self, simd: V, offers: Offers<'_>, bracket: &Bracket<V::Float>) {
        for (i, (b, q)) in offers.iter().enumerate() {
            let mut here = holds(simd, bracket, simd.load(b), simd.load(q)).bits();
            while here != 0 {
                let lane = here.trailing_zeros() as usize % LANES;
                here &= here - 1;
                let place = self.counts[lane];
                if place < ROOM {
                    self.prices[place][lane] = offers.prices[i][lane];
                    self.quantities[place][lane] = offers.quantities[i][lane];
                }
                self.counts[lane] += 1;
            }
        }
    }

    /// The count of the lane with most offers.
    #[inline(always)]
    fn most(&self) -> usize {
        self.counts.iter().fold(0, |most, count| most.max(*count))
    }

    /// The lanes with more than there is room for.
    #[inline(always)]
    fn crowded<V: Vector>(&self, simd: V) -> <V::Float as Float>::Mask {
        let mut counts = Lanes::splat(0.0);
        for (lane, count) in self.counts.iter().enumerate() {
            counts[lane] = *count as f64;
        }
        simd.splat(ROOM as f64).below(simd.load(&counts))
    }

    #[inline(always)]
    fn offers(&self) -> Offers<'_> {
        let most = self.most().min(ROOM);
        Offers { prices: &self.prices[..most], quantities: &self.quantities[..most] }
    }
}
