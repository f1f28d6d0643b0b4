//! Settlement: profits from prices and dispatch.

use crate::market::pricing::paid;
use crate::simd::Float;
use crate::spec::Pricing;

/// Profit, $, of one agent: what is paid less SRMC, times what runs.
#[inline(always)]
pub fn profit<F: Float>(pricing: Pricing, clearing_price: F, offer_price: F, srmc: F, dispatch: F) -> F {
    paid(pricing, clearing_price, offer_price) * dispatch - srmc * dispatch
}
