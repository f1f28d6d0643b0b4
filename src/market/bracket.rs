//! The marginal offers among many: a bracket around the marginal price, narrowed until few offers are left inside.

use super::lanes::{Margin, Offers, Survey, cheapest_above, margin, supply_up_to, try_all};
use crate::simd::{Float, LANES, Lanes, Mask, Vector};

/// Offers of a lane that may be left inside the bracket.
const ROOM: usize = 16;
/// Passes that a bracket may take beyond the usual number; two numbers of 64 bits cannot be halved more often.
const MOST_PASSES: usize = 40;

/// Prices between which the marginal one lies: above `low`, and not above `high`.
struct Bracket<F> {
    low: F,
    high: F,
    /// Supply up to `low`.
    supply: F,
}

/// Finds the marginal offers of each lane in which supply reaches `enough`.
#[inline(always)]
pub(super) fn find<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    survey: &Survey<V::Float>,
    enough: V::Float,
) -> Margin<V::Float> {
    // A step below the cheapest offer that no rounding takes back.
    let step = simd.splat(1.0) + simd.splat(1e-9) * survey.cheapest.magnitude();
    let mut bracket =
        Bracket { low: survey.cheapest - step, high: survey.dearest, supply: simd.splat(0.0) };
    // Each pass leaves a quarter; the usual number leaves two or three offers where prices lie evenly.
    let mut passes = offers.prices.len().ilog2().div_ceil(2) as usize;
    let mut taken = 0;
    while taken < MOST_PASSES {
        for _ in 0..passes {
            bracket = narrower(simd, offers, bracket, enough);
        }
        taken += passes;
        passes = 2;
        let mut inside = Inside::new();
        if inside.gather(simd, offers, &bracket) {
            let left = inside.offers();
            let tried = try_all(simd, left, bracket.supply, enough);
            // Sums up to the bracket's ends and sums inside it are rounded differently: where the offers inside fall
            // short by that, the dearest of them is marginal.
            let reached = tried.lowest.below(simd.splat(f64::INFINITY));
            let price = V::Float::select(reached, tried.lowest, tried.dearest);
            return margin(simd, left, bracket.supply, price);
        }
    }
    // More offers at one price than there is room for.
    walk(simd, offers, enough, bracket.low)
}

/// A quarter of the bracket.
#[inline(always)]
fn narrower<V: Vector>(
    simd: V,
    offers: Offers<'_>,
    bracket: Bracket<V::Float>,
    enough: V::Float,
) -> Bracket<V::Float> {
    let Bracket { low, high, supply } = bracket;
    let middle = simd.splat(0.5) * (low + high);
    let tried = [simd.splat(0.5) * (low + middle), middle, simd.splat(0.5) * (middle + high)];
    let supplies = supply_up_to(simd, offers, simd.splat(0.0), tried);
    let reached = [enough.at_most(supplies[0]), enough.at_most(supplies[1]), enough.at_most(supplies[2])];
    Bracket {
        low: first_of::<V>(reached, [low, tried[0], tried[1], tried[2]]),
        high: first_of::<V>(reached, [tried[0], tried[1], tried[2], high]),
        supply: first_of::<V>(reached, [supply, supplies[0], supplies[1], supplies[2]]),
    }
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

    /// Gathers them in the order of places; false where there are too many.
    #[inline(always)]
    fn gather<V: Vector>(&mut self, simd: V, offers: Offers<'_>, bracket: &Bracket<V::Float>) -> bool {
        let zero = simd.splat(0.0);
        for (i, (b, q)) in offers.iter().enumerate() {
            let (b, q) = (simd.load(b), simd.load(q));
            let mut here = (bracket.low.below(b) & b.at_most(bracket.high) & zero.below(q)).bits();
            while here != 0 {
                let lane = here.trailing_zeros() as usize % LANES;
                here &= here - 1;
                let place = self.counts[lane];
                if place == ROOM {
                    return false;
                }
                self.prices[place][lane] = offers.prices[i][lane];
                self.quantities[place][lane] = offers.quantities[i][lane];
                self.counts[lane] += 1;
            }
        }
        true
    }

    #[inline(always)]
    fn offers(&self) -> Offers<'_> {
        let most = self.counts.iter().fold(0, |most, count| most.max(*count));
        Offers { prices: &self.prices[..most], quantities: &self.quantities[..most] }
    }
}

/// Tries the prices above `low` one after another until every lane has reached demand or run out of offers.
#[inline(always)]
fn walk<V: Vector>(simd: V, offers: Offers<'_>, enough: V::Float, low: V::Float) -> Margin<V::Float> {
    let zero = simd.splat(0.0);
    let mut price = low;
    loop {
        let here = margin(simd, offers, zero, price);
        let next = cheapest_above(simd, offers, price);
        let short = (here.below + here.at).below(enough) | here.at.at_most(zero);
        let go_on = short & next.below(simd.splat(f64::INFINITY));
        if !go_on.any() {
            return here;
        }
        price = V::Float::select(go_on, next, price);
    }
}
