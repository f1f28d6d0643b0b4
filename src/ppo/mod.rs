//! Proximal policy optimisation in the core: actor and critic, advantages, and the update, fused over tiles of rows.
//!
//! The method and every formula are those of `vecmarket/training/ppo.py`, which is the reference: Schulman et al.,
//! "Proximal Policy Optimization Algorithms", 2017. A gradient is summed over fixed pieces of a minibatch, and the pieces in
//! order, so that results do not depend on threads.

mod adam;
mod gae;
mod learner;
mod loss;
mod samples;
mod update;

pub use gae::{Decay, Steps, advantages};
pub use learner::{Brain, Learner, Moments, Plan};
pub use samples::{Samples, Settings};
pub use update::{Figures, Updater};
