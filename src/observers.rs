//! The named features of observations. The labels of a feature (and so its width), its writing and its bounds stand
//! side by side, so that they cannot drift apart.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::scenario::{Scenario, WEEK};
use crate::seats::Seats;
use crate::series;
use crate::shard::{Cells, Head, Shard};
use crate::simd::{LANES, Vector};
use crate::spec::unknown;

/// The presets: a name and its features, in order.
pub const PRESETS: &[(&str, &[Feature])] = &[
    ("basic", &[Feature::Demand, Feature::Capacity, Feature::RivalCosts, Feature::RivalCapacities]),
    ("simple", &[Feature::Demand, Feature::Capacity, Feature::Cost, Feature::Hour]),
    ("simple_v2", &[Feature::Demand, Feature::Capacity, Feature::Cost, Feature::Hour, Feature::Weekday]),
    ("simple_v3", &[Feature::Demand, Feature::Capacity, Feature::Cost, Feature::HourSinCos, Feature::WeekdaySinCos]),
];

/// What the features of one environment look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    scenario: &'a Scenario,
    shard: &'a Shard,
    row: usize,
    /// Hour of the week of the coming hour, 0 = Monday 00:00.
    week_hour: u32,
}

impl<'a> View<'a> {
    /// A row of a shard.
    #[inline(always)]
    pub fn new(scenario: &'a Scenario, shard: &'a Shard, row: usize) -> Self {
        let (head, lane) = shard.head(row);
        Self { scenario, shard, row, week_hour: week_hour(scenario, head.start[lane], head.t[lane]) }
    }

    /// The same market in another hour of the week.
    pub fn at(self, week_hour: u32) -> Self {
        Self { week_hour, ..self }
    }

    #[inline(always)]
    fn number(&self, slot: usize) -> f64 {
        self.shard.numbers.row(self.row, slot)
    }

    #[inline(always)]
    fn of_agent(&self, kind: Cells, agent: usize) -> f64 {
        self.shard.cell(kind, self.row, agent)
    }
}

/// Hour of the week of the hour that the next step clears, 0 = Monday 00:00.
#[inline(always)]
pub fn week_hour(scenario: &Scenario, start: u32, t: u32) -> u32 {
    (scenario.first_hour + start + t) % WEEK
}

/// One named part of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Feature {
    /// Demand of the coming hour / demand scale.
    Demand,
    /// Own capacity / capacity scale.
    Capacity,
    /// Own SRMC / cost scale.
    Cost,
    /// SRMC of the others, in order / cost scale.
    RivalCosts,
    /// Capacities of the others, in order / capacity scale.
    RivalCapacities,
    /// Hour of the day / 24.
    Hour,
    /// Day of the week / 7.
    Weekday,
    /// Sine and cosine of the hour of the day.
    HourSinCos,
    /// Sine and cosine of the day of the week.
    WeekdaySinCos,
    /// Last clearing price / cost scale; 0 after a reset.
    LastPrice,
    /// Own last dispatch / capacity scale; 0 after a reset.
    LastDispatch,
    /// Base demand, without noise, of this many hours after the coming one / demand scale.
    DemandForecast(u32),
    /// Demand less all that the others could offer / demand scale; positive where the agent is pivotal.
    ResidualDemand,
    /// Own availability in the coming hour.
    Availability,
    /// Last offered prices of the others / cost scale, then their quantities / capacity scale; 0 after a reset.
    RivalOffers,
}

/// The name of the demand forecast, which takes its hours after a colon.
const FORECAST: &str = "demand_forecast";
const MAX_FORECAST: u32 = 168;

impl Feature {
    /// The features that take no number, by the names that users write.
    const PLAIN: &'static [(&'static str, Self)] = &[
        ("demand", Self::Demand),
        ("capacity", Self::Capacity),
        ("cost", Self::Cost),
        ("rival_costs", Self::RivalCosts),
        ("rival_capacities", Self::RivalCapacities),
        ("hour", Self::Hour),
        ("weekday", Self::Weekday),
        ("hour_sin_cos", Self::HourSinCos),
        ("weekday_sin_cos", Self::WeekdaySinCos),
        ("last_price", Self::LastPrice),
        ("last_dispatch", Self::LastDispatch),
        ("residual_demand", Self::ResidualDemand),
        ("availability", Self::Availability),
        ("rival_offers", Self::RivalOffers),
    ];

    /// The names that users write.
    pub fn names() -> Vec<&'static str> {
        Self::PLAIN.iter().map(|(name, _)| *name).chain(["demand_forecast:<hours>"]).collect()
    }

    /// Finds a feature by name; the error lists the legal ones.
    pub fn parse(path: &str, name: &str) -> Result<Self> {
        if let Some((_, feature)) = Self::PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Ok(*feature);
        }
        let Some((FORECAST, hours)) = name.split_once(':') else {
            return Err(unknown(path, name, &Self::names()));
        };
        match hours.parse() {
            Ok(h) if (1..=MAX_FORECAST).contains(&h) => Ok(Self::DemandForecast(h)),
            _ => {
                let reason = format!("{FORECAST}:<hours> takes 1..{MAX_FORECAST} hours, got {hours:?}");
                Err(Error::value(path, reason))
            }
        }
    }

    /// The features of a preset.
    pub fn preset(path: &str, name: &str) -> Result<Vec<Self>> {
        let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        match PRESETS.iter().find(|(preset, _)| *preset == name) {
            Some((_, features)) => Ok(features.to_vec()),
            None => Err(unknown(path, name, &names)),
        }
    }

    /// One label per float that it takes in a market of `agents`: its width.
    pub fn labels(self, agents: usize) -> Vec<String> {
        let numbered = |name: &str, n: usize| (0..n).map(|i| format!("{name}[{i}]")).collect::<Vec<_>>();
        match self {
            Self::Demand => vec!["demand".into()],
            Self::Capacity => vec!["capacity".into()],
            Self::Cost => vec!["cost".into()],
            Self::RivalCosts => numbered("rival_cost", agents - 1),
            Self::RivalCapacities => numbered("rival_capacity", agents - 1),
            Self::Hour => vec!["hour".into()],
            Self::Weekday => vec!["weekday".into()],
            Self::HourSinCos => vec!["hour_sin".into(), "hour_cos".into()],
            Self::WeekdaySinCos => vec!["weekday_sin".into(), "weekday_cos".into()],
            Self::LastPrice => vec!["last_price".into()],
            Self::LastDispatch => vec!["last_dispatch".into()],
            Self::DemandForecast(hours) => numbered("demand_forecast", hours as usize),
            Self::ResidualDemand => vec!["residual_demand".into()],
            Self::Availability => vec!["availability".into()],
            Self::RivalOffers => {
                [numbered("rival_offer_price", agents - 1), numbered("rival_offer_quantity", agents - 1)].concat()
            }
        }
    }

    /// What it depends on beside the scenario.
    pub fn varies(self) -> Varies {
        match self {
            Self::Capacity | Self::Cost | Self::RivalCosts | Self::RivalCapacities => Varies::Episode,
            Self::Hour | Self::Weekday | Self::HourSinCos | Self::WeekdaySinCos => Varies::Clock,
            Self::Demand | Self::LastPrice | Self::DemandForecast(_) => Varies::Market,
            Self::LastDispatch | Self::ResidualDemand | Self::Availability | Self::RivalOffers => Varies::Agent,
        }
    }

    /// A number of the market in the environments of a block, of features that are no more than that.
    #[inline(always)]
    pub fn of_block<V: Vector>(self, simd: V, scenario: &Scenario, head: &Head) -> Option<[f32; LANES]> {
        let (lanes, scale) = match self {
            Self::Demand => (&head.demand, scenario.scales.demand),
            Self::LastPrice => (&head.price, scenario.scales.cost),
            _ => return None,
        };
        Some(simd.narrow(simd.load(lanes) / simd.splat(scale)))
    }

    /// Writes it for one agent of one environment; `out` has its width.
    pub fn write(self, market: &View<'_>, agent: usize, out: &mut [f32]) {
        let View { scenario, shard, row, week_hour } = *market;
        let (scales, slots, agents) = (&scenario.scales, scenario.slots(), scenario.agents());
        let (head, lane) = shard.head(row);
        match self {
            Self::Demand => out[0] = (head.demand[lane] / scales.demand) as f32,
            Self::Capacity => out[0] = (market.number(slots.capacity(agent)) / scales.capacity) as f32,
            Self::Cost => out[0] = (market.number(slots.srmc(agent)) / scales.cost) as f32,
            Self::RivalCosts => rivals(agents, agent, out, |j| market.number(slots.srmc(j)) / scales.cost),
            Self::RivalCapacities => rivals(agents, agent, out, |j| market.number(slots.capacity(j)) / scales.capacity),
            Self::Hour => out[0] = (f64::from(week_hour % 24) / 24.0) as f32,
            Self::Weekday => out[0] = (f64::from(week_hour / 24) / 7.0) as f32,
            Self::HourSinCos => out.copy_from_slice(&HOURS[(week_hour % 24) as usize]),
            Self::WeekdaySinCos => out.copy_from_slice(&DAYS[(week_hour / 24) as usize]),
            Self::LastPrice => out[0] = (head.price[lane] / scales.cost) as f32,
            Self::LastDispatch => out[0] = (market.of_agent(Cells::Dispatch, agent) / scales.capacity) as f32,
            Self::DemandForecast(_) => {
                for (h, x) in out.iter_mut().enumerate() {
                    *x = (series::forecast(scenario, shard, row, h as u32 + 1) / scales.demand) as f32;
                }
            }
            Self::ResidualDemand => {
                let available = scenario.availability_at(shard.series_hour(scenario, row));
                let mut residual = head.demand[lane];
                for j in (0..agents).filter(|&j| j != agent) {
                    residual -= market.number(slots.capacity(j)) * available.map_or(1.0, |a| a[j]);
                }
                out[0] = (residual / scales.demand) as f32;
            }
            Self::Availability => {
                let available = scenario.availability_at(shard.series_hour(scenario, row));
                out[0] = available.map_or(1.0, |a| a[agent]) as f32;
            }
            Self::RivalOffers => {
                let (prices, quantities) = out.split_at_mut(agents - 1);
                rivals(agents, agent, prices, |j| market.of_agent(Cells::OfferPrice, j) / scales.cost);
                rivals(agents, agent, quantities, |j| market.of_agent(Cells::OfferQuantity, j) / scales.capacity);
            }
        }
    }

    /// Writes the smallest and largest values that it can take for one agent.
    fn bounds(self, scenario: &Scenario, seats: &Seats, agent: usize, low: &mut [f32], high: &mut [f32]) {
        let scales = &scenario.scales;
        let generators = &scenario.spec.generators;
        let mut fill = |range: (f64, f64), scale: f64| {
            low.fill((range.0 / scale) as f32);
            high.fill((range.1 / scale) as f32);
        };
        match self {
            Self::Demand => fill(demand_range(scenario), scales.demand),
            Self::DemandForecast(_) => fill(base_demand_range(scenario), scales.demand),
            Self::Capacity | Self::LastDispatch => {
                let capacity = &generators[agent].capacity_mw;
                let least = if self == Self::Capacity { capacity.smallest() } else { 0.0 };
                fill((least, capacity.largest()), scales.capacity);
            }
            Self::Cost => fill((generators[agent].srmc.smallest(), generators[agent].srmc.largest()), scales.cost),
            Self::RivalCosts | Self::RivalCapacities => {
                let others = generators.iter().enumerate().filter(|(j, _)| *j != agent);
                for ((_, other), (low, high)) in others.zip(low.iter_mut().zip(high)) {
                    let (number, scale) = match self {
                        Self::RivalCosts => (&other.srmc, scales.cost),
                        _ => (&other.capacity_mw, scales.capacity),
                    };
                    *low = (number.smallest() / scale) as f32;
                    *high = (number.largest() / scale) as f32;
                }
            }
            Self::Hour => fill((0.0, 23.0 / 24.0), 1.0),
            Self::Weekday => fill((0.0, 6.0 / 7.0), 1.0),
            Self::HourSinCos | Self::WeekdaySinCos => fill((-1.0, 1.0), 1.0),
            Self::LastPrice => fill(price_range(scenario, seats), scales.cost),
            Self::ResidualDemand => {
                let (least, most) = demand_range(scenario);
                let others = generators.iter().enumerate().filter(|(j, _)| *j != agent).map(|(_, g)| g);
                let (mut fewest, mut all) = (0.0, 0.0);
                for other in others {
                    let (low, high) = availability_range(&other.availability);
                    fewest += other.capacity_mw.smallest() * low;
                    all += other.capacity_mw.largest() * high;
                }
                fill((least - all, most - fewest), scales.demand);
                // The sums here and in `write` may round differently in their last bit.
                low[0] = low[0].next_down();
                high[0] = high[0].next_up();
            }
            Self::Availability => fill(availability_range(&generators[agent].availability), 1.0),
            Self::RivalOffers => {
                let rivals = scenario.agents() - 1;
                let (least, most) = price_range(scenario, seats);
                low[..rivals].fill((least / scales.cost) as f32);
                high[..rivals].fill((most / scales.cost) as f32);
                low[rivals..].fill(0.0);
                let others = generators.iter().enumerate().filter(|(j, _)| *j != agent);
                for ((_, other), high) in others.zip(&mut high[rivals..]) {
                    *high = (other.capacity_mw.largest() / scales.capacity) as f32;
                }
            }
        }
    }
}

/// What a feature depends on beside the scenario.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Varies {
    /// The agent, and the numbers that an episode draws, if any.
    Episode,
    /// The hour of the week.
    Clock,
    /// The market's state, alike for all its agents.
    Market,
    /// The state of market and agent.
    Agent,
}

/// Bounds of the acting agents' observations: low and high, (L, F).
pub fn bounds(scenario: &Scenario, seats: &Seats) -> (Vec<f32>, Vec<f32>) {
    let size = seats.acting().len() * scenario.width;
    let (mut low, mut high) = (vec![0.0; size], vec![0.0; size]);
    let mut at = 0;
    for &agent in seats.acting() {
        for (feature, width) in &scenario.features {
            let cells = at..at + width;
            feature.bounds(scenario, seats, agent, &mut low[cells.clone()], &mut high[cells.clone()]);
            at = cells.end;
        }
    }
    (low, high)
}

/// Everybody's numbers but the agent's own, in order.
#[inline(always)]
fn rivals(agents: usize, agent: usize, out: &mut [f32], value: impl Fn(usize) -> f64) {
    for (x, j) in out.iter_mut().zip((0..agents).filter(|&j| j != agent)) {
        *x = value(j) as f32;
    }
}

/// Sine and cosine of `N` places on a circle.
fn circle<const N: usize>() -> [[f32; 2]; N] {
    std::array::from_fn(|i| {
        let angle = TAU * i as f64 / N as f64;
        [libm::sin(angle) as f32, libm::cos(angle) as f32]
    })
}

static HOURS: LazyLock<[[f32; 2]; 24]> = LazyLock::new(circle);
static DAYS: LazyLock<[[f32; 2]; 7]> = LazyLock::new(circle);

fn base_demand_range(scenario: &Scenario) -> (f64, f64) {
    let factor = &scenario.spec.demand.factor;
    let (f, g) = (factor.smallest(), factor.largest());
    let least = (scenario.demand_min * f).min(scenario.demand_min * g);
    (least, (scenario.demand_max * f).max(scenario.demand_max * g))
}

/// Range of demand with noise: both ends are monotone in the factor, so its ends give them.
fn demand_range(scenario: &Scenario) -> (f64, f64) {
    if scenario.spec.demand.noise.largest() == 0.0 {
        return base_demand_range(scenario);
    }
    let supply: f64 = scenario.spec.generators.iter().map(|g| g.capacity_mw.largest()).sum();
    let factor = &scenario.spec.demand.factor;
    let low = |f: f64| {
        let base = scenario.demand_min * f;
        base - 0.5 * base.max(0.0)
    };
    let high = |f: f64| {
        let base = scenario.demand_max * f;
        base + 0.5 * (supply - base).max(0.0)
    };
    let (f, g) = (factor.smallest(), factor.largest());
    (low(f).min(low(g)), high(f).max(high(g)))
}

/// Range of prices: all that can be offered, 0 after a reset, and what the rules set without an offer.
fn price_range(scenario: &Scenario, seats: &Seats) -> (f64, f64) {
    let spec = &scenario.spec;
    let spread = spec.max_bid_delta.largest().max(seats.largest_markup());
    let least = spec.generators.iter().map(|g| g.srmc.smallest()).fold(f64::INFINITY, f64::min) - spread;
    let most = spec.generators.iter().map(|g| g.srmc.largest()).fold(f64::NEG_INFINITY, f64::max) + spread;
    let (floor, cap) = (spec.rules.price_floor.as_ref(), spec.rules.price_cap.as_ref());
    let clip = |x: f64| {
        let x = floor.map_or(x, |floor| x.max(floor.smallest()));
        cap.map_or(x, |cap| x.min(cap.largest()))
    };
    let set_by_rules = [floor.map(|f| f.smallest()), floor.map(|f| f.largest()), cap.map(|c| c.largest()), Some(0.0)];
    set_by_rules.into_iter().flatten().fold((clip(least), clip(most)), |(low, high), x| (low.min(x), high.max(x)))
}

fn availability_range(availability: &crate::spec::Availability) -> (f64, f64) {
    match availability {
        crate::spec::Availability::Constant(x) => (*x, *x),
        crate::spec::Availability::Hourly(series) => {
            series.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)))
        }
    }
}
