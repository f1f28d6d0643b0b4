//! Who plays which agent: the caller, by actions, or a rival that the engine plays itself.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How one agent is played.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Seat {
    /// The caller gives an action and sees an observation.
    Acts,
    /// Offers everything at its SRMC.
    Truthful,
    /// Offers everything at its SRMC plus this many $/MWh.
    Markup(f64),
}

impl Seat {
    /// The names that users write; a fixed markup is written as a number.
    pub const NAMES: &'static [&'static str] = &["acts", "truthful"];

    /// Finds a seat by name.
    pub fn parse(path: &str, name: &str) -> Result<Self> {
        match name {
            "acts" => Ok(Self::Acts),
            "truthful" => Ok(Self::Truthful),
            _ => {
                let legal = "\"acts\", \"truthful\", or a number (a fixed markup in $/MWh)";
                Err(Error::value(path, format!("unknown name {name:?}; the legal ones are {legal}")))
            }
        }
    }
}

/// The seats of a market, one per agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seats {
    seats: Vec<Seat>,
    acting: Vec<usize>,
}

impl Seats {
    /// Every agent acts.
    pub fn all_act(agents: usize) -> Self {
        Self { seats: vec![Seat::Acts; agents], acting: (0..agents).collect() }
    }

    /// Checks and takes one seat per agent.
    pub fn new(seats: Vec<Seat>, agents: usize) -> Result<Self> {
        if seats.len() != agents {
            return Err(Error::value("seats", format!("must have one entry per agent, {agents}, got {}", seats.len())));
        }
        for (i, seat) in seats.iter().enumerate() {
            if let Seat::Markup(x) = seat
                && !x.is_finite()
            {
                return Err(Error::value(format!("seats[{i}]"), format!("a markup must be finite, got {x}")));
            }
        }
        let acting: Vec<usize> = (0..agents).filter(|&i| seats[i] == Seat::Acts).collect();
        if acting.is_empty() {
            return Err(Error::value("seats", "at least one agent must act"));
        }
        Ok(Self { seats, acting })
    }

    /// One seat per agent, (A,).
    #[inline]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Places of the agents that act, increasing, (L,).
    #[inline]
    pub fn acting(&self) -> &[usize] {
        &self.acting
    }

    /// The largest distance of a fixed markup from zero, $/MWh.
    pub fn largest_markup(&self) -> f64 {
        let size = |seat: &Seat| {
            if let Seat::Markup(x) = seat { x.abs() } else { 0.0 }
        };
        self.seats.iter().map(size).fold(0.0, f64::max)
    }
}
