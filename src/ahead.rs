//! Tells the processor early which memory a block is about to write.
//!
//! A block computes first and then writes a burst of results. Where a batch does not fit the caches, each line of them has
//! to come from memory before it is written, and the burst waits. Asked for while the block still computes, the lines are
//! there in time; `docs/decisions/0010` has the measurements.

/// Bytes that the caches move at once.
const LINE: usize = 64;

/// Results of one call from which on they are expected not to stay in the caches, bytes.
pub const LARGE: usize = 4 << 20;

/// The memory that a block is about to write.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    regions: [Region; 4],
}

#[derive(Debug, Clone, Copy)]
struct Region {
    next: *const i8,
    /// Lines to ask for with each agent.
    share: usize,
}

impl Region {
    #[inline(always)]
    fn new<T>(buffer: &[T], agents: usize) -> Self {
        Self { next: buffer.as_ptr().cast(), share: size_of_val(buffer).div_ceil(LINE).div_ceil(agents) }
    }
}

impl Ahead {
    /// Nothing to ask for.
    #[inline(always)]
    pub fn nothing() -> Self {
        Self { regions: [Region { next: std::ptr::null(), share: 0 }; 4] }
    }

    /// Of a block's rows of floats and of doubles in the caller's buffers, in a market of `agents`.
    #[inline(always)]
    pub fn new(agents: usize, short: [&[f32]; 2], long: [&[f64]; 2]) -> Self {
        Self {
            regions: [
                Region::new(short[0], agents),
                Region::new(short[1], agents),
                Region::new(long[0], agents),
                Region::new(long[1], agents),
            ],
        }
    }

    /// Asks for the next agent's share of the lines, rounded up: what is too much belongs to the next block.
    #[inline(always)]
    pub fn ask(&mut self) {
        for region in &mut self.regions {
            for _ in 0..region.share {
                prefetch(region.next);
                region.next = region.next.wrapping_add(LINE);
            }
        }
    }
}

/// Asks for a line that will be written.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn prefetch(line: *const i8) {
    use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
    // SAFETY: a prefetch is a hint. It neither reads nor writes for the program, and it faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_ET0>(line) }
}

/// Other processors find out by themselves.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: *const i8) {}
