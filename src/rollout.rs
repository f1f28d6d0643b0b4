//! Policy and market together: k steps of every environment, and what happened in them, without leaving the core.
//!
//! A shard goes through all its steps at once, so that its state, its observations and the networks stay in a core's caches.

use std::sync::{Mutex, PoisonError};

use crate::batch::Batch;
use crate::bidding::{ACTION_WIDTH, Action, Bids};
use crate::error::{Error, Result};
use crate::nn::{TILE, Tile, forward, lines};
use crate::ppo::{Brain, Learner};
use crate::record::{Piece, Record, Running, Tally};
use crate::rng::{Kind, normals_lanes};
use crate::shard::{SHARD, Shard};
use crate::simd::{LANES, Simd, Vector, Work};
use crate::step::{Autoreset, Game, Outputs, step};

/// Who learns from a rollout, and what names its noise.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// One for all rows, or one for each acting agent, with the key of its noise.
    pub learners: &'a [(&'a Learner, u64)],
    /// Steps that were taken before under these keys.
    pub taken: u32,
}

/// What a thread works with.
#[derive(Debug)]
struct Desk {
    tiles: Vec<[Tile; 2]>,
    actions: Vec<f32>,
    noise: [[f32; TILE]; ACTION_WIDTH],
}

impl Desk {
    fn new(party: Party<'_>, rows: usize) -> Self {
        let tiles = |brain: &Brain| [Tile::new(&brain.actor), Tile::new(&brain.critic)];
        Self {
            tiles: party.learners.iter().map(|(learner, _)| tiles(&learner.brain)).collect(),
            actions: vec![0.0; rows * ACTION_WIDTH],
            noise: [[0.0; TILE]; ACTION_WIDTH],
        }
    }
}

impl Batch {
    /// Plays as many steps as the record has, each from actions drawn by the learners, and keeps what happened; episodes
    /// start anew in the step that ends one.
    ///
    /// `out` holds the current observations and is left as the last step would have left it.
    pub fn rollout(
        &mut self,
        party: Party<'_>,
        record: &mut Record,
        running: &mut Running,
        out: Outputs<'_>,
    ) -> Result<Tally> {
        let layout = self.layout();
        let rows = layout.envs * layout.acting;
        if party.learners.len() != 1 && party.learners.len() != layout.acting {
            let reason =
                format!("must be one, or one per acting agent, {}, got {}", layout.acting, party.learners.len());
            return Err(Error::value("learners", reason));
        }
        for (i, (learner, _)) in party.learners.iter().enumerate() {
            let plan = &learner.brain.plan;
            if (plan.features, plan.actions) != (layout.width, ACTION_WIDTH) {
                let reason = format!(
                    "must take {} features and give {ACTION_WIDTH} numbers, got {} and {}",
                    layout.width, plan.features, plan.actions
                );
                return Err(Error::value(format!("learners[{i}]"), reason));
            }
        }
        if (record.rows, record.features, running.returns.len()) != (rows, layout.width, rows) {
            return Err(Error::Runtime("rollout: its record is of another shape".into()));
        }
        self.check_running(1, Autoreset::SameStep)?;
        let per_shard = SHARD * layout.acting;
        let steps = record.steps;
        let pieces = record.pieces(running, per_shard);
        let desks: Vec<_> = (0..self.threads()).map(|_| Mutex::new(Desk::new(party, per_shard))).collect();
        let simd = self.simd();
        self.walk_long([out], steps, &|game, shard, _, out| {
            let piece = &mut *pieces[shard.first / SHARD].lock().unwrap_or_else(PoisonError::into_inner);
            // There is a desk for every thread.
            let Some(mut desk) = desks.iter().find_map(|desk| desk.try_lock().ok()) else {
                unreachable!("more threads than desks")
            };
            simd.run(Play { game, level: simd, shard, out, party, piece, desk: &mut desk });
        })?;
        let mut tally = Tally::default();
        for piece in pieces {
            tally.add(&piece.into_inner().unwrap_or_else(PoisonError::into_inner).tally);
        }
        Ok(tally)
    }
}

/// All steps of a shard.
struct Play<'a, 'b, 'c> {
    game: &'a Game<'a>,
    level: Simd,
    shard: &'a mut Shard,
    out: &'a mut Outputs<'b>,
    party: Party<'a>,
    piece: &'a mut Piece<'c>,
    desk: &'a mut Desk,
}

impl Work for Play<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: V) {
        let Self { game, level, shard, out, party, piece, desk } = self;
        let acting = game.seats.acting().len();
        let rows = shard.rows() * acting;
        let first = shard.first * acting;
        for t in 0..piece.steps {
            for (i, (learner, key)) in party.learners.iter().enumerate() {
                let mine = Mine { first, offset: i, stride: party.learners.len(), rows };
                act(simd, learner, (*key, party.taken.wrapping_add(t as u32)), mine, t, out, piece, desk, i);
            }
            let (actions, _) = desk.actions[..rows * ACTION_WIDTH].as_chunks();
            let players = game.rivals.map(|rivals| rivals.decide(level, game.scenario, shard));
            let bids = players.as_deref().map_or(Bids::only(actions), |players| players.bids(actions));
            step(simd, game, Autoreset::SameStep, shard, bids, out);
            piece.keep(t, acting, game, out);
            if piece.any_cut(t, rows) {
                for (i, (learner, _)) in party.learners.iter().enumerate() {
                    let mine = Mine { first, offset: i, stride: party.learners.len(), rows };
                    let steps = piece.steps;
                    let tile = &mut desk.tiles[i][1];
                    let (last_values, truncated) = (&mut *piece.last_values, &*piece.truncated);
                    value(simd, learner, mine, out.final_observations, tile, |row, x| {
                        let at = row * steps + t;
                        last_values[at] = if truncated[at] { x } else { 0.0 };
                    });
                }
            }
        }
        for (i, (learner, _)) in party.learners.iter().enumerate() {
            let mine = Mine { first, offset: i, stride: party.learners.len(), rows };
            let next_values = &mut *piece.next_values;
            value(simd, learner, mine, out.observations, &mut desk.tiles[i][1], |row, x| next_values[row] = x);
        }
    }
}

/// The rows of a shard that one learner plays: those of one acting agent, or all.
#[derive(Clone, Copy)]
struct Mine {
    /// The shard's first row in the batch.
    first: usize,
    offset: usize,
    stride: usize,
    rows: usize,
}

impl Mine {
    /// Its rows in the shard, from its i-th on, at most a tile.
    #[inline(always)]
    fn tile(self, done: usize) -> impl ExactSizeIterator<Item = usize> + Clone {
        let Self { offset, stride, .. } = self;
        (done..(done + TILE).min(self.count())).map(move |i| offset + i * stride)
    }

    #[inline(always)]
    fn count(self) -> usize {
        self.rows / self.stride
    }
}

/// Draws an action for each row, and keeps observations, actions, log-densities and values.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn act<V: Vector>(
    simd: V,
    learner: &Learner,
    (key, taken): (u64, u32),
    mine: Mine,
    t: usize,
    out: &Outputs<'_>,
    piece: &mut Piece<'_>,
    desk: &mut Desk,
    which: usize,
) {
    let brain = &learner.brain;
    let (features, stride) = (brain.plan.features, lines(brain.plan.features));
    let [actor, critic] = &mut desk.tiles[which];
    let (of_actor, others) = learner.packed.split_at(brain.critic_at());
    let of_critic = &others[..brain.critic.lines];
    let (mut log_stds, mut stds) = ([0.0; ACTION_WIDTH], [0.0; ACTION_WIDTH]);
    for (i, log_std) in learner.spread().enumerate() {
        (log_stds[i], stds[i]) = (log_std, libm::expf(log_std));
    }
    let constant = log_stds.iter().sum::<f32>() + HALF_LOG_2PI * ACTION_WIDTH as f32;
    let [low, high] = &learner.bounds;
    let mut done = 0;
    while done < mine.count() {
        let rows = mine.tile(done);
        let count = rows.len();
        for row in rows.clone() {
            let seen = &out.observations[row * features..][..features];
            piece.observations[(row * piece.steps + t) * features..][..features].copy_from_slice(seen);
        }
        actor.take(simd, out.observations, rows.clone(), &learner.centre, &learner.factor);
        let inputs = count * stride;
        critic.layers[0][..inputs].copy_from_slice(&actor.layers[0][..inputs]);
        forward(simd, &brain.actor, of_actor, actor, count);
        forward(simd, &brain.critic, of_critic, critic, count);
        draw(simd, key, taken, mine, done, count, &mut desk.noise);
        for (i, row) in rows.enumerate() {
            let means = actor.outputs(i)[0].0;
            let (mut action, mut played): (Action, Action) = ([0.0; ACTION_WIDTH], [0.0; ACTION_WIDTH]);
            let mut squares = 0.0;
            for part in 0..ACTION_WIDTH {
                let noise = desk.noise[part][i];
                action[part] = means[part] + stds[part] * noise;
                played[part] = action[part].max(low[part]).min(high[part]);
                squares += noise * noise;
            }
            let at = row * piece.steps + t;
            desk.actions[row * ACTION_WIDTH..][..ACTION_WIDTH].copy_from_slice(&played);
            piece.actions[at * ACTION_WIDTH..][..ACTION_WIDTH].copy_from_slice(&action);
            piece.log_probs[at] = -0.5 * squares - constant;
            piece.values[at] = critic.outputs(i)[0].0[0];
        }
        done += count;
    }
}

const HALF_LOG_2PI: f32 = 0.918_938_5;

/// Standard normal numbers for some rows: they follow from the key, the row of the batch and the step.
#[inline(always)]
fn draw<V: Vector>(
    simd: V,
    key: u64,
    taken: u32,
    mine: Mine,
    done: usize,
    count: usize,
    noise: &mut [[f32; TILE]; ACTION_WIDTH],
) {
    for at in (0..count).step_by(LANES) {
        let mut rows = [0; LANES];
        for (l, row) in rows.iter_mut().enumerate() {
            *row = (mine.first / mine.stride + done + at + l) as u64;
        }
        let drawn = normals_lanes(simd, &[key; LANES], &rows, &[taken; LANES], Kind::Exploration, 0);
        for (noise, x) in noise.iter_mut().zip(drawn) {
            noise[at..][..LANES].copy_from_slice(&simd.narrow(x));
        }
    }
}

/// Gives the value of each of a learner's rows.
#[inline(always)]
fn value<V: Vector>(
    simd: V,
    learner: &Learner,
    mine: Mine,
    observations: &[f32],
    tile: &mut Tile,
    mut put: impl FnMut(usize, f32),
) {
    let brain = &learner.brain;
    let packed = &learner.packed[brain.critic_at()..brain.spread_at()];
    let mut done = 0;
    while done < mine.count() {
        let rows = mine.tile(done);
        let count = rows.len();
        tile.take(simd, observations, rows.clone(), &learner.centre, &learner.factor);
        forward(simd, &brain.critic, packed, tile, count);
        for (i, row) in rows.enumerate() {
            put(row, tile.outputs(i)[0].0[0]);
        }
        done += count;
    }
}
