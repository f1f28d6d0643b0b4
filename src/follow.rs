//! Policies that act for the caller: k steps of every environment in one call, and what the policies saw and did.

use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{Batch, Layout};
use crate::bidding::{ACTION_WIDTH, Bids};
use crate::error::{Error, Result};
use crate::outputs::Steps;
use crate::policy::Policy;
use crate::rivals::{Rivals, Shown};
use crate::seats::Mixture;
use crate::shard::{SHARD, Shard};
use crate::step::{Autoreset, Outputs, Step};

/// What acting agents see before a step, and do in it; every buffer has a leading k. N environments, L acting agents,
/// F features.
#[derive(Debug)]
pub struct Moves<'a> {
    /// (k, N, L, F).
    pub observations: &'a mut [f32],
    /// Before they are cut to their bounds, (k, N, L, 2).
    pub actions: &'a mut [f32],
    /// Log-densities of the actions as drawn, NaN of those that are not drawn but the mean, (k, N, L).
    pub log_probs: &'a mut [f32],
}

impl<'a> Moves<'a> {
    /// Those of each step and shard, the shards of a step side by side.
    fn pieces(self, layout: Layout) -> Vec<Mutex<Self>> {
        let Layout { envs, acting, width, .. } = layout;
        let of_steps = |x: &'a mut [f32], each: usize| {
            x.chunks_mut(envs * acting * each).flat_map(move |step| step.chunks_mut(SHARD * acting * each))
        };
        let observations = of_steps(self.observations, width);
        let actions = of_steps(self.actions, ACTION_WIDTH);
        let log_probs = of_steps(self.log_probs, 1);
        let parts = observations.zip(actions).zip(log_probs);
        parts
            .map(|((observations, actions), log_probs)| Mutex::new(Self { observations, actions, log_probs }))
            .collect()
    }

    fn keep(&mut self, shown: Shown<'_>, policies: &[Arc<Policy>]) {
        self.observations.copy_from_slice(shown.observations);
        self.actions.copy_from_slice(shown.drawn.as_flattened());
        for ((log_prob, noise), policy) in self.log_probs.iter_mut().zip(shown.noise).zip(policies.iter().cycle()) {
            *log_prob = if policy.is_sampled() { policy.log_density(*noise) } else { f32::NAN };
        }
    }
}

impl Batch {
    /// k steps of every environment from the actions of one policy per acting agent: what `advance` does with the actions
    /// that these policies, asked before each step, would choose as rivals.
    pub fn follow(
        &mut self,
        policies: &[Arc<Policy>],
        steps: usize,
        autoreset: Autoreset,
        moves: Moves<'_>,
        out: Outputs<'_>,
        last: Outputs<'_>,
    ) -> Result<()> {
        let layout = self.layout();
        self.check_policies(policies)?;
        self.check_running(steps, autoreset)?;
        let acting = self.seats.acting().iter().copied();
        let mixtures = acting.zip(policies).map(|(agent, policy)| (agent, Arc::new(Mixture::only(Arc::clone(policy)))));
        let Some(party) = Rivals::new(&self.scenario, mixtures, self.threads(), true)? else { return Ok(()) };

        self.knows_offers |= steps > 0;
        let (simd, shards) = (self.simd(), self.shards.len());
        let moves = moves.pieces(layout);
        let out = Steps::new(out, steps, last, layout, autoreset);
        let effort = 1 + party.work().div_ceil(layout.agents);
        self.walk_long(out, effort, &|game, shard: &mut Shard, step, out| {
            let rows = shard.rows();
            let desk = party.decide(simd, game.scenario, shard);
            let shown = desk.shown(rows);
            let moves = &moves[step * shards + shard.first / SHARD];
            moves.lock().unwrap_or_else(PoisonError::into_inner).keep(shown, policies);
            let others = game.rivals.map(|rivals| rivals.decide(simd, game.scenario, shard));
            let bids = others.as_deref().map_or(Bids::only(shown.actions), |others| others.bids(shown.actions));
            simd.run(Step { game, autoreset, shard, bids, out });
        })
    }

    fn check_policies(&self, policies: &[Arc<Policy>]) -> Result<()> {
        let Layout { acting, width, .. } = self.layout();
        if policies.len() != acting {
            let reason = format!("must be one per acting agent, {acting}, got {}", policies.len());
            return Err(Error::value("policies", reason));
        }
        match policies.iter().enumerate().find(|(_, policy)| policy.features() != width) {
            Some((i, policy)) => {
                let reason = format!("takes {} features, the engine shows {width}", policy.features());
                Err(Error::value(format!("policies[{i}]"), reason))
            }
            None => Ok(()),
        }
    }
}
