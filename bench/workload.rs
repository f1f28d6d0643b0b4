//! What the Rust benchmarks run: the scenario `default` with any number of generators, played with actions that differ
//! between environments and steps, and the offers of such markets.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution, StandardNormal, Uniform};
use vecmarket::batch::Layout;
use vecmarket::bidding::ACTION_WIDTH;
use vecmarket::market::{self, Scratch};
use vecmarket::nn::{Activation, Shape};
use vecmarket::observers::Feature;
use vecmarket::policy::Policy;
use vecmarket::scenario::Rules;
use vecmarket::seats::{Mixture, Seat, Seats};
use vecmarket::spec::{
    Availability, BiddingRule, DemandSpec, EpisodeEnd, EpisodeStart, GeneratorSpec, Kink, Number, Pricing, RewardScale,
    RewardSpec, RulesSpec, Scarcity, Spec, TieBreak,
};
use vecmarket::step::Autoreset;

// The tests' batch with buffers of its own; they play it in more ways than a benchmark does.
#[allow(dead_code)]
#[path = "../tests/rust/game.rs"]
mod game;

use game::Game;

/// Steps of an episode, hours.
pub const HOURS: usize = 24;
const FLEET_MW: f64 = 150.0;
const CHEAPEST: f64 = 20.0;
const DEAREST: f64 = 40.0;
const MARKUP: f64 = 50.0;
/// No price floor and no cap, $/MWh.
pub const NO_BOUNDS: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
/// The rules of `default`.
pub const RULES: Rules =
    Rules { pricing: Pricing::Uniform, kink: Kink::Lower, scarcity: Scarcity::LastOffer, tie_break: TieBreak::ProRata };

/// Memory that drawn actions may take; from there on hours share them.
const POOL_BYTES: usize = 128 << 20;
const FEWEST_DRAWS: usize = 4;

/// A batch in play, on one thread, with the actions of its coming steps.
pub struct Play {
    game: Game,
    pool: Vec<Vec<f32>>,
    next: usize,
}

impl Play {
    /// Environments that have been reset; with `one_learner` the other agents bid truthfully, else all act.
    pub fn new(generators: usize, envs: usize, one_learner: bool) -> Self {
        let others = if one_learner { Seat::Truthful } else { Seat::Acts };
        Self::against(others, generators, envs)
    }

    /// A learner whose rivals all play one policy.
    #[allow(dead_code)] // The count of instructions does not play policies.
    pub fn among_policies(generators: usize, envs: usize) -> Self {
        Self::against(Seat::Mixed(Arc::new(Mixture::only(drawn_policy()))), generators, envs)
    }

    fn against(others: Seat, generators: usize, envs: usize) -> Self {
        let seat = |i| if i == 0 { Seat::Acts } else { others.clone() };
        let seats = Seats::new((0..generators).map(seat).collect(), generators).expect("one seat per agent");
        let mut game = Game::seated(default_spec(generators), envs as i64, 1, 1, seats);
        game.reset();
        let pool = draw_actions(game.batch.layout());
        Self { game, pool, next: 0 }
    }

    /// One step of every environment, with the next actions.
    pub fn step(&mut self) {
        let actions = &self.pool[self.next];
        self.next = (self.next + 1) % self.pool.len();
        self.game.step(actions, Autoreset::SameStep).expect("a legal step");
    }

    /// Steps with or without asking for memory ahead.
    #[allow(dead_code)] // The count of instructions does not compare the two.
    pub fn ask_ahead(&mut self, ask: bool) {
        self.game.batch.ask_ahead(ask);
    }

    /// Steps with the instructions of another level.
    #[allow(dead_code)] // The count of instructions takes the level from the environment, as a user does.
    pub fn set_simd(&mut self, simd: vecmarket::simd::Simd) {
        self.game.batch.set_simd(simd);
    }
}

/// The network that the trainer begins with, with drawn weights.
#[allow(dead_code)] // The count of instructions does not play policies.
pub fn drawn_policy() -> Arc<Policy> {
    let shape = Shape { inputs: 7, hidden: vec![64, 64], outputs: 2, activation: Activation::Tanh };
    game::frozen(shape, 1, false)
}

/// The scenario `default` of the Python package.
fn default_spec(generators: usize) -> Spec {
    let unit = |i: usize| GeneratorSpec {
        name: format!("G{i}"),
        capacity_mw: Number::Fixed(FLEET_MW / generators as f64),
        srmc: Number::Fixed(cost(i, generators)),
        availability: Availability::Constant(1.0),
    };
    Spec {
        generators: (0..generators).map(unit).collect(),
        demand: DemandSpec {
            series_mw: (0..HOURS).map(base_demand).collect(),
            noise: Number::Fixed(0.05),
            factor: Number::Fixed(1.0),
            first_hour: 0,
        },
        horizon: HOURS as i64,
        rules: RulesSpec {
            pricing: RULES.pricing,
            kink: RULES.kink,
            scarcity: RULES.scarcity,
            tie_break: RULES.tie_break,
            price_floor: None,
            price_cap: None,
        },
        bidding: BiddingRule::WithholdAndMarkup,
        max_bid_delta: Number::Fixed(MARKUP),
        reward: RewardSpec { scale: RewardScale::Seed, weights: RewardSpec::default_weights() },
        observation: vec![
            Feature::Demand,
            Feature::Capacity,
            Feature::Cost,
            Feature::HourSinCos,
            Feature::WeekdaySinCos,
        ],
        episode_end: EpisodeEnd::Terminate,
        episode_start: EpisodeStart::First,
        days: None,
    }
}

fn cost(i: usize, generators: usize) -> f64 {
    CHEAPEST + (DEAREST - CHEAPEST) * i as f64 / (generators - 1).max(1) as f64
}

fn base_demand(hour: usize) -> f64 {
    50.0 * ((std::f64::consts::TAU * hour as f64 / (HOURS - 1) as f64).sin() + 1.5)
}

/// One array (N, L, 2) per hour: withheld shares uniform on [0, 1), price parameters from a standard normal.
fn draw_actions(layout: Layout) -> Vec<Vec<f32>> {
    let rows = layout.envs * layout.acting;
    let bytes = rows * ACTION_WIDTH * size_of::<f32>();
    let hours = (POOL_BYTES / bytes).clamp(FEWEST_DRAWS, HOURS);
    let mut rng = seeded();
    (0..hours).map(|_| (0..rows).flat_map(|_| draw_action(&mut rng)).collect()).collect()
}

fn draw_action(rng: &mut Xoshiro256PlusPlus) -> [f32; ACTION_WIDTH] {
    [share().sample(rng) as f32, StandardNormal.sample(rng)]
}

fn share() -> Uniform<f64> {
    Uniform::new(0.0, 1.0).expect("an interval")
}

fn seeded() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(1)
}

/// The offers of one market in one hour, and its demand.
pub struct Market {
    /// $/MWh, (G,).
    pub prices: Vec<f64>,
    /// MW, (G,).
    pub quantities: Vec<f64>,
    /// MW.
    pub demand: f64,
}

/// What random actions offer in random hours.
pub fn draw_markets(generators: usize, count: usize) -> Vec<Market> {
    let mut rng = seeded();
    let hour = Uniform::new(0, HOURS).expect("a range");
    let market = |_| {
        let offers = (0..generators).map(|i| {
            let [withheld, parameter] = draw_action(&mut rng).map(f64::from);
            (cost(i, generators) + MARKUP * parameter.tanh(), (1.0 - withheld) * FLEET_MW / generators as f64)
        });
        let (prices, quantities) = offers.unzip();
        let demand = base_demand(hour.sample(&mut rng)) * (0.95 + 0.1 * share().sample(&mut rng));
        Market { prices, quantities, demand }
    };
    (0..count).map(market).collect()
}

/// Clears drawn markets one by one with the plain kernel.
pub struct PlainClear {
    markets: Vec<Market>,
    scratch: Scratch,
    dispatch: Vec<f64>,
}

impl PlainClear {
    /// Draws the markets.
    pub fn new(generators: usize, count: usize) -> Self {
        let dispatch = vec![0.0; generators];
        Self { markets: draw_markets(generators, count), scratch: Scratch::default(), dispatch }
    }

    /// Clears every market once.
    pub fn clear_all(&mut self) {
        for Market { prices, quantities, demand } in &self.markets {
            let outcome =
                market::clear(RULES, NO_BOUNDS, prices, quantities, *demand, &mut self.scratch, &mut self.dispatch);
            std::hint::black_box((outcome, &self.dispatch));
        }
    }
}
