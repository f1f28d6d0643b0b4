//! Snapshots: the whole state of a batch as bytes that another process can restore.

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::scenario::{Scenario, fnv1a};
use crate::shard::{Cells, Shard};
use crate::simd::LANES;
use crate::step::Outputs;

/// Changes whenever the encoding does.
const VERSION: u32 = 2;
const MAGIC: &[u8; 4] = b"VMKT";
const CHECKSUM: usize = size_of::<u64>();

/// What the last call wrote into the caller's buffers. Observations follow from the state; final observations belong to
/// the call that wrote them and are not kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastStep {
    /// (N, L).
    pub rewards: Vec<f32>,
    /// (N,).
    pub terminated: Vec<bool>,
    /// (N,).
    pub truncated: Vec<bool>,
    /// (N,).
    pub prices: Vec<f64>,
    /// (N,).
    pub demand: Vec<f64>,
    /// (N,).
    pub unserved: Vec<f64>,
    /// (N, A).
    pub dispatch: Vec<f64>,
    /// (N, A).
    pub profits: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct Snapshot {
    version: u32,
    fingerprint: u64,
    limit: Option<u32>,
    /// See [`crate::seats::Seats::fingerprint`].
    seats: u64,
    shards: Vec<Saved>,
    last: LastStep,
}

impl Batch {
    /// The state as bytes.
    pub fn snapshot(&self, last: LastStep) -> Result<Vec<u8>> {
        let snapshot = Snapshot {
            version: VERSION,
            fingerprint: self.scenario.fingerprint,
            limit: self.limit,
            seats: self.seats.fingerprint(),
            shards: self.shards.iter().map(|shard| Saved::new(&self.scenario, shard, self.knows_offers())).collect(),
            last,
        };
        let mut bytes = MAGIC.to_vec();
        bytes = postcard::to_extend(&snapshot, bytes)
            .map_err(|e| Error::Runtime(format!("snapshot: cannot be encoded: {e}")))?;
        bytes.extend(fnv1a(&bytes).to_le_bytes());
        Ok(bytes)
    }

    /// Takes the state of a snapshot of the same scenario, number of environments, seats and episode limit; returns what
    /// the buffers held. Anything else is an error that leaves the batch as it was.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<LastStep> {
        let bad = |reason: &str| Error::value("state", reason);
        let body = bytes
            .strip_prefix(MAGIC)
            .filter(|rest| rest.len() >= CHECKSUM)
            .ok_or_else(|| bad("is not a snapshot of an engine"))?;
        let (body, checksum) = body.split_at(body.len() - CHECKSUM);
        if fnv1a(&bytes[..bytes.len() - CHECKSUM]).to_le_bytes() != checksum {
            return Err(bad("is damaged: its checksum does not match"));
        }
        let snapshot: Snapshot = postcard::from_bytes(body).map_err(|e| bad(&format!("cannot be decoded: {e}")))?;
        if snapshot.version != VERSION {
            return Err(bad(&format!("has format {}, this version reads {VERSION}", snapshot.version)));
        }
        if snapshot.fingerprint != self.scenario.fingerprint {
            return Err(bad("was taken of an engine with another scenario"));
        }
        let envs = snapshot.shards.iter().map(|state| state.t.len()).sum::<usize>();
        if envs != self.layout().envs {
            let reason = format!("was taken of {envs} environments, this engine has {}", self.layout().envs);
            return Err(bad(&reason));
        }
        if snapshot.seats != self.seats.fingerprint() {
            return Err(bad("was taken with other seats: set the same agents and rivals first"));
        }
        if snapshot.limit != self.limit {
            return Err(bad("was taken with another max_episode_steps"));
        }
        let fits = snapshot.shards.len() == self.shards.len()
            && self.shards.iter().zip(&snapshot.shards).all(|(shard, state)| state.fits(&self.scenario, shard));
        if !fits || !snapshot.last.fits(self) {
            return Err(bad("does not fit this engine"));
        }
        let offers = snapshot.shards.iter().all(|saved| !saved.offer_price.is_empty());
        for (shard, saved) in self.shards.iter_mut().zip(snapshot.shards) {
            saved.restore(&self.scenario, shard);
        }
        self.knows_offers = offers;
        if !offers {
            self.forget_offers();
        }
        Ok(snapshot.last)
    }
}

/// The state of some environments, one after the other: what a shard holds, whatever its layout.
#[derive(Serialize, Deserialize)]
struct Saved {
    seed: Vec<u64>,
    episode: Vec<u64>,
    t: Vec<u32>,
    start: Vec<u32>,
    demand: Vec<f64>,
    price: Vec<f64>,
    unserved: Vec<f64>,
    started: Vec<bool>,
    finished: Vec<bool>,
    offer_price: Vec<f64>,
    offer_quantity: Vec<f64>,
    dispatch: Vec<f64>,
}

impl Saved {
    fn new(scenario: &Scenario, shard: &Shard, offers: bool) -> Self {
        let rows = 0..shard.rows();
        // What is not known is not part of the state.
        let agents = if offers { scenario.agents() } else { 0 };
        let heads = || rows.clone().map(|row| shard.head(row));
        let cells = |kind| rows.clone().flat_map(|row| (0..agents).map(move |i| shard.cell(kind, row, i))).collect();
        Self {
            seed: heads().map(|(head, l)| head.seed[l]).collect(),
            episode: heads().map(|(head, l)| head.episode[l]).collect(),
            t: heads().map(|(head, l)| head.t[l]).collect(),
            start: heads().map(|(head, l)| head.start[l]).collect(),
            demand: heads().map(|(head, l)| head.demand[l]).collect(),
            price: heads().map(|(head, l)| head.price[l]).collect(),
            unserved: heads().map(|(head, l)| head.unserved[l]).collect(),
            started: heads().map(|(head, l)| head.started[l]).collect(),
            finished: heads().map(|(head, l)| head.finished[l]).collect(),
            offer_price: cells(Cells::OfferPrice),
            offer_quantity: cells(Cells::OfferQuantity),
            dispatch: cells(Cells::Dispatch),
        }
    }

    fn fits(&self, scenario: &Scenario, shard: &Shard) -> bool {
        let rows = shard.rows();
        let cells = if self.offer_price.is_empty() && !scenario.looks_back() { 0 } else { rows * scenario.agents() };
        let hours = scenario.demand.len() as u64;
        let lengths = [self.seed.len(), self.episode.len(), self.t.len(), self.start.len(), self.demand.len()];
        let others = [self.price.len(), self.unserved.len(), self.started.len(), self.finished.len()];
        lengths.iter().chain(&others).all(|&n| n == rows)
            && [&self.offer_price, &self.offer_quantity, &self.dispatch].iter().all(|v| v.len() == cells)
            && self.t.iter().all(|&t| t <= scenario.horizon)
            && self.start.iter().all(|&start| u64::from(start) < hours)
    }

    /// Puts everything back; the numbers of the episodes follow from seed and episode.
    fn restore(&self, scenario: &Scenario, shard: &mut Shard) {
        // Those that this engine does not keep are not needed.
        let kept = shard.keeps_cells() && !self.offer_price.is_empty();
        let agents = if kept { scenario.agents() } else { 0 };
        for row in 0..shard.rows() {
            let (head, l) = (&mut shard.heads[row / LANES], row % LANES);
            head.seed[l] = self.seed[row];
            head.episode[l] = self.episode[row];
            head.t[l] = self.t[row];
            head.start[l] = self.start[row];
            head.demand[l] = self.demand[row];
            head.price[l] = self.price[row];
            head.unserved[l] = self.unserved[row];
            head.started[l] = self.started[row];
            head.finished[l] = self.finished[row];
            for agent in 0..agents {
                let cell = row * agents + agent;
                shard.set_cell(Cells::OfferPrice, row, agent, self.offer_price[cell]);
                shard.set_cell(Cells::OfferQuantity, row, agent, self.offer_quantity[cell]);
                shard.set_cell(Cells::Dispatch, row, agent, self.dispatch[cell]);
            }
            if self.started[row] {
                shard.draw_numbers(scenario, row);
            }
        }
    }
}

impl LastStep {
    /// Puts everything back into the buffers.
    pub fn write(&self, out: &mut Outputs<'_>) {
        out.rewards.copy_from_slice(&self.rewards);
        out.terminated.copy_from_slice(&self.terminated);
        out.truncated.copy_from_slice(&self.truncated);
        out.prices.copy_from_slice(&self.prices);
        out.demand.copy_from_slice(&self.demand);
        out.unserved.copy_from_slice(&self.unserved);
        out.dispatch.copy_from_slice(&self.dispatch);
        out.profits.copy_from_slice(&self.profits);
    }

    fn fits(&self, batch: &Batch) -> bool {
        let layout = batch.layout();
        let rows = [self.terminated.len(), self.truncated.len(), self.prices.len(), self.demand.len()];
        rows.iter().chain(&[self.unserved.len()]).all(|&n| n == layout.envs)
            && self.rewards.len() == layout.envs * layout.acting
            && [self.dispatch.len(), self.profits.len()].iter().all(|&n| n == layout.envs * layout.agents)
    }
}
