//! The reward: a scaled, weighted sum of named terms. A new term is one variant here.

use crate::scenario::Scenario;
use crate::seats::Seats;
use crate::shard::Shard;
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

/// What one agent's step came to: all that a term may look at.
#[derive(Debug, Clone, Copy)]
pub struct AgentStep {
    /// Profit, $.
    pub profit: f64,
    /// Offered price after floor and cap, $/MWh.
    pub offer_price: f64,
    /// Offered quantity, MW.
    pub offer_quantity: f64,
    /// Capacity, MW.
    pub capacity: f64,
    /// SRMC, $/MWh.
    pub srmc: f64,
    /// Dispatched quantity, MW.
    pub dispatch: f64,
    /// The market's unserved energy, MWh.
    pub unserved: f64,
}

impl Term {
    /// The weight that a scenario gives when it says nothing.
    pub fn default_weight(self) -> f64 {
        match self {
            Self::Profit | Self::UnservedPenalty => 1.0,
            Self::BidPenalty => 0.01,
        }
    }

    /// The term's value before its weight.
    #[inline]
    fn value(self, step: &AgentStep) -> f64 {
        match self {
            Self::Profit => step.profit,
            Self::BidPenalty => -(step.offer_price - step.srmc).powi(2),
            Self::UnservedPenalty => -step.unserved,
        }
    }
}

/// Writes the rewards of the acting agents, (S, L).
pub fn reward(scenario: &Scenario, seats: &Seats, shard: &Shard, profits: &[f64], rewards: &mut [f32]) {
    let agents = scenario.agents();
    let acting = seats.acting();
    for (row, rewards) in rewards.chunks_exact_mut(acting.len()).enumerate() {
        let parameters = shard.parameters(scenario, row);
        for (reward, &agent) in rewards.iter_mut().zip(acting) {
            let cell = row * agents + agent;
            let step = AgentStep {
                profit: profits[cell],
                offer_price: shard.state.offer_price[cell],
                offer_quantity: shard.state.offer_quantity[cell],
                capacity: parameters.capacity[agent],
                srmc: parameters.srmc[agent],
                dispatch: shard.state.dispatch[cell],
                unserved: shard.state.unserved[row],
            };
            let mut sum = 0.0;
            for &term in &scenario.terms {
                sum += parameters.weight(term) * Term::ALL[term].value(&step);
            }
            *reward = (scenario.reward_scale * sum) as f32;
        }
    }
}
