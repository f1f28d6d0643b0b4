//! Policies that the engine plays: Gaussian networks with frozen weights.

use crate::bidding::ACTION_WIDTH;
use crate::error::{Error, Result};
use crate::nn::{Line, Network, Shape, TILE, Tile, forward};
use crate::simd::Vector;

/// A normal distribution of actions around what a network makes of an observation.
///
/// `mean = network((observation - centre) * factor)`; an action is the mean, or `mean + std * noise`, within its bounds.
#[derive(Debug, Clone)]
pub struct Policy {
    network: Network,
    packed: Vec<Line>,
    centre: Vec<f32>,
    factor: Vec<f32>,
    /// Standard deviations of the actions, where they are drawn; 0 for the mean.
    std: [f32; ACTION_WIDTH],
    low: [f32; ACTION_WIDTH],
    high: [f32; ACTION_WIDTH],
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
    /// Standard deviations of drawn actions, (A,); zeros for the mean.
    pub std: Vec<f32>,
    /// Bounds of the actions, (A,).
    pub low: Vec<f32>,
    /// Bounds of the actions, (A,).
    pub high: Vec<f32>,
}

impl Policy {
    /// Checks and packs the weights.
    pub fn new(weights: Weights) -> Result<Self> {
        let Weights { shape, parameters, centre, scale, std, low, high } = weights;
        shape.check("policy")?;
        if shape.outputs != ACTION_WIDTH {
            let reason = format!("must have {ACTION_WIDTH} outputs, the parts of an action, got {}", shape.outputs);
            return Err(Error::value("policy", reason));
        }
        check_length("parameters", &parameters, shape.parameters())?;
        for (name, given) in [("centre", &centre), ("scale", &scale)] {
            check_length(name, given, shape.inputs)?;
        }
        for (name, given) in [("std", &std), ("low", &low), ("high", &high)] {
            check_length(name, given, ACTION_WIDTH)?;
        }
        for (i, x) in scale.iter().enumerate().filter(|(_, x)| **x <= 0.0) {
            return Err(Error::value(format!("policy: scale[{i}]"), format!("must be > 0, got {x}")));
        }
        for (i, x) in std.iter().enumerate().filter(|(_, x)| **x < 0.0) {
            return Err(Error::value(format!("policy: std[{i}]"), format!("must be >= 0, got {x}")));
        }
        for (i, (low, high)) in low.iter().zip(&high).enumerate().filter(|(_, (low, high))| low > high) {
            return Err(Error::value(format!("policy: low[{i}]"), format!("must be <= high, got {low} > {high}")));
        }
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
            low: part(&low),
            high: part(&high),
        })
    }

    /// Numbers that an observation must have.
    pub fn features(&self) -> usize {
        self.network.shape.inputs
    }

    /// Actions are drawn, not the mean.
    pub fn is_drawn(&self) -> bool {
        self.std != [0.0; ACTION_WIDTH]
    }

    /// Room for its numbers.
    pub fn tile(&self) -> Tile {
        Tile::new(&self.network)
    }

    /// Chooses an action for each row of observations, (F,) each, in turn. `noise` gives standard normal numbers for the
    /// i-th row, and is asked only where actions are drawn; `put` takes the i-th action.
    #[inline(always)]
    pub fn act<'a, V: Vector>(
        &self,
        simd: V,
        tile: &mut Tile,
        mut observations: impl ExactSizeIterator<Item = &'a [f32]>,
        noise: impl Fn(usize) -> [f32; ACTION_WIDTH],
        mut put: impl FnMut(usize, [f32; ACTION_WIDTH]),
    ) {
        let (mut done, drawn) = (0, self.is_drawn());
        while observations.len() > 0 {
            let rows = observations.len().min(TILE);
            tile.take(observations.by_ref().take(rows), &self.centre, &self.factor);
            forward(simd, &self.network, &self.packed, tile, rows);
            for row in 0..rows {
                let outputs = tile.outputs(row)[0].0;
                let noise = if drawn { noise(done + row) } else { [0.0; ACTION_WIDTH] };
                let mut action = [0.0; ACTION_WIDTH];
                for i in 0..ACTION_WIDTH {
                    action[i] = (outputs[i] + self.std[i] * noise[i]).clamp(self.low[i], self.high[i]);
                }
                put(done + row, action);
            }
            done += rows;
        }
    }
}

fn check_length(name: &str, given: &[f32], wanted: usize) -> Result<()> {
    if given.len() != wanted {
        return Err(Error::value(
            format!("policy: {name}"),
            format!("must have {wanted} numbers, got {}", given.len()),
        ));
    }
    match given.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        Some((i, x)) => Err(Error::value(format!("policy: {name}[{i}]"), format!("must be finite, got {x}"))),
        None => Ok(()),
    }
}
