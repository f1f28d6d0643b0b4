//! What the price is, and who is paid what.

use crate::scenario::Rules;
use crate::spec::{Kink, Pricing, Scarcity};

/// Price when there is no demand: the floor if set, else 0.
#[inline]
pub fn without_demand((floor, _): (f64, f64)) -> f64 {
    if floor.is_finite() { floor } else { 0.0 }
}

/// Price when everything offered is less than demand; `dearest` is the dearest offer with positive quantity.
#[inline]
pub fn in_shortage(rules: Rules, (floor, cap): (f64, f64), dearest: Option<f64>) -> f64 {
    match (dearest, rules.pricing, rules.scarcity) {
        (None, _, _) if cap.is_finite() => cap,
        (None, _, _) => floor.max(0.0),
        (Some(_), Pricing::Uniform, Scarcity::Cap) => cap,
        (Some(dearest), _, _) => dearest,
    }
}

/// Price at the margin; `next` is the next offer in merit order where supply meets demand exactly at a unit's end.
#[inline]
pub fn at_the_margin(rules: Rules, marginal: f64, next: Option<f64>) -> f64 {
    match (rules.pricing, rules.kink, next) {
        (Pricing::PayAsBid, _, _) | (_, Kink::Lower, _) | (_, _, None) => marginal,
        (Pricing::Uniform, Kink::Upper, Some(next)) => next,
        (Pricing::Uniform, Kink::Mid, Some(next)) => 0.5 * (marginal + next),
    }
}

/// What one agent is paid per MWh.
#[inline]
pub fn paid(pricing: Pricing, clearing_price: f64, offer: f64) -> f64 {
    match pricing {
        Pricing::Uniform => clearing_price,
        Pricing::PayAsBid => offer,
    }
}
