//! Small games for the tests, and a batch with buffers of its own.

use std::sync::Arc;

use vecmarket::batch::{Batch, Layout, Resets};
use vecmarket::error::Result;
use vecmarket::nn::{Activation, Shape};
use vecmarket::observers::Feature;
use vecmarket::policy::{Policy, Weights};
use vecmarket::rng::{Kind, Streams};
use vecmarket::scenario::Scenario;
use vecmarket::seats::Seats;
use vecmarket::spec::{
    Availability, BiddingRule, DemandSpec, EpisodeEnd, EpisodeStart, GeneratorSpec, Kink, Number, Pricing, RewardScale,
    RewardSpec, RulesSpec, Scarcity, Spec, TieBreak,
};
use vecmarket::step::{Autoreset, Outputs};

/// A fleet of `agents` units under two days of demand, with noise and a drawn capacity.
pub fn spec(agents: usize) -> Spec {
    let unit = |i: usize| GeneratorSpec {
        name: format!("G{i}"),
        capacity_mw: if i == 0 { Number::Uniform { low: 20.0, high: 40.0 } } else { Number::Fixed(30.0) },
        srmc: Number::Fixed(20.0 + i as f64),
        availability: Availability::Constant(1.0),
    };
    Spec {
        generators: (0..agents).map(unit).collect(),
        demand: DemandSpec {
            series_mw: (0..48).map(|h| 20.0 * agents as f64 * (1.0 + 0.3 * f64::sin(f64::from(h)))).collect(),
            noise: Number::Fixed(0.05),
            factor: Number::Fixed(1.0),
            first_hour: 0,
        },
        horizon: 5,
        rules: RulesSpec {
            pricing: Pricing::Uniform,
            kink: Kink::Lower,
            scarcity: Scarcity::LastOffer,
            tie_break: TieBreak::Random,
            price_floor: None,
            price_cap: None,
        },
        bidding: BiddingRule::WithholdAndMarkup,
        max_bid_delta: Number::Fixed(50.0),
        reward: RewardSpec { scale: RewardScale::Seed, weights: RewardSpec::default_weights() },
        observation: vec![Feature::Demand, Feature::HourSinCos, Feature::LastPrice, Feature::RivalOffers],
        episode_end: EpisodeEnd::Terminate,
        episode_start: EpisodeStart::Random,
        days: None,
    }
}

/// The caller's buffers.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffers {
    pub observations: Vec<f32>,
    pub final_observations: Vec<f32>,
    pub rewards: Vec<f32>,
    pub terminated: Vec<bool>,
    pub truncated: Vec<bool>,
    pub prices: Vec<f64>,
    pub demand: Vec<f64>,
    pub unserved: Vec<f64>,
    pub dispatch: Vec<f64>,
    pub profits: Vec<f64>,
}

impl Buffers {
    pub fn new(layout: Layout, steps: usize) -> Self {
        let (rows, agents) = (layout.envs * steps, layout.envs * steps * layout.agents);
        let acting = rows * layout.acting;
        Self {
            observations: vec![0.0; acting * layout.width],
            final_observations: vec![0.0; acting * layout.width],
            rewards: vec![0.0; acting],
            terminated: vec![false; rows],
            truncated: vec![false; rows],
            prices: vec![0.0; rows],
            demand: vec![0.0; rows],
            unserved: vec![0.0; rows],
            dispatch: vec![0.0; agents],
            profits: vec![0.0; agents],
        }
    }

    pub fn outputs(&mut self) -> Outputs<'_> {
        Outputs {
            observations: &mut self.observations,
            final_observations: &mut self.final_observations,
            rewards: &mut self.rewards,
            terminated: &mut self.terminated,
            truncated: &mut self.truncated,
            prices: &mut self.prices,
            demand: &mut self.demand,
            unserved: &mut self.unserved,
            dispatch: &mut self.dispatch,
            profits: &mut self.profits,
        }
    }
}

/// A batch with its buffers.
pub struct Game {
    pub batch: Batch,
    pub buffers: Buffers,
}

impl Game {
    pub fn new(spec: Spec, envs: i64, seed: u64, threads: i64) -> Self {
        let seats = Seats::all_act(spec.generators.len());
        Self::seated(spec, envs, seed, threads, seats)
    }

    pub fn seated(spec: Spec, envs: i64, seed: u64, threads: i64, seats: Seats) -> Self {
        let scenario = Arc::new(Scenario::compile(spec).expect("a legal scenario"));
        let batch = Batch::new(scenario, envs, seed, threads, seats).expect("a legal batch");
        let buffers = Buffers::new(batch.layout(), 1);
        Self { batch, buffers }
    }

    pub fn reset(&mut self) {
        self.batch.reset(Resets::default(), self.buffers.outputs()).expect("a legal reset");
    }

    pub fn step(&mut self, actions: &[f32], autoreset: Autoreset) -> Result<()> {
        self.batch.step(actions, autoreset, self.buffers.outputs())
    }
}

/// A policy that sees what the agents of a market with so many of them see, with drawn weights.
pub fn policy(agents: usize, seed: u64, hidden: &[usize], sampled: bool) -> Arc<Policy> {
    let shape =
        Shape { inputs: 4 + 2 * (agents - 1), hidden: hidden.to_vec(), outputs: 2, activation: Activation::Tanh };
    frozen(shape, seed, sampled)
}

/// A policy with drawn weights.
pub fn frozen(shape: Shape, seed: u64, sampled: bool) -> Arc<Policy> {
    let uniform = |i| Streams::new(seed, 0).uniform(0, Kind::Parameter, i) as f32;
    let weights = Weights {
        parameters: (0..shape.parameters() as u32).map(|i| 1.2 * uniform(i) - 0.6).collect(),
        centre: vec![0.25; shape.inputs],
        scale: vec![0.5; shape.inputs],
        std: vec![0.2, 0.4],
        low: vec![0.0, -10.0],
        high: vec![1.0, 10.0],
        sampled,
        shape,
    };
    Arc::new(Policy::new(weights).expect("a legal policy"))
}

/// Actions that differ between environments, agents and steps, and leave the box now and then.
pub fn actions(layout: Layout, step: usize) -> Vec<f32> {
    let n = layout.envs * layout.acting * 2;
    (0..n).map(|i| 1.7 * ((i * 37 + step * 101) as f32 * 0.618).sin()).collect()
}
