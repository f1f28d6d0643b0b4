//! The reward: a scaled, weighted sum of named terms. A new term is one variant here.

use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::Shard;
use crate::simd::{LANES, Lanes, lanes};
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
pub struct AgentStep<'a> {
    /// Profit, $.
    pub profit: &'a Lanes,
    /// Offered price after floor and cap, $/MWh.
    pub offer_price: &'a Lanes,
    /// Offered quantity, MW.
    pub offer_quantity: &'a Lanes,
    /// Capacity, MW.
    pub capacity: &'a Lanes,
    /// SRMC, $/MWh.
    pub srmc: &'a Lanes,
    /// Dispatched quantity, MW.
    pub dispatch: &'a Lanes,
    /// The market's unserved energy, MWh.
    pub unserved: &'a Lanes,
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
    fn value(self, step: &AgentStep<'_>) -> Lanes {
        match self {
            Self::Profit => *step.profit,
            Self::BidPenalty => lanes(|l| -(step.offer_price[l] - step.srmc[l]).powi(2)),
            Self::UnservedPenalty => lanes(|l| -step.unserved[l]),
        }
    }
}

/// Writes the rewards of the acting agents of a block, (rows, L); `profits` is (A,) lanes.
#[inline(always)]
pub fn reward(scenario: &Scenario, seats: &Seats, shard: &Shard, block: usize, profits: &[Lanes], rewards: &mut [f32]) {
    let (agents, slots) = (scenario.agents(), scenario.slots());
    let acting = seats.acting();
    let state = &shard.state;
    for (slot, &agent) in acting.iter().enumerate() {
        let cell = block * agents + agent;
        let capacity = shard.numbers.block(block, slots.capacity(agent));
        let srmc = shard.numbers.block(block, slots.srmc(agent));
        let step = AgentStep {
            profit: &profits[agent],
            offer_price: &state.offer_price[cell],
            offer_quantity: &state.offer_quantity[cell],
            capacity: &capacity,
            srmc: &srmc,
            dispatch: &state.dispatch[cell],
            unserved: &state.unserved[block],
        };
        let mut sum = [0.0; LANES];
        for &term in &scenario.terms {
            let weight = shard.numbers.block(block, slots.weight(term));
            let value = Term::ALL[term].value(&step);
            for l in 0..LANES {
                sum[l] += weight[l] * value[l];
            }
        }
        for (row, x) in rewards.chunks_exact_mut(acting.len()).zip(sum) {
            row[slot] = (scenario.reward_scale * x) as f32;
        }
    }
}
