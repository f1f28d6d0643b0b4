//! Where each number of an episode stands in a parameter row.

use crate::rewards::Term;

/// Where a scenario-wide number stands behind the capacities and costs in a parameter row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Knob {
    Noise,
    Factor,
    MaxBidDelta,
    Floor,
    Cap,
    FirstWeight,
}

pub(crate) const KNOBS: usize = Knob::FirstWeight as usize + Term::ALL.len();
/// Derived from the row after drawing: standard deviation and clips of the demand noise, MW.
pub(crate) const DERIVED: usize = 3;

/// Where each number of an episode stands.
///
/// Rows are laid out `[capacity; G] [srmc; G] [knobs] [noise sd, low, high]`.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    generators: usize,
}

impl Slots {
    /// The slots of a market of so many generators.
    #[inline(always)]
    pub fn new(generators: usize) -> Self {
        Self { generators }
    }
    /// Capacity of a generator, MW.
    #[inline(always)]
    pub fn capacity(self, generator: usize) -> usize {
        generator
    }
    /// SRMC of a generator, $/MWh.
    #[inline(always)]
    pub fn srmc(self, generator: usize) -> usize {
        self.generators + generator
    }
    /// Multiplies the demand series.
    #[inline(always)]
    pub fn demand_factor(self) -> usize {
        self.knob(Knob::Factor)
    }
    /// Largest distance of an offer from SRMC, $/MWh.
    #[inline(always)]
    pub fn max_bid_delta(self) -> usize {
        self.knob(Knob::MaxBidDelta)
    }
    /// Price floor, $/MWh; -infinity for none.
    #[inline(always)]
    pub fn price_floor(self) -> usize {
        self.knob(Knob::Floor)
    }
    /// Price cap, $/MWh; infinity for none.
    #[inline(always)]
    pub fn price_cap(self) -> usize {
        self.knob(Knob::Cap)
    }
    /// Weight of the reward term with this place in [`Term::ALL`].
    #[inline(always)]
    pub fn weight(self, term: usize) -> usize {
        self.knob(Knob::FirstWeight) + term
    }
    /// Standard deviation of the demand noise, MW.
    #[inline(always)]
    pub fn noise_sd(self) -> usize {
        2 * self.generators + KNOBS
    }
    /// Lower clip of the demand noise, MW.
    #[inline(always)]
    pub fn noise_low(self) -> usize {
        self.noise_sd() + 1
    }
    /// Upper clip of the demand noise, MW.
    #[inline(always)]
    pub fn noise_high(self) -> usize {
        self.noise_sd() + 2
    }

    #[inline(always)]
    pub(crate) fn knob(self, knob: Knob) -> usize {
        2 * self.generators + knob as usize
    }
}
