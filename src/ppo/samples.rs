//! What an update learns from, and how.

use super::learner::Brain;
use crate::error::{Error, Result};

/// Settings of an update, as in `PPOConfig`.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Passes over the samples.
    pub epochs: usize,
    /// Parts of the samples, one step of Adam each.
    pub minibatches: usize,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// How far the probability ratio may leave 1 before its gradient is cut.
    pub clip_range: f32,
    /// The same for the change of a value; None for no limit.
    pub value_clip_range: Option<f32>,
    /// Weight of the value loss.
    pub value_coefficient: f32,
    /// Weight of the entropy.
    pub entropy_coefficient: f32,
    /// Scale the advantages of each minibatch.
    pub normalise_advantages: bool,
    /// Largest norm of a gradient.
    pub max_gradient_norm: f32,
    /// No further epoch once the divergence has passed this.
    pub target_kl: Option<f64>,
}

/// Steps of a rollout, those of every `stride`-th row from `first` on. F features, A parts of an action, M rows, T steps.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Observations, (M, T, F).
    pub observations: &'a [f32],
    /// Actions, (M, T, A).
    pub actions: &'a [f32],
    /// Log-probabilities of the actions, (M, T).
    pub log_probs: &'a [f32],
    /// Advantages, (M, T).
    pub advantages: &'a [f32],
    /// What the values should have been, (M, T).
    pub returns: &'a [f32],
    /// Values, (M, T).
    pub values: &'a [f32],
    /// Steps of a row, T.
    pub steps: usize,
    /// First row.
    pub first: usize,
    /// Distance to the next.
    pub stride: usize,
}

impl Samples<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        (self.advantages.len() / self.steps.max(1)).saturating_sub(self.first).div_ceil(self.stride) * self.steps
    }

    /// Refuses arrays whose lengths do not fit each other.
    pub fn check(&self, brain: &Brain) -> Result<()> {
        let plan = &brain.plan;
        let cells = self.advantages.len();
        let wanted = [
            ("observations", self.observations.len(), cells * plan.features),
            ("actions", self.actions.len(), cells * plan.actions),
            ("log_probs", self.log_probs.len(), cells),
            ("returns", self.returns.len(), cells),
            ("values", self.values.len(), cells),
        ];
        match wanted.into_iter().find(|(_, got, wanted)| got != wanted) {
            Some((name, got, wanted)) => Err(Error::value(name, format!("must have {wanted} numbers, got {got}"))),
            None => Ok(()),
        }
    }

    /// Their places among all.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let steps = self.steps;
        let rows = (self.first..self.advantages.len() / steps.max(1)).step_by(self.stride);
        rows.flat_map(move |row| row * steps..(row + 1) * steps)
    }
}
