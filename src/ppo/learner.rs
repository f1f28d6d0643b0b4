//! An actor and a critic, and what Adam knows of them.

use crate::error::{Error, Result};
use crate::nn::{Activation, Line, Network, Shape, lines};
use crate::simd::WIDE;

/// Sizes and the fixed map of observations; the same for as long as a learner lives.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Floats of an observation, F.
    pub features: usize,
    /// Floats of an action, A.
    pub actions: usize,
    /// Widths of the hidden layers of actor and critic.
    pub hidden: Vec<usize>,
    /// Of the hidden layers.
    pub activation: Activation,
    /// The spread of the actions is learned, not given.
    pub learns_spread: bool,
}

/// Actor and critic as they are shaped, and where each stands among the packed parameters: the actor, the critic, and the
/// log standard deviations.
#[derive(Debug, Clone)]
pub struct Brain {
    /// Means of the actions.
    pub actor: Network,
    /// Values of the observations.
    pub critic: Network,
    /// Sizes.
    pub plan: Plan,
}

impl Brain {
    /// Lays out the parameters.
    pub fn new(plan: Plan) -> Result<Self> {
        let shape = |outputs| Shape {
            inputs: plan.features,
            hidden: plan.hidden.clone(),
            outputs,
            activation: plan.activation,
        };
        shape(plan.actions).check("learner")?;
        let (actor, critic) = (Network::new(shape(plan.actions)), Network::new(shape(1)));
        Ok(Self { actor, critic, plan })
    }

    /// First line of the critic.
    #[inline(always)]
    pub fn critic_at(&self) -> usize {
        self.actor.lines
    }

    /// First line of the log standard deviations.
    #[inline(always)]
    pub fn spread_at(&self) -> usize {
        self.actor.lines + self.critic.lines
    }

    /// Lines of all parameters.
    pub fn lines(&self) -> usize {
        self.spread_at() + lines(self.plan.actions)
    }

    /// Numbers of all parameters in the order of the torch module: log_std, actor, critic.
    pub fn parameters(&self) -> usize {
        self.plan.actions + self.actor.shape.parameters() + self.critic.shape.parameters()
    }

    /// Takes parameters in the order of the torch module.
    pub fn pack(&self, parameters: &[f32], packed: &mut [Line]) {
        let (spread, rest) = parameters.split_at(self.plan.actions);
        let (actor, critic) = rest.split_at(self.actor.shape.parameters());
        self.actor.pack(actor, &mut packed[..self.critic_at()]);
        self.critic.pack(critic, &mut packed[self.critic_at()..self.spread_at()]);
        let own = &mut packed[self.spread_at()..];
        own.fill(Line::default());
        for (i, x) in spread.iter().enumerate() {
            own[i / WIDE].0[i % WIDE] = *x;
        }
    }

    /// Puts parameters into the order of the torch module.
    pub fn unpack(&self, packed: &[Line]) -> Vec<f32> {
        let mut parameters = vec![0.0; self.parameters()];
        let (spread, rest) = parameters.split_at_mut(self.plan.actions);
        let (actor, critic) = rest.split_at_mut(self.actor.shape.parameters());
        self.actor.unpack(&packed[..self.critic_at()], actor);
        self.critic.unpack(&packed[self.critic_at()..self.spread_at()], critic);
        for (i, x) in spread.iter_mut().enumerate() {
            *x = packed[self.spread_at() + i / WIDE].0[i % WIDE];
        }
        parameters
    }
}

/// Adam's running means of gradients and of their squares, packed as the parameters.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Of the gradients.
    pub first: Vec<Line>,
    /// Of their squares.
    pub second: Vec<Line>,
    /// Steps taken.
    pub steps: u64,
}

/// A brain with its weights.
#[derive(Debug, Clone)]
pub struct Learner {
    /// Its shape.
    pub brain: Brain,
    /// Its parameters.
    pub packed: Vec<Line>,
    /// Weights of the actor's and the critic's hidden layers, transposed.
    pub transposed: [Vec<Line>; 2],
    /// What Adam knows.
    pub moments: Moments,
    /// Subtracted from observations, (F,).
    pub centre: Vec<f32>,
    /// Observations are multiplied by it, (F,).
    pub factor: Vec<f32>,
    /// Bounds that actions are cut to before they are played, (A,) each; none at first.
    pub bounds: [Vec<f32>; 2],
}

impl Learner {
    /// With all weights zero, observations as they are.
    pub fn new(plan: Plan) -> Result<Self> {
        let (centre, factor) = (vec![0.0; plan.features], vec![1.0; plan.features]);
        let bounds = [vec![f32::NEG_INFINITY; plan.actions], vec![f32::INFINITY; plan.actions]];
        let brain = Brain::new(plan)?;
        let blank = vec![Line::default(); brain.lines()];
        let transposed =
            [vec![Line::default(); brain.actor.transposed], vec![Line::default(); brain.critic.transposed]];
        let moments = Moments { first: blank.clone(), second: blank.clone(), steps: 0 };
        Ok(Self { brain, packed: blank, transposed, moments, centre, factor, bounds })
    }

    /// Takes parameters in the order of the torch module: log_std, actor, critic.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<()> {
        check("parameters", parameters, self.brain.parameters())?;
        self.brain.pack(parameters, &mut self.packed);
        self.transpose();
        Ok(())
    }

    /// Takes what Adam knows, in the order of the torch module.
    pub fn set_moments(&mut self, first: &[f32], second: &[f32], steps: u64) -> Result<()> {
        check("first moments", first, self.brain.parameters())?;
        check("second moments", second, self.brain.parameters())?;
        self.brain.pack(first, &mut self.moments.first);
        self.brain.pack(second, &mut self.moments.second);
        self.moments.steps = steps;
        Ok(())
    }

    /// Takes the map of observations: `(observation - centre) / scale`.
    pub fn set_scale(&mut self, centre: &[f32], scale: &[f32]) -> Result<()> {
        check("centre", centre, self.brain.plan.features)?;
        check("scale", scale, self.brain.plan.features)?;
        if let Some((i, x)) = scale.iter().enumerate().find(|(_, x)| **x <= 0.0) {
            return Err(Error::value(format!("learner: scale[{i}]"), format!("must be > 0, got {x}")));
        }
        self.centre.copy_from_slice(centre);
        for (factor, x) in self.factor.iter_mut().zip(scale) {
            *factor = 1.0 / x;
        }
        Ok(())
    }

    /// Takes the bounds that actions are cut to before they are played.
    pub fn set_bounds(&mut self, low: &[f32], high: &[f32]) -> Result<()> {
        check("low", low, self.brain.plan.actions)?;
        check("high", high, self.brain.plan.actions)?;
        if let Some((i, (low, high))) = low.iter().zip(high).enumerate().find(|(_, (low, high))| low > high) {
            return Err(Error::value(format!("learner: low[{i}]"), format!("must be at most {high}, got {low}")));
        }
        self.bounds = [low.to_vec(), high.to_vec()];
        Ok(())
    }

    /// Log standard deviations of the actions, (A,).
    pub fn spread(&self) -> impl Iterator<Item = f32> + '_ {
        let own = self.packed[self.brain.spread_at()..].iter().flat_map(|line| line.0);
        own.take(self.brain.plan.actions)
    }

    /// Gives every action the same log standard deviation.
    pub fn set_spread(&mut self, log_std: f32) {
        let at = self.brain.spread_at();
        for i in 0..self.brain.plan.actions {
            self.packed[at + i / WIDE].0[i % WIDE] = log_std;
        }
    }

    /// Brings the transposed weights up to date.
    pub fn transpose(&mut self) {
        let Self { brain, packed, transposed: [actor, critic], .. } = self;
        brain.actor.transpose(&packed[..brain.critic_at()], actor);
        brain.critic.transpose(&packed[brain.critic_at()..brain.spread_at()], critic);
    }
}

fn check(name: &str, given: &[f32], wanted: usize) -> Result<()> {
    if given.len() != wanted {
        return Err(Error::value(
            format!("learner: {name}"),
            format!("must have {wanted} numbers, got {}", given.len()),
        ));
    }
    match given.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        Some((i, x)) => Err(Error::value(format!("learner: {name}[{i}]"), format!("must be finite, got {x}"))),
        None => Ok(()),
    }
}
