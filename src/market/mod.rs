//! The clearing: who runs, in one market ([`merit_order`]) or in eight at once ([`lanes`]), and who is paid what
//! ([`pricing`]).

mod bracket;
pub mod lanes;
pub mod merit_order;
pub mod pricing;

pub use merit_order::{Outcome, Scratch, clear};
