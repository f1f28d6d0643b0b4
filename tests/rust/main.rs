//! Tests of the core that need no Python: the kernels against a plain reference, and results that do not depend on
//! threads, batch or snapshots.

mod batch;
mod clearing;
mod game;
mod lanes;
mod networks;
mod replay;
mod rivals;
mod rng;
