//! A [`Spec`] compiled once: checked, names resolved, scales fixed. No strings and no look-ups are left for the step.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::observers::Feature;
use crate::rewards::Term;
use crate::rng::{Kind, Streams};
use crate::slots::{DERIVED, Knob, Slots};
use crate::spec::{
    Availability, BiddingRule, EpisodeEnd, EpisodeStart, Number, Pricing, RewardScale, RulesSpec, Scarcity, Spec,
    TieBreak,
};
use crate::spec::{GeneratorSpec, Kink, usable};

/// Hours in a week: the period of the time features.
pub const WEEK: u32 = 168;

/// The rules of clearing, as the kernels use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Who is paid what.
    pub pricing: Pricing,
    /// Price at a kink.
    pub kink: Kink,
    /// Price in shortage.
    pub scarcity: Scarcity,
    /// Who runs among equals.
    pub tie_break: TieBreak,
}

impl RulesSpec {
    /// Checks the bounds against each other and drops what the kernels do not need.
    pub fn compile(&self) -> Result<Rules> {
        if let Some(floor) = &self.price_floor {
            floor.check("rules.price_floor", f64::NEG_INFINITY)?;
        }
        if let Some(cap) = &self.price_cap {
            cap.check("rules.price_cap", f64::NEG_INFINITY)?;
        }
        if let (Some(floor), Some(cap)) = (&self.price_floor, &self.price_cap)
            && floor.largest() > cap.smallest()
        {
            let reason = format!("must be >= price_floor, got {} < {}", cap.smallest(), floor.largest());
            return Err(Error::value("rules.price_cap", reason));
        }
        if self.scarcity == Scarcity::Cap && self.price_cap.is_none() {
            return Err(Error::value("rules.scarcity", "\"cap\" needs rules.price_cap to be set"));
        }
        Ok(Rules { pricing: self.pricing, kink: self.kink, scarcity: self.scarcity, tie_break: self.tie_break })
    }
}

/// What observations are divided by; each is 1 where the largest value is not positive.
#[derive(Debug, Clone, Copy)]
pub struct Scales {
    /// Largest base demand, MW.
    pub demand: f64,
    /// Largest capacity, MW.
    pub capacity: f64,
    /// Largest SRMC, $/MWh.
    pub cost: f64,
}

/// A compiled market game.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The configuration that it was compiled from.
    pub spec: Spec,
    /// Steps in one episode, T.
    pub horizon: u32,
    /// The rules of clearing.
    pub rules: Rules,
    /// How an action becomes an offer.
    pub bidding: BiddingRule,
    /// Multiplies the reward.
    pub reward_scale: f64,
    /// What the end of an episode means.
    pub episode_end: EpisodeEnd,
    /// Hours at which an episode may start, increasing.
    pub starts: Vec<u32>,
    /// Base demand, MW, (L,).
    pub demand: Vec<f64>,
    /// Smallest base demand, MW.
    pub demand_min: f64,
    /// Largest base demand, MW.
    pub demand_max: f64,
    /// True where there is noise on demand in any environment.
    pub noisy: bool,
    /// Availability, (L, G) row by row; None when every unit is always available.
    pub availability: Option<Vec<f64>>,
    /// Hour of the week of the first entry of the series.
    pub first_hour: u32,
    /// What observations are divided by.
    pub scales: Scales,
    /// Features of an observation with their widths, in order.
    pub features: Vec<(Feature, usize)>,
    /// Floats in one observation, F.
    pub width: usize,
    /// Names the compiled configuration; a snapshot restores only into the same one.
    pub fingerprint: u64,
    /// A row in which drawn numbers stand at their largest value.
    base_row: Vec<f64>,
    /// Slots that are drawn at reset.
    drawn: Vec<(usize, Number)>,
}

impl Scenario {
    /// Checks a configuration and compiles it.
    pub fn compile(spec: Spec) -> Result<Self> {
        let generators = spec.generators.len();
        if generators == 0 {
            return Err(Error::value("generators", "must not be empty"));
        }
        let demand = check_demand(&spec)?;
        let hours = demand.len();
        check_generators(&spec.generators, hours)?;
        let rules = spec.rules.compile()?;
        if spec.horizon < 1 || spec.horizon > hours as i64 {
            let reason = format!("must be in 1..{hours}, the length of demand.series_mw, got {}", spec.horizon);
            return Err(Error::value("horizon", reason));
        }
        let horizon = spec.horizon as u32;
        spec.max_bid_delta.check("bidding.max_bid_delta", 0.0)?;
        for (term, weight) in Term::ALL.iter().zip(&spec.reward.weights) {
            weight.check(&format!("reward.{}", term.name()), f64::NEG_INFINITY)?;
        }
        if spec.observation.is_empty() {
            return Err(Error::value("observation", "must name at least one feature"));
        }
        let starts = starts(&spec, hours, horizon)?;

        let mut numbers: Vec<Number> = spec.generators.iter().map(|g| g.capacity_mw.clone()).collect();
        numbers.extend(spec.generators.iter().map(|g| g.srmc.clone()));
        numbers.push(spec.demand.noise.clone());
        numbers.push(spec.demand.factor.clone());
        numbers.push(spec.max_bid_delta.clone());
        numbers.push(spec.rules.price_floor.clone().unwrap_or(Number::Fixed(f64::NEG_INFINITY)));
        numbers.push(spec.rules.price_cap.clone().unwrap_or(Number::Fixed(f64::INFINITY)));
        numbers.extend(spec.reward.weights.iter().cloned());
        let base_row: Vec<f64> = numbers.iter().map(Number::largest).chain([0.0; DERIVED]).collect();
        let drawn: Vec<(usize, Number)> =
            numbers.into_iter().enumerate().filter(|(_, number)| !matches!(number, Number::Fixed(_))).collect();

        let demand_min = demand.iter().copied().fold(f64::INFINITY, f64::min);
        let demand_max = demand.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let factor = &spec.demand.factor;
        let scales = Scales {
            demand: positive_or_one((demand_max * factor.largest()).max(demand_max * factor.smallest())),
            capacity: positive_or_one(max(&base_row[..generators])),
            cost: positive_or_one(max(&base_row[generators..2 * generators])),
        };
        let reward_scale = match spec.reward.scale {
            RewardScale::Seed => 20.0 / (scales.demand * scales.cost * f64::from(horizon.max(1))),
            RewardScale::Factor(x) if x.is_finite() && x > 0.0 => x,
            RewardScale::Factor(x) => {
                return Err(Error::value("reward.scale", format!("must be a finite number > 0, got {x}")));
            }
        };
        let with_width = |feature: &Feature| (*feature, feature.labels(generators).len());
        let features: Vec<(Feature, usize)> = spec.observation.iter().map(with_width).collect();
        if features.iter().all(|(_, width)| *width == 0) {
            return Err(Error::value("observation", "is empty in a market of one agent: name a feature of its own"));
        }

        let mut scenario = Self {
            horizon,
            rules,
            bidding: spec.bidding,
            reward_scale,
            episode_end: spec.episode_end,
            starts,
            demand_min,
            demand_max,
            noisy: spec.demand.noise.largest() > 0.0,
            availability: availability(&spec.generators, hours),
            first_hour: spec.demand.first_hour as u32,
            scales,
            width: features.iter().map(|(_, width)| width).sum(),
            features,
            fingerprint: fingerprint(&spec)?,
            base_row,
            drawn,
            demand,
            spec,
        };
        scenario.check_noise_bounds()?;
        let mut row = std::mem::take(&mut scenario.base_row);
        scenario.derive(&mut row);
        scenario.base_row = row;
        Ok(scenario)
    }

    /// Number of generators, G, which is the number of agents.
    #[inline]
    pub fn agents(&self) -> usize {
        self.spec.generators.len()
    }

    /// One label per number of an observation, (F,).
    pub fn labels(&self) -> Vec<String> {
        self.features.iter().flat_map(|(feature, _)| feature.labels(self.agents())).collect()
    }

    /// Availability of every unit in a series hour, or None when all are always available.
    #[inline]
    pub fn availability_at(&self, hour: u32) -> Option<&[f64]> {
        let g = self.agents();
        self.availability.as_ref().map(|rows| &rows[hour as usize * g..][..g])
    }

    /// True when environments differ in their numbers, so that each needs a parameter row of its own.
    pub fn is_randomised(&self) -> bool {
        !self.drawn.is_empty()
    }

    /// True where observations show what agents offered or ran in the last step.
    pub fn looks_back(&self) -> bool {
        self.features.iter().any(|(feature, _)| matches!(feature, Feature::LastDispatch | Feature::RivalOffers))
    }

    /// A row with the drawn numbers at their largest value; shared by all environments when nothing is drawn.
    pub fn base_row(&self) -> &[f64] {
        &self.base_row
    }

    /// Draws the numbers of one episode into a row.
    pub fn draw(&self, streams: Streams, row: &mut [f64]) {
        row.copy_from_slice(&self.base_row);
        for (slot, number) in &self.drawn {
            let index = *slot as u32;
            row[*slot] = match number {
                Number::Fixed(x) => *x,
                Number::Uniform { low, high } => low + streams.uniform(0, Kind::Parameter, index) * (high - low),
                Number::Normal { mean, sd, low, high } => {
                    (mean + sd * streams.normal(0, Kind::Parameter, index)).clamp(*low, *high)
                }
                Number::Choice(values) => values[streams.below(values.len(), 0, Kind::Parameter, index)],
            };
        }
        self.derive(row);
    }

    /// Where each number of an episode stands.
    #[inline(always)]
    pub fn slots(&self) -> Slots {
        Slots::new(self.agents())
    }

    /// Fills in what follows from the drawn numbers: `N(0, noise * demand_scale)` clipped to
    /// `[-0.5 * max(0, min base), 0.5 * max(0, sum K - max base)]`.
    fn derive(&self, row: &mut [f64]) {
        let slots = self.slots();
        let noise = row[slots.knob(Knob::Noise)];
        let factor = row[slots.demand_factor()];
        let supply: f64 = row[..self.agents()].iter().sum();
        row[slots.noise_sd()] = noise * self.scales.demand;
        row[slots.noise_low()] = -0.5 * (self.demand_min * factor).max(0.0);
        row[slots.noise_high()] = 0.5 * (supply - self.demand_max * factor).max(0.0);
    }

    /// With noise, a peak above the capacity of a fixed fleet would leave the noise no room upwards and bias it.
    fn check_noise_bounds(&self) -> Result<()> {
        let fixed = self.spec.generators.iter().all(|g| matches!(g.capacity_mw, Number::Fixed(_)));
        let supply: f64 = self.base_row[..self.agents()].iter().sum();
        let peak = self.demand_max * self.spec.demand.factor.largest();
        if fixed && self.spec.demand.noise.largest() > 0.0 && peak > supply {
            let reason = format!(
                "the largest base demand must be <= the fleet's capacity of {supply} MW when demand.noise > 0, got {peak}"
            );
            return Err(Error::value("demand.series_mw", reason));
        }
        Ok(())
    }
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn positive_or_one(x: f64) -> f64 {
    if x > 0.0 { x } else { 1.0 }
}

fn check_demand(spec: &Spec) -> Result<Vec<f64>> {
    let demand = &spec.demand;
    if demand.series_mw.is_empty() {
        return Err(Error::value("demand.series_mw", "must not be empty"));
    }
    if demand.series_mw.len() > u32::MAX as usize / 2 {
        return Err(Error::value("demand.series_mw", "must be shorter than 2^31 hours"));
    }
    if let Some(hour) = demand.series_mw.iter().position(|&x| usable("", x).is_err()) {
        usable(&format!("demand.series_mw[{hour}]"), demand.series_mw[hour])?;
    }
    demand.noise.check("demand.noise", 0.0)?;
    demand.factor.check("demand.factor", 0.0)?;
    if !(0..i64::from(WEEK)).contains(&demand.first_hour) {
        let reason = format!("must be an hour of the week, 0..{}, got {}", WEEK - 1, demand.first_hour);
        return Err(Error::value("demand.first_hour", reason));
    }
    Ok(demand.series_mw.clone())
}

fn check_generators(generators: &[GeneratorSpec], hours: usize) -> Result<()> {
    let mut places = HashMap::new();
    for (i, generator) in generators.iter().enumerate() {
        let path = |field: &str| format!("generators[{i}].{field}");
        generator.capacity_mw.check(&path("capacity_mw"), 0.0)?;
        generator.srmc.check(&path("srmc"), f64::NEG_INFINITY)?;
        if generator.name.is_empty() {
            return Err(Error::value(path("name"), "must not be empty"));
        }
        if let Some(first) = places.insert(generator.name.as_str(), i) {
            let reason = format!("{:?} is already the name of generators[{first}]", generator.name);
            return Err(Error::value(path("name"), reason));
        }
        let share = |field: String, x: f64| {
            if (0.0..=1.0).contains(&x) {
                Ok(())
            } else {
                Err(Error::value(field, format!("must be in [0, 1], got {x}")))
            }
        };
        match &generator.availability {
            Availability::Constant(x) => share(path("availability"), *x)?,
            Availability::Hourly(series) => {
                if series.len() != hours {
                    let reason = format!("must have {hours} entries like demand.series_mw, got {}", series.len());
                    return Err(Error::value(path("availability"), reason));
                }
                for (hour, x) in series.iter().enumerate() {
                    share(path(&format!("availability[{hour}]")), *x)?;
                }
            }
        }
    }
    Ok(())
}

fn availability(generators: &[GeneratorSpec], hours: usize) -> Option<Vec<f64>> {
    if generators.iter().all(|g| g.availability == Availability::Constant(1.0)) {
        return None;
    }
    let at = |hour: usize, generator: &GeneratorSpec| match &generator.availability {
        Availability::Constant(x) => *x,
        Availability::Hourly(series) => series[hour],
    };
    Some((0..hours).flat_map(|hour| generators.iter().map(move |g| at(hour, g))).collect())
}

/// Hours at which an episode may start, increasing: those that leave room for a whole episode, on the given days.
fn starts(spec: &Spec, hours: usize, horizon: u32) -> Result<Vec<u32>> {
    let days = hours.div_ceil(24);
    let mut chosen = vec![spec.days.is_none(); days];
    for (i, &day) in spec.days.iter().flatten().enumerate() {
        match usize::try_from(day).ok().and_then(|day| chosen.get_mut(day)) {
            Some(slot) => *slot = true,
            None => {
                let reason = format!("must be a day of the series, 0..{}, got {day}", days - 1);
                return Err(Error::value(format!("days[{i}]"), reason));
            }
        }
    }
    let step = match spec.episode_start {
        EpisodeStart::Random => 1,
        EpisodeStart::First | EpisodeStart::RandomDay => 24,
    };
    let mut starts: Vec<u32> =
        (0..=hours - horizon as usize).step_by(step).filter(|hour| chosen[hour / 24]).map(|hour| hour as u32).collect();
    if starts.is_empty() {
        return Err(Error::value("days", format!("no day leaves room for an episode of {horizon} hours")));
    }
    if spec.episode_start == EpisodeStart::First {
        starts.truncate(1);
    }
    Ok(starts)
}

/// FNV-1a over the serialised configuration: stable between processes and machines.
fn fingerprint(spec: &Spec) -> Result<u64> {
    let bytes = postcard::to_allocvec(spec).map_err(|e| Error::Runtime(format!("scenario: cannot be encoded: {e}")))?;
    Ok(fnv1a(&bytes))
}

/// FNV-1a, 64 bits: a checksum, no protection against intent.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
