//! One market's clearing: who runs ([`merit_order`]) and who is paid what ([`pricing`]).

pub mod lanes;
pub mod merit_order;
pub mod pricing;

pub use merit_order::{Outcome, Scratch, clear};
