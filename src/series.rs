//! Where an episode starts in the series, and demand hour by hour.

use crate::numbers::Number;
use crate::rng::{Kind, Streams, normal_lanes};
use crate::scenario::Scenario;
use crate::shard::{Head, Shard};
use crate::simd::{Float, LANES, Lanes, Vector};

/// The hour of the series at which an episode starts, as the scenario says.
pub fn start(scenario: &Scenario, streams: Streams) -> u32 {
    match scenario.starts.as_slice() {
        [only] => *only,
        starts => starts[streams.below(starts.len(), 0, Kind::Start, 0)],
    }
}

/// Demand that the next step of each environment of a block clears, MW.
///
/// Base demand plus clipped normal noise keyed by the step in the episode. Past the end of the series the last hour
/// is shown again, its noise included.
#[inline(always)]
pub fn demand<V: Vector, N: Number>(simd: V, scenario: &Scenario, numbers: &[N], head: &Head) -> V::Float {
    let slots = scenario.slots();
    let hours = head.series_hours(scenario);
    let mut base = Lanes::default();
    let mut steps = [0; LANES];
    for l in 0..LANES {
        base[l] = scenario.demand[hours[l] as usize];
        steps[l] = hours[l] - head.start[l];
    }
    let demand = simd.load(&base) * numbers[slots.demand_factor()].get(simd);
    if !scenario.noisy {
        return demand;
    }
    let normal = normal_lanes(simd, &head.seed, &head.episode, &steps, Kind::DemandNoise, 0);
    let sd = numbers[slots.noise_sd()].get(simd);
    let noise = (sd * normal).larger(numbers[slots.noise_low()].get(simd));
    let noise = noise.smaller(numbers[slots.noise_high()].get(simd));
    // Without noise in an environment its base demand stays as it is, to the bit.
    V::Float::select(simd.splat(0.0).below(sd), demand + noise, demand)
}

/// Base demand `ahead` hours after the hour that the next step clears, MW, without noise: the forecast.
#[inline]
pub fn forecast(scenario: &Scenario, shard: &Shard, row: usize, ahead: u32) -> f64 {
    let last = scenario.demand.len() as u32 - 1;
    let hour = shard.series_hour(scenario, row).saturating_add(ahead).min(last);
    scenario.demand[hour as usize] * shard.numbers.row(row, scenario.slots().demand_factor())
}
