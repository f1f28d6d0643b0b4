//! What the price is, and who is paid what: of one market, or of eight at once.

use crate::scenario::Rules;
use crate::simd::{Arithmetic, Float, One};
use crate::spec::{Kink, Pricing, Scarcity};

/// The rules of pricing for markets that are cleared side by side.
#[derive(Debug, Clone, Copy)]
pub struct Prices<A: Arithmetic> {
    /// The arithmetic.
    pub simd: A,
    /// The rules.
    pub rules: Rules,
    /// Price floors, $/MWh; -infinity for none.
    pub floor: A::Float,
    /// Price caps, $/MWh; infinity for none.
    pub cap: A::Float,
}

impl<A: Arithmetic> Prices<A> {
    /// Price when there is no demand: the floor if set, else 0.
    #[inline(always)]
    pub fn without_demand(&self) -> A::Float {
        floor_or_zero(self.simd, self.floor)
    }

    /// Price when everything offered is less than demand: `dearest` is the dearest offer with positive quantity, where
    /// `anybody` says that there is one.
    #[inline(always)]
    pub fn in_shortage(&self, dearest: A::Float, anybody: <A::Float as Float>::Mask) -> A::Float {
        let capped = self.cap.below(self.simd.splat(f64::INFINITY));
        let nobody = A::Float::select(capped, self.cap, self.floor.larger(self.simd.splat(0.0)));
        let somebody = match (self.rules.pricing, self.rules.scarcity) {
            (Pricing::Uniform, Scarcity::Cap) => self.cap,
            _ => dearest,
        };
        A::Float::select(anybody, somebody, nobody)
    }

    /// Price at the margin; `next` is the next offer in merit order, which counts where `exactly` says that supply meets
    /// demand exactly at a unit's end.
    #[inline(always)]
    pub fn at_the_margin(&self, marginal: A::Float, next: A::Float, exactly: <A::Float as Float>::Mask) -> A::Float {
        match (self.rules.pricing, self.rules.kink) {
            (Pricing::PayAsBid, _) | (_, Kink::Lower) => marginal,
            (Pricing::Uniform, Kink::Upper) => A::Float::select(exactly, next, marginal),
            (Pricing::Uniform, Kink::Mid) => {
                A::Float::select(exactly, self.simd.splat(0.5) * (marginal + next), marginal)
            }
        }
    }
}

impl Rules {
    /// True where a price may depend on the offer above the marginal one.
    #[inline]
    pub fn look_above_the_margin(self) -> bool {
        self.pricing == Pricing::Uniform && self.kink != Kink::Lower
    }
}

/// The floor if set, else 0.
#[inline(always)]
fn floor_or_zero<A: Arithmetic>(simd: A, floor: A::Float) -> A::Float {
    A::Float::select(simd.splat(f64::NEG_INFINITY).below(floor), floor, simd.splat(0.0))
}

/// Price when there is no demand: the floor if set, else 0.
#[inline]
pub fn without_demand((floor, _): (f64, f64)) -> f64 {
    floor_or_zero(One, floor)
}

/// Price when everything offered is less than demand; `dearest` is the dearest offer with positive quantity.
#[inline]
pub fn in_shortage(rules: Rules, (floor, cap): (f64, f64), dearest: Option<f64>) -> f64 {
    Prices { simd: One, rules, floor, cap }.in_shortage(dearest.unwrap_or(0.0), dearest.is_some())
}

/// Price at the margin; `next` is the next offer in merit order where supply meets demand exactly at a unit's end.
#[inline]
pub fn at_the_margin(rules: Rules, marginal: f64, next: Option<f64>) -> f64 {
    let prices = Prices { simd: One, rules, floor: f64::NEG_INFINITY, cap: f64::INFINITY };
    prices.at_the_margin(marginal, next.unwrap_or(marginal), next.is_some())
}

/// What one agent is paid per MWh.
#[inline(always)]
pub fn paid<F: Float>(pricing: Pricing, clearing_price: F, offer: F) -> F {
    match pricing {
        Pricing::Uniform => clearing_price,
        Pricing::PayAsBid => offer,
    }
}
