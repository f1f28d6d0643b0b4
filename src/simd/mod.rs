//! Lanes, and which vector instructions the step runs with: chosen once at run time, so that one wheel serves every processor.
//!
//! The stages are written once, over a [`Vector`]: eight lanes whose arithmetic `plain`, `avx2` and `avx512` provide. Every
//! level does the same operation by operation (nothing is fused or reordered), so results do not depend on the choice.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;
mod vector;
mod wide;
#[cfg(target_arch = "x86_64")]
mod wide_x86;

use std::sync::OnceLock;

pub use plain::Plain;
pub use vector::{Arithmetic, Float, Mask, One, Vector, Words};
pub use wide::{Short, WIDE, Wide};

use crate::error::{Error, Result};
use crate::spec::named;

/// Environments that are computed side by side.
pub const LANES: usize = 8;

/// One number of each of them; aligned, so that no register's worth crosses a line of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Lanes(pub [f64; LANES]);

impl Lanes {
    /// The same number in every lane.
    #[inline(always)]
    pub const fn splat(x: f64) -> Self {
        Self([x; LANES])
    }
}

impl std::ops::Index<usize> for Lanes {
    type Output = f64;
    #[inline(always)]
    fn index(&self, lane: usize) -> &f64 {
        &self.0[lane]
    }
}

impl std::ops::IndexMut<usize> for Lanes {
    #[inline(always)]
    fn index_mut(&mut self, lane: usize) -> &mut f64 {
        &mut self.0[lane]
    }
}

named! {
    /// A level of vector instructions.
    Level {
        /// What every processor of the target has (SSE2 on x86-64, NEON on aarch64).
        Baseline = "baseline",
        /// AVX2 and FMA's company (x86-64-v3).
        Avx2 = "avx2",
        /// AVX-512 (x86-64-v4).
        Avx512 = "avx512",
    }
}

/// A level that this processor has.
#[derive(Debug, Clone, Copy)]
pub enum Simd {
    /// No more than the target's baseline.
    Baseline,
    /// x86-64-v3.
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    /// x86-64-v4.
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
}

/// The environment variable that forces a level.
const VARIABLE: &str = "VECMARKET_SIMD";

impl Simd {
    /// The level in use: the highest that the processor has, or the one that `VECMARKET_SIMD` names. Read once.
    pub fn get() -> Result<Self> {
        static CHOSEN: OnceLock<Result<Simd>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var(VARIABLE) {
                Ok(name) if !name.is_empty() => {
                    let level = Level::parse(VARIABLE, &name)?;
                    Self::of(level).ok_or_else(|| {
                        Error::value(VARIABLE, format!("this processor or build does not have {:?}", level.name()))
                    })
                }
                _ => Ok(Self::of(Level::Avx512).or(Self::of(Level::Avx2)).unwrap_or(Self::Baseline)),
            })
            .clone()
    }

    /// A level, if this processor has it.
    pub fn of(level: Level) -> Option<Self> {
        match level {
            Level::Baseline => Some(Self::Baseline),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => pulp::x86::V3::try_new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => pulp::x86::V4::try_new().map(Self::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    /// Its level.
    pub fn level(self) -> Level {
        match self {
            Self::Baseline => Level::Baseline,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Level::Avx512,
        }
    }

    /// Runs work compiled for this level. What the work calls has to be inlined into it to profit.
    #[inline(always)]
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Baseline => work.run(Plain),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(Compiled { simd, work }),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(Compiled { simd, work }),
        }
    }
}

/// Something to do with the vectors of a level.
pub trait Work {
    /// What comes out.
    type Output;

    /// Does it.
    fn run<V: Vector>(self, simd: V) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
struct Compiled<V, W> {
    simd: V,
    work: W,
}

#[cfg(target_arch = "x86_64")]
impl<V: Vector, W: Work> pulp::NullaryFnOnce for Compiled<V, W> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.work.run(self.simd)
    }
}
