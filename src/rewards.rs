//! The reward: a scaled, weighted sum of named terms. A new term is one variant here.

use crate::numbers::Number;
use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::{Block, Working};
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

/// Writes the rewards of the acting agents in the environments of a block into the scratch, which holds the profits.
#[inline(always)]
pub fn reward<V: Vector, N: Number>(
    simd: V,
    scenario: &Scenario,
    seats: &Seats,
    numbers: &[N],
    block: &Block<'_>,
    scratch: &mut Working,
) {
    let slots = scenario.slots();
    let scale = simd.splat(scenario.reward_scale);
    let mut weights = [simd.splat(0.0); Term::ALL.len()];
    for (term, weight) in weights.iter_mut().enumerate() {
        *weight = numbers[slots.weight(term)].get(simd);
    }
    let (capacities, rest) = numbers.split_at(scenario.agents());
    let unserved = simd.load(&block.head.unserved);
    scratch.rewards.resize(seats.acting().len(), [0.0; LANES]);
    for (reward, &agent) in scratch.rewards.iter_mut().zip(seats.acting()) {
        let step = AgentStep {
            profit: simd.load(&scratch.profits[agent]),
            offer_price: simd.load(&block.offer_price[agent]),
            offer_quantity: simd.load(&block.offer_quantity[agent]),
            capacity: capacities[agent].get(simd),
            srmc: rest[agent].get(simd),
            dispatch: simd.load(&block.dispatch[agent]),
            unserved,
        };
        // Terms without weight are summed too: they add nothing, and a sum of all terms needs no loop.
        let mut sum = simd.splat(0.0);
        for (term, weight) in Term::ALL.iter().zip(weights) {
            sum = sum + weight * term.value(simd, &step);
        }
        *reward = simd.narrow(scale * sum);
    }
}
