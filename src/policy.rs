//! Policies that the engine plays: Gaussian networks with frozen weights.

use crate::action::{ACTION_WIDTH, Action};
use crate::error::{Error, Result};
use crate::nn::{Line, Network, Shape, TILE, Tile, forward};
use crate::scenario::fnv1a;
use crate::simd::{Vector, Work};

/// A normal distribution of actions around what a network makes of an observation.
///
/// `mean = network((observation - centre) * factor)`; an action is the mean, or `mean + std * noise`, within its bounds.
#[derive(Debug, Clone)]
pub struct Policy {
    network: Network,
    packed: Vec<Line>,
    centre: Vec<f32>,
    factor: Vec<f32>,
    std: Action,
    log_std: f32,
    low: Action,
    high: Action,
    sampled: bool,
    fingerprint: u64,
}

/// What a policy is made of, as given. F features, A parts of an action.
#[derive(Debug, Clone)]
pub struct Weights {
    /// The network's shape.
    pub shape: Shape,
    /// Of each layer the weights, (out, in), then the biases, (out,).
    pub parameters: Vec<f32>,
    /// Subtracted from observations, (F,).
    pub centre: Vec<f32>,
    /// Observations are divided by it, > 0, (F,).
    pub scale: Vec<f32>,
    /// Standard deviations of the actions, >= 0, (A,).
    pub std: Vec<f32>,
    /// Bounds of the actions, infinite for none, (A,).
    pub low: Vec<f32>,
    /// Bounds of the actions, infinite for none, (A,).
    pub high: Vec<f32>,
    /// A rival draws its actions and does not play the mean.
    pub sampled: bool,
}

impl Policy {
    /// Checks and packs the weights.
    pub fn new(weights: Weights) -> Result<Self> {
        weights.check()?;
        let fingerprint = weights.fingerprint();
        let Weights { shape, parameters, centre, scale, std, low, high, sampled } = weights;
        let network = Network::new(shape);
        let mut packed = vec![Line::default(); network.lines];
        network.pack(&parameters, &mut packed);
        let part = |x: &[f32]| [x[0], x[1]];
        Ok(Self {
            network,
            packed,
            factor: scale.iter().map(|x| 1.0 / x).collect(),
            centre,
            std: part(&std),
            log_std: std.iter().map(|x| libm::logf(*x)).sum(),
            low: part(&low),
            high: part(&high),
            sampled,
            fingerprint,
        })
    }

    /// Numbers that an observation must have.
    pub fn features(&self) -> usize {
        self.network.shape.inputs
    }

    /// A rival draws its actions and does not play the mean.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Log-density of an action that was drawn with this noise, before it is cut to its bounds.
    pub fn log_density(&self, noise: Action) -> f32 {
        let [x, y] = noise;
        -0.5 * (x * x + y * y) - self.log_std - LOG_2PI
    }

    /// The network's shape: policies of one shape can share a tile.
    pub fn shape(&self) -> &Shape {
        &self.network.shape
    }

    /// Names its numbers.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Room for its numbers.
    pub fn tile(&self) -> Tile {
        Tile::new(&self.network)
    }
}

/// Twice the half of it: an action has two parts.
const LOG_2PI: f32 = 1.837_877_1;

impl Weights {
    fn check(&self) -> Result<()> {
        let Self { shape, parameters, centre, scale, std, low, high, .. } = self;
        shape.check("policy")?;
        if shape.outputs != ACTION_WIDTH {
            let reason = format!("must have {ACTION_WIDTH} outputs, the parts of an action, got {}", shape.outputs);
            return Err(Error::value("policy", reason));
        }
        check_each("parameters", parameters, shape.parameters(), "finite", |x| x.is_finite())?;
        check_each("centre", centre, shape.inputs, "finite", |x| x.is_finite())?;
        // Of what is smaller there is no reciprocal.
        check_each("scale", scale, shape.inputs, "finite and >= 1e-37", |x| x.is_finite() && x >= 1e-37)?;
        check_each("std", std, ACTION_WIDTH, "finite and >= 0", |x| x.is_finite() && x >= 0.0)?;
        check_each("low", low, ACTION_WIDTH, "a number", |x| !x.is_nan())?;
        check_each("high", high, ACTION_WIDTH, "a number", |x| !x.is_nan())?;
        match low.iter().zip(high).enumerate().find(|(_, (low, high))| low > high) {
            Some((i, (low, high))) => {
                Err(Error::value(format!("policy: low[{i}]"), format!("must be <= high, got {low} > {high}")))
            }
            None => Ok(()),
        }
    }

    fn fingerprint(&self) -> u64 {
        let Self { shape, parameters, centre, scale, std, low, high, sampled } = self;
        let mut bytes = format!("{shape:?} {sampled}").into_bytes();
        for x in [parameters, centre, scale, std, low, high].into_iter().flatten() {
            bytes.extend(x.to_le_bytes());
        }
        fnv1a(&bytes)
    }
}

fn check_each(name: &str, given: &[f32], count: usize, what: &str, good: impl Fn(f32) -> bool) -> Result<()> {
    if given.len() != count {
        let reason = format!("must have {count} numbers, got {}", given.len());
        return Err(Error::value(format!("policy: {name}"), reason));
    }
    match given.iter().enumerate().find(|(_, x)| !good(**x)) {
        Some((i, x)) => Err(Error::value(format!("policy: {name}[{i}]"), format!("must be {what}, got {x}"))),
        None => Ok(()),
    }
}

/// Chooses actions for some rows, to be run at a level of vector instructions. What a row comes to does not depend on the
/// others.
pub struct Act<'a> {
    /// Who chooses.
    pub policy: &'a Policy,
    /// Working memory, of the policy's shape.
    pub tile: &'a mut Tile,
    /// What is seen, finite, (all rows, F).
    pub observations: &'a [f32],
    /// The rows to choose for.
    pub rows: &'a [u32],
    /// Standard normal numbers, (all rows,); None for the mean.
    pub noise: Option<&'a [Action]>,
    /// What is chosen, (all rows,).
    pub actions: &'a mut [Action],
    /// The same before it is cut to its bounds, (all rows,), for those who want it.
    pub drawn: Option<&'a mut [Action]>,
}

impl Work for Act<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { policy, tile, observations, rows, noise, actions, mut drawn } = self;
        for rows in rows.chunks(TILE) {
            let places = rows.iter().map(|row| *row as usize);
            tile.take(simd, observations, places, &policy.centre, &policy.factor);
            forward(simd, &policy.network, &policy.packed, tile, rows.len());
            for (i, row) in rows.iter().enumerate() {
                let row = *row as usize;
                let mean = tile.outputs(i)[0].0;
                let noise = noise.map_or([0.0; ACTION_WIDTH], |noise| noise[row]);
                let drawn = drawn.as_deref_mut().map(|drawn| &mut drawn[row]);
                let free: Action = std::array::from_fn(|part| mean[part] + policy.std[part] * noise[part]);
                if let Some(drawn) = drawn {
                    *drawn = free;
                }
                for (part, x) in free.into_iter().enumerate() {
                    // What is no number, after an overflow, counts as the lowest.
                    let x = if x > policy.low[part] { x } else { policy.low[part] };
                    actions[row][part] = if x < policy.high[part] { x } else { policy.high[part] };
                }
            }
        }
    }
}
