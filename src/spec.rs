//! The configuration as given: plain data, checked by [`crate::scenario`] when it is compiled.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::observers::Feature;
use crate::rewards::Term;

/// Declares an enum whose variants have names that users write, so that every list of legal names in a message,
/// in the documentation or in Python comes from one place.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the names.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The names that users write.
            pub const NAMES: &'static [&'static str] = &[$($text,)+];

            /// The name that users write.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Finds a variant by name; the error lists the legal ones.
            pub fn parse(path: &str, name: &str) -> $crate::error::Result<Self> {
                match name {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::spec::unknown(path, name, Self::NAMES)),
                }
            }
        }
    };
}
pub(crate) use named;

/// The error for a name that is not among the legal ones.
pub(crate) fn unknown(path: &str, name: &str, legal: &[&str]) -> Error {
    Error::value(path, format!("unknown name {name:?}; the legal ones are {}", legal.join(", ")))
}

named! {
    /// Who is paid what.
    Pricing {
        /// Everyone who runs is paid the clearing price (pay-as-clear).
        Uniform = "uniform",
        /// Everyone who runs is paid its own offer.
        PayAsBid = "pay_as_bid",
    }
}

named! {
    /// The price when supply meets demand exactly at a unit's end.
    Kink {
        /// The offer of the marginal unit.
        Lower = "lower",
        /// The next offer in merit order.
        Upper = "upper",
        /// Half-way between the two.
        Mid = "mid",
    }
}

named! {
    /// The price when everything offered is less than demand.
    Scarcity {
        /// The dearest offer with positive quantity.
        LastOffer = "last_offer",
        /// The price cap.
        Cap = "cap",
    }
}

named! {
    /// Who runs among equal offers at the margin.
    TieBreak {
        /// In proportion to the offered quantities.
        ProRata = "pro_rata",
        /// The lower index first.
        Index = "index",
        /// In a random order, drawn anew in each step.
        Random = "random",
    }
}

named! {
    /// How an action becomes an offer.
    BiddingRule {
        /// A share of capacity withheld, and a price as a bounded distance from SRMC.
        WithholdAndMarkup = "withhold_and_markup",
    }
}

named! {
    /// What the end of an episode means.
    EpisodeEnd {
        /// A true finite horizon.
        Terminate = "terminate",
        /// A window cut from a longer series.
        Truncate = "truncate",
    }
}

named! {
    /// Where in the series an episode starts.
    EpisodeStart {
        /// The first eligible hour.
        First = "first",
        /// Any eligible hour.
        Random = "random",
        /// Hour 0 of any eligible day.
        RandomDay = "random_day",
    }
}

/// A number of the configuration: fixed, or drawn per environment and episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Number {
    /// Always the same.
    Fixed(f64),
    /// Uniform in `[low, high)`.
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// Normal, clipped to `[low, high]`.
    Normal {
        /// Mean before clipping.
        mean: f64,
        /// Standard deviation before clipping.
        sd: f64,
        /// Lower clip.
        low: f64,
        /// Upper clip.
        high: f64,
    },
    /// One of these, with equal chances.
    Choice(Vec<f64>),
}

impl Number {
    /// The smallest value it can take.
    pub fn smallest(&self) -> f64 {
        match self {
            Self::Fixed(x) => *x,
            Self::Uniform { low, .. } | Self::Normal { low, .. } => *low,
            Self::Choice(values) => values.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }

    /// The largest value it can take; scales and bounds count a distribution with it.
    pub fn largest(&self) -> f64 {
        match self {
            Self::Fixed(x) => *x,
            Self::Uniform { high, .. } | Self::Normal { high, .. } => *high,
            Self::Choice(values) => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// Checks that it is finite and well formed, and not below `at_least`.
    pub fn check(&self, path: &str, at_least: f64) -> Result<()> {
        let finite = |field: &str, x: f64| usable(&format!("{path}{field}"), x);
        let ordered = |low: f64, high: f64| {
            if low <= high {
                Ok(())
            } else {
                Err(Error::value(format!("{path}.low"), format!("must be <= high, got {low} > {high}")))
            }
        };
        match self {
            Self::Fixed(x) => finite("", *x)?,
            Self::Uniform { low, high } => {
                finite(".low", *low)?;
                finite(".high", *high)?;
                ordered(*low, *high)?;
            }
            Self::Normal { mean, sd, low, high } => {
                finite(".mean", *mean)?;
                finite(".sd", *sd)?;
                finite(".low", *low)?;
                finite(".high", *high)?;
                if *sd < 0.0 {
                    return Err(Error::value(format!("{path}.sd"), format!("must be >= 0, got {sd}")));
                }
                ordered(*low, *high)?;
            }
            Self::Choice(values) => {
                if values.is_empty() {
                    return Err(Error::value(format!("{path}.values"), "must not be empty"));
                }
                for (i, x) in values.iter().enumerate() {
                    finite(&format!(".values[{i}]"), *x)?;
                }
            }
        }
        if self.smallest() < at_least {
            return Err(Error::value(path, format!("must be >= {at_least}, got {}", self.smallest())));
        }
        Ok(())
    }
}

/// Beyond this, products and squares of what a market computes could leave the range of a 64-bit float.
pub(crate) const LARGEST: f64 = 1e15;

/// Checks that a number of the configuration is finite and of a size that arithmetic can carry.
pub(crate) fn usable(path: &str, x: f64) -> Result<()> {
    if !x.is_finite() {
        return Err(Error::value(path, format!("must be finite, got {x}")));
    }
    if x.abs() > LARGEST {
        return Err(Error::value(path, format!("must be within +-{LARGEST:e}, got {x}")));
    }
    Ok(())
}

/// Share of a unit's capacity that can be offered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Availability {
    /// The same in every hour.
    Constant(f64),
    /// One number per hour of the demand series.
    Hourly(Vec<f64>),
}

/// One generating unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GeneratorSpec {
    /// Name of the agent that bids for it.
    pub name: String,
    /// Capacity, MW.
    pub capacity_mw: Number,
    /// Short-run marginal cost, $/MWh.
    pub srmc: Number,
    /// Share of the capacity that can be offered.
    pub availability: Availability,
}

/// The demand series and its variation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DemandSpec {
    /// Base demand of every hour, MW.
    pub series_mw: Vec<f64>,
    /// Standard deviation of the noise as a share of the largest base demand.
    pub noise: Number,
    /// Multiplies the whole series.
    pub factor: Number,
    /// Hour of the week of the first entry, 0 = Monday 00:00.
    pub first_hour: i64,
}

/// The market's rules.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RulesSpec {
    /// Who is paid what.
    pub pricing: Pricing,
    /// Price at a kink.
    pub kink: Kink,
    /// Price in shortage.
    pub scarcity: Scarcity,
    /// Who runs among equals.
    pub tie_break: TieBreak,
    /// Lowest legal offer, $/MWh.
    pub price_floor: Option<Number>,
    /// Highest legal offer, $/MWh.
    pub price_cap: Option<Number>,
}

/// How rewards are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum RewardScale {
    /// `20 / (max demand * max srmc * max(1, horizon))`.
    Seed,
    /// A given factor; 1 pays plain $.
    Factor(f64),
}

/// The reward: a scaled, weighted sum of terms.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RewardSpec {
    /// The scale.
    pub scale: RewardScale,
    /// The weight of every term, in the order of [`Term::ALL`]; a term of weight 0 is left out of the step.
    pub weights: Vec<Number>,
}

impl RewardSpec {
    /// The weights that a scenario has when it says nothing.
    pub fn default_weights() -> Vec<Number> {
        Term::ALL.iter().map(|term| Number::Fixed(term.default_weight())).collect()
    }
}

/// A whole market game as given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spec {
    /// The fleet.
    pub generators: Vec<GeneratorSpec>,
    /// The demand.
    pub demand: DemandSpec,
    /// Steps in one episode.
    pub horizon: i64,
    /// The market's rules.
    pub rules: RulesSpec,
    /// How an action becomes an offer.
    pub bidding: BiddingRule,
    /// Largest distance of an offer from SRMC, $/MWh.
    pub max_bid_delta: Number,
    /// The reward.
    pub reward: RewardSpec,
    /// Features of the observation, in order.
    pub observation: Vec<Feature>,
    /// What the end of an episode means.
    pub episode_end: EpisodeEnd,
    /// Where an episode starts.
    pub episode_start: EpisodeStart,
    /// Days on which episodes may start.
    pub days: Option<Vec<i64>>,
}
