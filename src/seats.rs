//! Who plays which agent: the caller, by actions, or a rival that the engine plays itself.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::policy::Policy;
use crate::scenario::fnv1a;

/// How one agent is played.
#[derive(Debug, Clone)]
pub enum Seat {
    /// The caller gives an action and sees an observation.
    Acts,
    /// Offers everything at its SRMC.
    Truthful,
    /// Offers everything at its SRMC plus this many $/MWh.
    Markup(f64),
    /// Played by one of several players, drawn per environment and episode.
    Mixed(Arc<Mixture>),
}

/// Who may play an agent for an episode.
#[derive(Debug, Clone)]
pub enum Player {
    /// Offers everything at its SRMC plus this many $/MWh, which are 0 for a truthful one.
    Markup(f64),
    /// Acts on what the agent sees.
    Policy(Arc<Policy>),
}

/// Players, and how often each is drawn.
#[derive(Debug)]
pub struct Mixture {
    players: Vec<Player>,
    /// Probability that a player or one before it is drawn; the last is 1.
    up_to: Vec<f64>,
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
                let legal = "\"acts\", \"truthful\", a number (a fixed markup in $/MWh), a policy or a pool of them";
                Err(Error::value(path, format!("unknown name {name:?}; the legal ones are {legal}")))
            }
        }
    }

    fn describe(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Acts => bytes.push(0),
            Self::Truthful => bytes.push(1),
            Self::Markup(x) => {
                bytes.push(2);
                bytes.extend(x.to_le_bytes());
            }
            Self::Mixed(mixture) => {
                bytes.push(3);
                bytes.extend((mixture.players.len() as u64).to_le_bytes());
                for (player, up_to) in mixture.players.iter().zip(&mixture.up_to) {
                    let (kind, what) = match player {
                        Player::Markup(x) => (0, x.to_bits()),
                        Player::Policy(policy) => (1, policy.fingerprint()),
                    };
                    bytes.push(kind);
                    bytes.extend(what.to_le_bytes());
                    bytes.extend(up_to.to_le_bytes());
                }
            }
        }
    }
}

impl Mixture {
    /// Players that are drawn in proportion to their weights, alike where none are given. `path` says whose they are.
    pub fn new(path: &str, players: Vec<Player>, weights: Option<Vec<f64>>) -> Result<Self> {
        if players.is_empty() {
            return Err(Error::value(format!("{path}: members"), "must name at least one"));
        }
        for (i, player) in players.iter().enumerate() {
            if let Player::Markup(x) = player {
                check_markup(&format!("{path}: members[{i}]"), *x)?;
            }
        }
        let weights = weights.unwrap_or_else(|| vec![1.0; players.len()]);
        if weights.len() != players.len() {
            let reason = format!("must have one entry per member, {}, got {}", players.len(), weights.len());
            return Err(Error::value(format!("{path}: weights"), reason));
        }
        for (i, x) in weights.iter().enumerate() {
            if !(0.0..=f64::MAX).contains(x) {
                return Err(Error::value(format!("{path}: weights[{i}]"), format!("must be finite and >= 0, got {x}")));
            }
        }
        // Halved so often that the sum of the largest is finite.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(Error::value(format!("{path}: weights"), "must not all be 0"));
        }
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .iter()
            .map(|x| {
                sum += x / largest;
                sum
            })
            .collect();
        Ok(Self { players, up_to: sums.into_iter().map(|x| x / sum).collect() })
    }

    /// One policy and nobody else.
    pub fn only(policy: Arc<Policy>) -> Self {
        Self { players: vec![Player::Policy(policy)], up_to: vec![1.0] }
    }

    /// Its players.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// The player that a uniform draw from (0, 1) chooses.
    #[inline]
    pub fn pick(&self, u: f64) -> usize {
        self.up_to.partition_point(|up_to| *up_to <= u)
    }
}

/// The seats of a market, one per agent.
#[derive(Debug, Clone)]
pub struct Seats {
    seats: Vec<Seat>,
    acting: Vec<usize>,
    fingerprint: u64,
}

impl Seats {
    /// Every agent acts.
    pub fn all_act(agents: usize) -> Self {
        Self::with((0..agents).collect(), vec![Seat::Acts; agents])
    }

    /// Checks and takes one seat per agent.
    pub fn new(seats: Vec<Seat>, agents: usize) -> Result<Self> {
        if seats.len() != agents {
            return Err(Error::value("seats", format!("must have one entry per agent, {agents}, got {}", seats.len())));
        }
        for (i, seat) in seats.iter().enumerate() {
            if let Seat::Markup(x) = seat {
                check_markup(&format!("seats[{i}]"), *x)?;
            }
        }
        let acting: Vec<usize> = (0..agents).filter(|&i| matches!(seats[i], Seat::Acts)).collect();
        if acting.is_empty() {
            return Err(Error::value("seats", "at least one agent must act"));
        }
        Ok(Self::with(acting, seats))
    }

    fn with(acting: Vec<usize>, seats: Vec<Seat>) -> Self {
        let mut bytes = vec![];
        seats.iter().for_each(|seat| seat.describe(&mut bytes));
        Self { seats, acting, fingerprint: fnv1a(&bytes) }
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

    /// The agents that mixtures play, increasing.
    pub fn mixtures(&self) -> impl Iterator<Item = (usize, Arc<Mixture>)> + '_ {
        let seats = self.seats.iter().enumerate();
        seats.filter_map(|(agent, seat)| if let Seat::Mixed(m) = seat { Some((agent, Arc::clone(m))) } else { None })
    }

    /// Names who plays whom, the numbers of policies included.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The largest distance of a fixed markup from zero, $/MWh.
    pub fn largest_markup(&self) -> f64 {
        let of_player = |player: &Player| if let Player::Markup(x) = player { x.abs() } else { 0.0 };
        let size = |seat: &Seat| match seat {
            Seat::Acts | Seat::Truthful => 0.0,
            Seat::Markup(x) => x.abs(),
            Seat::Mixed(mixture) => mixture.players.iter().map(of_player).fold(0.0, f64::max),
        };
        self.seats.iter().map(size).fold(0.0, f64::max)
    }
}

fn check_markup(path: &str, x: f64) -> Result<()> {
    if x.is_finite() { Ok(()) } else { Err(Error::value(path, format!("a markup must be finite, got {x}"))) }
}
