//! What policies and other players of the engine do in a step: before it, since their actions follow from the state.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::action::{ACTION_WIDTH, Action};
use crate::bidding::Bids;
use crate::error::{Error, Result};
use crate::nn::Tile;
use crate::policy::{Act, Policy};
use crate::rng::{self, Kind};
use crate::rows::{self, Template};
use crate::scenario::Scenario;
use crate::seats::{Mixture, Player};
use crate::shard::{SHARD, Shard};
use crate::simd::{LANES, Lanes, Simd, Vector, Work};

/// Weights whose products take as long as the step of one agent of a large market.
const WEIGHTS_OF_AN_AGENT: usize = 256;

/// The agents that mixtures of players play, P of them.
#[derive(Debug)]
pub struct Rivals {
    places: Vec<Place>,
    /// Writes what they see.
    template: Template,
    /// Every policy once.
    policies: Vec<Arc<Policy>>,
    /// Which tile a policy works in: those of one shape share one.
    tile: Vec<usize>,
    /// Any place is played by one of several, so that who plays changes.
    drawn: bool,
    /// Any policy draws its actions.
    sampled: bool,
    work: usize,
    /// One for each thread that may come.
    desks: Vec<Mutex<Desk>>,
}

/// One agent that a mixture plays.
#[derive(Debug)]
struct Place {
    agent: usize,
    mixture: Arc<Mixture>,
    hands: Vec<Hand>,
}

/// How one player plays.
#[derive(Debug, Clone, Copy)]
struct Hand {
    /// Place of its policy, or one past the last for none.
    policy: u32,
    /// $/MWh.
    markup: f64,
}

/// Where a shard's players decide. S rows; holds nothing between steps but what is the same in all of them.
#[derive(Debug)]
pub struct Desk {
    /// What they see, (S, P, F).
    observations: Vec<f32>,
    /// Standard normal numbers, (S, P).
    noise: Vec<Action>,
    /// Which policy plays, (S, P).
    policies: Vec<u32>,
    /// The cells of the above, policy by policy, and where each policy's begin.
    cells: Vec<u32>,
    begins: Vec<usize>,
    /// How many cells are in order: they stay so where nobody is drawn.
    ordered: usize,
    tiles: Vec<Tile>,
    /// What they do, (S, P).
    actions: Vec<Action>,
    /// The same before it is cut to its bounds, (S, P); empty where nobody asks for it.
    drawn: Vec<Action>,
    /// $/MWh, (S / 8 blocks, P).
    markups: Vec<Lanes>,
    /// P.
    places: usize,
}

/// What some rows of a desk come to.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// (rows, P, F).
    pub observations: &'a [f32],
    /// Within their bounds, (rows, P).
    pub actions: &'a [Action],
    /// Before they are cut to their bounds, (rows, P).
    pub drawn: &'a [Action],
    /// Standard normal numbers, (rows, P); of no meaning where nobody draws.
    pub noise: &'a [Action],
}

impl Desk {
    /// What the first rows saw, (rows, P, F), and did, (rows, P), with the noise that they did it with.
    pub fn shown(&self, rows: usize) -> Shown<'_> {
        let cells = rows * self.places;
        let width = self.observations.len() / self.noise.len();
        Shown {
            observations: &self.observations[..cells * width],
            actions: &self.actions[..cells],
            drawn: &self.drawn[..cells],
            noise: &self.noise[..cells],
        }
    }

    /// What they bid, beside those who act.
    #[inline]
    pub fn bids<'a>(&'a self, acting: &'a [Action]) -> Bids<'a> {
        Bids { acting, players: &self.actions, markups: &self.markups, places: self.places }
    }
}

impl Rivals {
    /// Who plays which agent, None where that is nobody. So many threads may ask for decisions at a time, also for the
    /// actions before they are cut to their bounds if `shows_drawn`.
    pub fn new(
        scenario: &Scenario,
        mixtures: impl Iterator<Item = (usize, Arc<Mixture>)>,
        threads: usize,
        shows_drawn: bool,
    ) -> Result<Option<Self>> {
        let (mut places, mut policies) = (vec![], vec![]);
        for (agent, mixture) in mixtures {
            let several = mixture.players().len() > 1;
            let mut hands = vec![];
            for (i, player) in mixture.players().iter().enumerate() {
                hands.push(match player {
                    Player::Markup(markup) => (None, *markup),
                    Player::Policy(policy) => {
                        let member = if several { format!(": members[{i}]") } else { String::new() };
                        check_width(&format!("seats[{agent}]{member}"), policy, scenario)?;
                        (Some(place_of(policy, &mut policies)), 0.0)
                    }
                });
            }
            places.push((agent, mixture, hands));
        }
        if places.is_empty() {
            return Ok(None);
        }
        let none = policies.len();
        let places: Vec<Place> = places
            .into_iter()
            .map(|(agent, mixture, hands)| {
                let hand =
                    |(policy, markup): (Option<usize>, f64)| Hand { policy: policy.unwrap_or(none) as u32, markup };
                Place { agent, mixture, hands: hands.into_iter().map(hand).collect() }
            })
            .collect();
        let mut shapes: Vec<&Policy> = vec![];
        let mut tile = vec![];
        for policy in &policies {
            let known = shapes.iter().position(|other| other.shape() == policy.shape());
            tile.push(known.unwrap_or(shapes.len()));
            if known.is_none() {
                shapes.push(policy);
            }
        }
        let agents: Vec<usize> = places.iter().map(|place| place.agent).collect();
        let cells = SHARD * places.len();
        let desk = || Desk {
            observations: vec![0.0; cells * scenario.width],
            noise: vec![[0.0; ACTION_WIDTH]; cells],
            policies: vec![0; cells],
            cells: vec![0; cells],
            begins: vec![0; policies.len() + 2],
            ordered: 0,
            tiles: shapes.iter().map(|policy| policy.tile()).collect(),
            actions: vec![[0.0; ACTION_WIDTH]; cells],
            drawn: vec![[0.0; ACTION_WIDTH]; if shows_drawn { cells } else { 0 }],
            markups: vec![Lanes::default(); SHARD / LANES * places.len()],
            places: places.len(),
        };
        let dearest = |place: &Place| {
            let weights = place.hands.iter().filter_map(|hand| policies.get(hand.policy as usize));
            weights.map(|policy| 1 + policy.shape().parameters() / WEIGHTS_OF_AN_AGENT).max().unwrap_or(0)
        };
        Ok(Some(Self {
            template: Template::new(scenario, &agents),
            drawn: places.iter().any(|place| place.hands.len() > 1),
            sampled: policies.iter().any(|policy| policy.is_sampled()),
            work: places.iter().map(dearest).sum(),
            desks: (0..threads).map(|_| Mutex::new(desk())).collect(),
            places,
            policies,
            tile,
        }))
    }

    /// What they take time for in one environment, in steps of one agent of a large market.
    pub fn work(&self) -> usize {
        self.work
    }

    /// Decides in every environment of a shard.
    pub fn decide(&self, simd: Simd, scenario: &Scenario, shard: &mut Shard) -> MutexGuard<'_, Desk> {
        let mut guard = self.desk();
        let desk = &mut *guard;
        let cells = shard.rows() * self.places.len();
        let order = self.drawn || desk.ordered != cells;
        simd.run(Look { rivals: self, scenario, shard, desk, order });
        if order {
            desk.sort(cells);
        }
        let Desk { observations, noise, cells, begins, tiles, actions, drawn, .. } = desk;
        for (i, policy) in self.policies.iter().enumerate() {
            let rows = &cells[begins[i]..begins[i + 1]];
            let noise = policy.is_sampled().then_some(&noise[..]);
            let (tile, drawn) = (&mut tiles[self.tile[i]], (!drawn.is_empty()).then_some(&mut drawn[..]));
            simd.run(Act { policy, tile, observations, rows, noise, actions, drawn });
        }
        for cell in &cells[begins[self.policies.len()]..begins[self.policies.len() + 1]] {
            actions[*cell as usize] = [0.0; ACTION_WIDTH];
        }
        guard
    }

    /// A desk that is free; at best the one where this thread sat last time, which may still be in its core's cache.
    fn desk(&self) -> MutexGuard<'_, Desk> {
        let (home, count) = (rayon::current_thread_index().unwrap_or(0), self.desks.len());
        let free = (0..count).find_map(|away| self.desks[(home + away) % count].try_lock().ok());
        free.unwrap_or_else(|| self.desks[home % count].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Desk {
    /// Orders the first cells by policy.
    fn sort(&mut self, count: usize) {
        let Self { policies, cells, begins, .. } = self;
        let policies = &policies[..count];
        // Counted one further on, and so each sum is where a policy begins; each cell moves that on.
        begins.fill(0);
        for policy in policies {
            begins[*policy as usize + 1] += 1;
        }
        for i in 1..begins.len() {
            begins[i] += begins[i - 1];
        }
        for (cell, policy) in policies.iter().enumerate() {
            let at = &mut begins[*policy as usize];
            cells[*at] = cell as u32;
            *at += 1;
        }
        // Where each began is where the one before it ended.
        begins.rotate_right(1);
        begins[0] = 0;
        self.ordered = count;
    }
}

/// Finds out what the players of a shard see, who they are, and what noise they add.
struct Look<'a> {
    rivals: &'a Rivals,
    scenario: &'a Scenario,
    shard: &'a mut Shard,
    desk: &'a mut Desk,
    /// Who plays may have changed.
    order: bool,
}

impl Work for Look<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { rivals, scenario, shard, desk, order } = self;
        let count = rivals.places.len();
        let cells = shard.rows() * count;
        rows::observe(simd, scenario, &rivals.template, shard, &mut desk.observations[..cells * scenario.width]);
        for (block, head) in shard.heads.iter().enumerate() {
            let rows = LANES.min(shard.rows() - block * LANES);
            for (p, place) in rivals.places.iter().enumerate() {
                let (index, first) = (place.agent as u32, block * LANES * count + p);
                if order {
                    let mut picked = [0; LANES];
                    if place.hands.len() > 1 {
                        let step = [0; LANES];
                        let u = rng::uniform_lanes(simd, &head.seed, &head.episode, &step, Kind::Rival, index);
                        picked = simd.array(u).map(|u| place.mixture.pick(u));
                    }
                    let markups = &mut desk.markups[block * count + p];
                    for l in 0..rows {
                        let Hand { policy, markup } = place.hands[picked[l]];
                        desk.policies[first + l * count] = policy;
                        markups[l] = markup;
                    }
                }
                if rivals.sampled {
                    let noise = rng::normals_lanes(simd, &head.seed, &head.episode, &head.t, Kind::Action, index);
                    let (one, other) = (simd.narrow(noise[0]), simd.narrow(noise[1]));
                    for l in 0..rows {
                        desk.noise[first + l * count] = [one[l], other[l]];
                    }
                }
            }
        }
    }
}

fn check_width(path: &str, policy: &Policy, scenario: &Scenario) -> Result<()> {
    let (takes, shows) = (policy.features(), scenario.width);
    if takes == shows {
        return Ok(());
    }
    Err(Error::value(path, format!("takes {takes} features, the environment shows {shows}")))
}

/// The place of a policy, which is taken in if it is new.
fn place_of(policy: &Arc<Policy>, policies: &mut Vec<Arc<Policy>>) -> usize {
    let known = policies.iter().position(|other| Arc::ptr_eq(other, policy));
    known.unwrap_or_else(|| {
        policies.push(Arc::clone(policy));
        policies.len() - 1
    })
}
