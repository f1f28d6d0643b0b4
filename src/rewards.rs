//! The reward: a scaled, weighted sum of named terms. A new term is one variant here.

use crate::scenario::Scenario;
use crate::shard::Numbers;
use crate::simd::{LANES, Vector};
use crate::spec::named;

named! {
    /// A term of the reward.
    Term {
        /// Profit, $.
        Profit = "profit",
        /// Minus the squared distance of the offer from SRMC, ($/MWh)^2.
        BidPenalty = "bid_penalty",
        /// Minus the market's unserved energy, MWh.
        UnservedPenalty = "unserved_penalty",
    }
}

/// What one agent's step came to in each environment of a block: all that a term may look at.
#[derive(Debug, Clone, Copy)]
pub struct AgentStep<F> {
    /// Profit, $.
    pub profit: F,
    /// Offered price after floor and cap, $/MWh.
    pub offer_price: F,
    /// Offered quantity, MW.
    pub offer_quantity: F,
    /// Capacity, MW.
    pub capacity: F,
    /// SRMC, $/MWh.
    pub srmc: F,
    /// Dispatched quantity, MW.
    pub dispatch: F,
    /// The market's unserved energy, MWh.
    pub unserved: F,
}

impl Term {
    /// The weight that a scenario gives when it says nothing.
    pub fn default_weight(self) -> f64 {
        match self {
            Self::Profit | Self::UnservedPenalty => 1.0,
            Self::BidPenalty => 0.01,
        }
    }

    /// The term's value before its weight, in each of the environments of a block.
    #[inline(always)]
    fn value<V: Vector>(self, simd: V, step: &AgentStep<V::Float>) -> V::Float {
        let zero = simd.splat(0.0);
        match self {
            Self::Profit => step.profit,
            Self::BidPenalty => {
                let distance = step.offer_price - step.srmc;
                zero - distance * distance
            }
            Self::UnservedPenalty => zero - step.unserved,
        }
    }
}

/// The rewards of one agent in the environments of a block.
#[inline(always)]
pub fn reward<V: Vector>(
    simd: V,
    scenario: &Scenario,
    numbers: &Numbers,
    block: usize,
    step: &AgentStep<V::Float>,
) -> [f32; LANES] {
    let slots = scenario.slots();
    let mut sum = simd.splat(0.0);
    for &term in &scenario.terms {
        let weight = numbers.of_block(simd, block, slots.weight(term));
        sum = sum + weight * Term::ALL[term].value(simd, step);
    }
    simd.narrow(simd.splat(scenario.reward_scale) * sum)
}
