//! Python objects become a [`Spec`]; a wrong type is named with its place.

use std::sync::Arc;

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use super::policy::Policy;
use crate::error::{Error, Result};
use crate::observers::Feature;
use crate::rewards::Term;
use crate::seats::{Mixture, Player, Seat, Seats};
use crate::spec::{
    Availability, BiddingRule, DemandSpec, EpisodeEnd, EpisodeStart, GeneratorSpec, Kink, Number, Pricing, RewardScale,
    RewardSpec, RulesSpec, Scarcity, Spec, TieBreak,
};

type Any<'a, 'py> = &'a Bound<'py, PyAny>;

/// Reads a `vecmarket.Scenario`.
pub fn spec(scenario: Any<'_, '_>) -> Result<Spec> {
    let generators = items(&field(scenario, "", "generators")?, "generators")?;
    let demand = field(scenario, "", "demand")?;
    let bidding = field(scenario, "", "bidding")?;
    text(&field(scenario, "", "name")?, "name")?;
    Ok(Spec {
        generators: generators.iter().enumerate().map(|(i, g)| generator(g, i)).collect::<Result<_>>()?,
        demand: DemandSpec {
            series_mw: series(&field(&demand, "demand", "series_mw")?, "demand.series_mw")?,
            noise: number(&field(&demand, "demand", "noise")?, "demand.noise")?,
            factor: number(&field(&demand, "demand", "factor")?, "demand.factor")?,
            first_hour: integer(&field(&demand, "demand", "first_hour")?, "demand.first_hour")?,
        },
        horizon: integer(&field(scenario, "", "horizon")?, "horizon")?,
        rules: rules(&field(scenario, "", "rules")?)?,
        bidding: BiddingRule::parse("bidding.rule", &text(&field(&bidding, "bidding", "rule")?, "bidding.rule")?)?,
        max_bid_delta: number(&field(&bidding, "bidding", "max_bid_delta")?, "bidding.max_bid_delta")?,
        reward: reward(&field(scenario, "", "reward")?)?,
        observation: observation(&field(scenario, "", "observation")?)?,
        episode_end: EpisodeEnd::parse("episode_end", &text(&field(scenario, "", "episode_end")?, "episode_end")?)?,
        episode_start: EpisodeStart::parse(
            "episode_start",
            &text(&field(scenario, "", "episode_start")?, "episode_start")?,
        )?,
        days: days(&field(scenario, "", "days")?)?,
    })
}

/// Reads `vecmarket.MarketRules`.
pub fn rules(rules: Any<'_, '_>) -> Result<RulesSpec> {
    let named = |name: &str| text(&field(rules, "rules", name)?, &format!("rules.{name}"));
    let bound = |name: &str| {
        let value = field(rules, "rules", name)?;
        if value.is_none() { Ok(None) } else { number(&value, &format!("rules.{name}")).map(Some) }
    };
    Ok(RulesSpec {
        pricing: Pricing::parse("rules.pricing", &named("pricing")?)?,
        kink: Kink::parse("rules.kink", &named("kink")?)?,
        scarcity: Scarcity::parse("rules.scarcity", &named("scarcity")?)?,
        tie_break: TieBreak::parse("rules.tie_break", &named("tie_break")?)?,
        price_floor: bound("price_floor")?,
        price_cap: bound("price_cap")?,
    })
}

/// Reads one seat per agent; None lets everybody act.
pub fn seats(value: Option<Any<'_, '_>>, agents: usize) -> Result<Seats> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(Seats::all_act(agents));
    };
    let mut seats = Vec::new();
    for (i, seat) in items(value, "seats")?.iter().enumerate() {
        let path = format!("seats[{i}]");
        seats.push(match seat.extract::<String>() {
            Ok(name) => Seat::parse(&path, &name)?,
            Err(_) => match mixture(seat, &path)? {
                Some(mixture) => Seat::Mixed(Arc::new(mixture)),
                None => Seat::Markup(float_or(seat, &path, SEAT)?),
            },
        });
    }
    Seats::new(seats, agents)
}

/// What a seat may be.
const SEAT: &str = "a name, a number, a policy or a pool of them";

/// Reads a `vecmarket.MlpPolicy` or a `vecmarket.PolicyPool`, told by their fields; None for anything else.
fn mixture(seat: Any<'_, '_>, path: &str) -> Result<Option<Mixture>> {
    if let Some(policy) = policy(seat) {
        return Ok(Some(Mixture::only(policy)));
    }
    let (Ok(members), Ok(weights)) = (seat.getattr("members"), seat.getattr("weights")) else {
        return Ok(None);
    };
    let mut players = vec![];
    for (i, member) in items(&members, &format!("{path}: members"))?.iter().enumerate() {
        let path = format!("{path}: members[{i}]");
        players.push(match (policy(member), member.extract::<String>()) {
            (Some(policy), _) => Player::Policy(policy),
            (None, Ok(name)) if name == "truthful" => Player::Markup(0.0),
            (None, Ok(name)) => {
                let legal = "\"truthful\", a number (a fixed markup in $/MWh) or a policy";
                return Err(Error::value(path, format!("unknown name {name:?}; the legal ones are {legal}")));
            }
            (None, Err(_)) => Player::Markup(float_or(member, &path, "a name, a number or a policy")?),
        });
    }
    let weights = if weights.is_none() { None } else { Some(series(&weights, &format!("{path}: weights"))?) };
    Mixture::new(path, players, weights).map(Some)
}

fn policy(value: Any<'_, '_>) -> Option<Arc<crate::policy::Policy>> {
    let core = value.getattr("core").ok()?;
    Some(core.cast::<Policy>().ok()?.get().shared())
}

/// Reads policies, one after the other.
pub fn policies(value: Any<'_, '_>, path: &str) -> Result<Vec<Arc<crate::policy::Policy>>> {
    let one = |(i, item): (usize, &Bound<'_, PyAny>)| {
        policy(item).ok_or_else(|| wrong_type(&format!("{path}[{i}]"), "a policy", item))
    };
    let refuse = |_| wrong_type(path, "a policy, or one per acting agent", value);
    items(value, path).map_err(refuse)?.iter().enumerate().map(one).collect()
}

/// Seeds per environment: an int s gives environment i the seed s + i, a sequence seeds each, None goes on.
pub fn seeds(value: Option<Any<'_, '_>>, envs: usize) -> Result<Option<Vec<Option<u64>>>> {
    let Some(value) = value.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    if value.hasattr("__index__").unwrap_or(false) && !value.hasattr("__len__").unwrap_or(false) {
        let first = seed(value, "seed")?;
        return Ok(Some((0..envs as u64).map(|i| Some(first.wrapping_add(i))).collect()));
    }
    let items = items(value, "seed")?;
    if items.len() != envs {
        return Err(Error::value("seed", format!("must have one entry per environment, {envs}, got {}", items.len())));
    }
    let one = |(i, item): (usize, &Bound<'_, PyAny>)| {
        if item.is_none() { Ok(None) } else { seed(item, &format!("seed[{i}]")).map(Some) }
    };
    items.iter().enumerate().map(one).collect::<Result<_>>().map(Some)
}

/// Reads one seed: an int in 0..2^64.
pub fn seed(value: Any<'_, '_>, path: &str) -> Result<u64> {
    refuse_bool(value, path, "an integer")?;
    if value.hasattr("__index__").unwrap_or(false) {
        return value
            .extract()
            .map_err(|_| Error::value(path, format!("must be in 0..2**64 - 1, got {}", shown(value))));
    }
    Err(wrong_type(path, "an integer", value))
}

/// A yes or no is never meant as 1 or 0: `price_cap=False` would be a cap of 0.
fn refuse_bool(value: Any<'_, '_>, path: &str, wanted: &str) -> Result<()> {
    let name = value.get_type().name();
    if name.is_ok_and(|name| matches!(name.to_str(), Ok("bool" | "bool_"))) {
        return Err(wrong_type(path, wanted, value));
    }
    Ok(())
}

/// Reads an integer.
pub fn integer(value: Any<'_, '_>, path: &str) -> Result<i64> {
    refuse_bool(value, path, "an integer")?;
    value.extract().map_err(|e: PyErr| {
        if e.is_instance_of::<PyOverflowError>(value.py()) {
            Error::value(path, format!("is out of range: {}", shown(value)))
        } else {
            wrong_type(path, "an integer", value)
        }
    })
}

/// Reads a number.
pub fn real(value: Any<'_, '_>, path: &str) -> Result<f64> {
    float_or(value, path, "a number")
}

/// Reads widths of layers; the policy tells which are legal.
pub fn widths(value: Any<'_, '_>, path: &str) -> Result<Vec<usize>> {
    let width = |(i, item): (usize, &Bound<'_, PyAny>)| {
        let path = format!("{path}[{i}]");
        let width = integer(item, &path)?;
        usize::try_from(width).map_err(|_| Error::value(path, format!("must be >= 0, got {width}")))
    };
    items(value, path)?.iter().enumerate().map(width).collect()
}

/// Reads the place of an agent.
pub fn place(value: Any<'_, '_>, path: &str) -> Result<u32> {
    const MOST: u32 = (1 << 24) - 1;
    let place = integer(value, path)?;
    let legal = u32::try_from(place).ok().filter(|place| *place <= MOST);
    legal.ok_or_else(|| Error::value(path, format!("must be in 0..{MOST}, got {place}")))
}

/// Reads a string.
pub fn text(value: Any<'_, '_>, path: &str) -> Result<String> {
    value.extract().map_err(|_| wrong_type(path, "a string", value))
}

/// The error for a value of a wrong type.
pub fn wrong_type(path: &str, wanted: &str, value: Any<'_, '_>) -> Error {
    let name = value.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    Error::wrong_type(path, format!("must be {wanted}, got {name}"))
}

fn generator(generator: Any<'_, '_>, i: usize) -> Result<GeneratorSpec> {
    let place = format!("generators[{i}]");
    let path = |name: &str| format!("{place}.{name}");
    let availability = field(generator, &place, "availability")?;
    Ok(GeneratorSpec {
        name: text(&field(generator, &place, "name")?, &path("name"))?,
        capacity_mw: number(&field(generator, &place, "capacity_mw")?, &path("capacity_mw"))?,
        srmc: number(&field(generator, &place, "srmc")?, &path("srmc"))?,
        availability: match availability.extract::<f64>() {
            Ok(x) => {
                refuse_bool(&availability, &path("availability"), "a number or a series")?;
                Availability::Constant(x)
            }
            Err(_) => Availability::Hourly(series(&availability, &path("availability"))?),
        },
    })
}

fn reward(reward: Any<'_, '_>) -> Result<RewardSpec> {
    let scale = field(reward, "reward", "scale")?;
    let scale = match scale.extract::<String>() {
        Ok(name) if name == "seed" => RewardScale::Seed,
        Ok(name) => {
            return Err(Error::value("reward.scale", format!("must be \"seed\" or a number, got {name:?}")));
        }
        Err(_) => RewardScale::Factor(float_or(&scale, "reward.scale", "\"seed\" or a number")?),
    };
    let mut weights = RewardSpec::default_weights();
    let mut set = |name: &str, path: &str, weight: Any<'_, '_>| -> Result<()> {
        let term = Term::parse(path, name)?;
        weights[term as usize] = number(weight, &format!("reward.{name}"))?;
        Ok(())
    };
    for term in [Term::BidPenalty, Term::UnservedPenalty] {
        set(term.name(), "reward", &field(reward, "reward", term.name())?)?;
    }
    let terms = field(reward, "reward", "terms")?;
    let pairs =
        terms.call_method0("items").map_err(|_| wrong_type("reward.terms", "a mapping of names to weights", &terms))?;
    for pair in items(&pairs, "reward.terms")? {
        let (name, weight): (Bound<'_, PyAny>, Bound<'_, PyAny>) =
            pair.extract().map_err(|_| wrong_type("reward.terms", "a mapping of names to weights", &terms))?;
        set(&text(&name, "reward.terms")?, "reward.terms", &weight)?;
    }
    Ok(RewardSpec { scale, weights })
}

fn observation(value: Any<'_, '_>) -> Result<Vec<Feature>> {
    if let Ok(preset) = value.extract::<String>() {
        return Feature::preset("observation", &preset);
    }
    let mut features = Vec::new();
    for (i, name) in items(value, "observation")?.iter().enumerate() {
        let path = format!("observation[{i}]");
        features.push(Feature::parse(&path, &text(name, &path)?)?);
    }
    Ok(features)
}

fn days(value: Any<'_, '_>) -> Result<Option<Vec<i64>>> {
    if value.is_none() {
        return Ok(None);
    }
    let day = |(i, day): (usize, &Bound<'_, PyAny>)| integer(day, &format!("days[{i}]"));
    items(value, "days")?.iter().enumerate().map(day).collect::<Result<_>>().map(Some)
}

/// A plain number, or one of the distributions of `vecmarket.config`, told apart by their fields.
fn number(value: Any<'_, '_>, path: &str) -> Result<Number> {
    let has = |name: &str| value.hasattr(name).unwrap_or(false);
    let part = |name: &str| float_or(&field(value, path, name)?, &format!("{path}.{name}"), "a number");
    if has("values") && !has("dtype") {
        return Ok(Number::Choice(series(&field(value, path, "values")?, &format!("{path}.values"))?));
    }
    if has("sd") {
        return Ok(Number::Normal { mean: part("mean")?, sd: part("sd")?, low: part("low")?, high: part("high")? });
    }
    if has("low") {
        return Ok(Number::Uniform { low: part("low")?, high: part("high")? });
    }
    float_or(value, path, "a number or a distribution").map(Number::Fixed)
}

fn float_or(value: Any<'_, '_>, path: &str, wanted: &str) -> Result<f64> {
    refuse_bool(value, path, wanted)?;
    value.extract().map_err(|e: PyErr| {
        if e.is_instance_of::<PyOverflowError>(value.py()) {
            Error::value(path, "is too large for a 64-bit float")
        } else {
            wrong_type(path, wanted, value)
        }
    })
}

fn series(value: Any<'_, '_>, path: &str) -> Result<Vec<f64>> {
    // Bytes would pass as numbers, which nobody means.
    if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        return Err(wrong_type(path, "a sequence of numbers", value));
    }
    if let Ok(values) = value.extract::<Vec<f64>>() {
        return Ok(values);
    }
    let one = |(i, item): (usize, &Bound<'_, PyAny>)| float_or(item, &format!("{path}[{i}]"), "a number");
    items(value, path)?.iter().enumerate().map(one).collect()
}

fn items<'py>(value: Any<'_, 'py>, path: &str) -> Result<Vec<Bound<'py, PyAny>>> {
    let refuse = || wrong_type(path, "a sequence", value);
    if value.extract::<String>().is_ok() {
        return Err(refuse());
    }
    value.try_iter().map_err(|_| refuse())?.collect::<PyResult<_>>().map_err(|_| refuse())
}

fn field<'py>(object: Any<'_, 'py>, path: &str, name: &str) -> Result<Bound<'py, PyAny>> {
    object.getattr(name).map_err(|_| {
        let place = if path.is_empty() { "scenario" } else { path };
        wrong_type(place, &format!("an object with the field {name:?}"), object)
    })
}

fn shown(value: Any<'_, '_>) -> String {
    value.str().map_or_else(|_| "?".to_owned(), |text| text.to_string())
}
