//! The way over all shards: in order on one thread, or shared among several.

use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::outputs::{End, Layout, Rows};
use crate::pool::Pool;
use crate::shard::{SHARD, Shard};
use crate::step::{Game, Outputs};

/// Agents to be stepped, in all environments and steps of a call, that are worth a thread: some 20 us of work, a little
/// more than a wake-up costs.
const WORTH: usize = 4096;
/// A thread takes this part of what is left of a share at a time: the pieces shrink, so that all end at about the same
/// time, whenever they began.
const PART: usize = 4;
/// Agents whose shards are walked through all steps before the next ones: their state, some 150 KB, stays in a core's
/// cache, and each buffer is still written in runs that are long enough for memory.
const TOGETHER: usize = 4096;

/// Threads that are worth waking for so many steps.
pub fn tasks(pool: &Pool, layout: Layout, steps: usize) -> usize {
    let worth = steps * layout.envs * layout.agents / WORTH;
    pool.threads().min(worth).min(layout.envs.div_ceil(SHARD))
}

/// What stays the same while the shards are walked.
pub struct Walk<'a> {
    /// What a step needs to know.
    pub game: Game<'a>,
    /// Sizes of the batch.
    pub layout: Layout,
    /// Who walks.
    pub pool: &'a Pool,
    /// Steps that a call of the body is worth.
    pub effort: usize,
}

impl Walk<'_> {
    /// Runs `body` on every shard, for each step in turn, with its rows of the outputs.
    pub fn run<'b, R, F>(&self, shards: &'b mut [Shard], mut out: R, body: &F) -> Result<()>
    where
        R: Rows<'b>,
        F: Fn(&Game<'_>, &mut Shard, usize, &mut Outputs<'_>) + Sync,
    {
        let tasks = tasks(self.pool, self.layout, out.as_mut().len() * self.effort);
        let mut all = Piece { shards, out };
        if tasks < 2 {
            self.over(all, body);
            return Ok(());
        }
        let shares = (0..tasks).rev().map(|others| {
            let own = all.shards.len() / (others + 1);
            Mutex::new(all.take(End::Front, own, self.layout))
        });
        let shares: Vec<_> = shares.collect();
        self.pool.share(tasks, &|| {
            // A thread begins where it did last time: that share may still be in its core's cache.
            let home = rayon::current_thread_index().unwrap_or(0) % tasks;
            while let Some(piece) = self.next(&shares, home) {
                self.over(piece, body);
            }
        })
    }

    /// The next piece: the front of the own share, or else the back of another.
    fn next<'b, R: Rows<'b>>(&self, shares: &[Mutex<Piece<'b, R>>], home: usize) -> Option<Piece<'b, R>> {
        (0..shares.len()).find_map(|away| {
            let share = &shares[(home + away) % shares.len()];
            let mut share = share.lock().unwrap_or_else(PoisonError::into_inner);
            let count = share.shards.len().div_ceil(PART);
            let end = if away == 0 { End::Front } else { End::Back };
            (count > 0).then(|| share.take(end, count, self.layout))
        })
    }

    fn over<'b, R: Rows<'b>, F>(&self, mut piece: Piece<'b, R>, body: &F)
    where
        F: Fn(&Game<'_>, &mut Shard, usize, &mut Outputs<'_>) + Sync,
    {
        let several = piece.out.as_mut().len() > 1;
        let together = if several { (TOGETHER / (SHARD * self.layout.agents)).max(1) } else { 1 };
        for shards in piece.shards.chunks_mut(together) {
            let rows = shards.iter().map(Shard::rows).sum();
            let mut own = piece.out.take(End::Front, rows, self.layout);
            for (step, out) in own.as_mut().iter_mut().enumerate() {
                self.one_step(shards, step, out, body);
            }
            own.finish(self.layout);
        }
    }

    fn one_step<F>(&self, shards: &mut [Shard], step: usize, out: &mut Outputs<'_>, body: &F)
    where
        F: Fn(&Game<'_>, &mut Shard, usize, &mut Outputs<'_>) + Sync,
    {
        if let [shard] = shards {
            body(&self.game, shard, step, out);
            return;
        }
        let mut rest = out.reborrow();
        for shard in shards {
            let mut own = rest.take(End::Front, shard.rows(), self.layout);
            body(&self.game, shard, step, &mut own);
        }
    }
}

/// Some neighbouring shards and their buffers.
struct Piece<'a, R> {
    shards: &'a mut [Shard],
    out: R,
}

impl<'a, R: Rows<'a>> Piece<'a, R> {
    fn take(&mut self, end: End, count: usize, layout: Layout) -> Self {
        let shards = end.take(&mut self.shards, count);
        let rows = shards.iter().map(Shard::rows).sum();
        Self { shards, out: self.out.take(end, rows, layout) }
    }
}
