//! Batched electricity markets for reinforcement learning: the core.
//!
//! N independent markets are stepped together. A configuration ([`spec::Spec`]) is checked and compiled once
//! into a [`scenario::Scenario`]; the state of the environments lives in fixed-size [`shard::Shard`]s; one
//! [`step`] is bids, clearing, settlement, reward, clock, observation; a [`batch::Batch`] walks the shards and
//! writes into buffers that the caller owns. Nothing here knows Python: the binding is `py`.

pub mod action;
pub mod ahead;
pub mod batch;
pub mod bidding;
pub mod clearing;
pub mod error;
pub mod follow;
pub mod market;
pub mod math;
pub mod moments;
pub mod nn;
pub mod numbers;
pub mod observers;
pub mod outputs;
pub mod policy;
pub mod pool;
pub mod ppo;
pub mod publish;
pub mod record;
pub mod replay;
pub mod rewards;
pub mod rivals;
pub mod rng;
pub mod rollout;
pub mod rows;
pub mod scenario;
pub mod seats;
pub mod series;
pub mod settle;
pub mod shard;
pub mod simd;
pub mod slots;
pub mod snapshot;
pub mod spec;
pub mod step;
pub mod trainer;
pub mod walk;

#[cfg(feature = "python")]
mod py;
