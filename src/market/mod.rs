//! The clearing: who runs, in one market ([`merit_order`]), in eight at once ([`lanes`]) or in any number ([`batch`]), and
//! who is paid what ([`pricing`]).

pub mod batch;
mod bracket;
pub mod lanes;
pub mod merit_order;
pub mod pricing;

pub use merit_order::{Outcome, Scratch, clear};
