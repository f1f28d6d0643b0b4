//! Where an episode starts in the series, and demand hour by hour.

use crate::rng::{Kind, Streams, normal_lanes};
use crate::scenario::Scenario;
use crate::shard::Shard;
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
pub fn demand<V: Vector>(simd: V, scenario: &Scenario, shard: &Shard, block: usize) -> V::Float {
    let slots = scenario.slots();
    let numbers = &shard.numbers;
    let of = block * LANES..(block + 1) * LANES;
    let (start, t) = (&shard.state.start[of.clone()], &shard.state.t[of.clone()]);
    let last = scenario.demand.len() as u32 - 1;
    let mut base = Lanes::default();
    let mut steps = [0; LANES];
    for (l, (&start, &t)) in start.iter().zip(t).enumerate() {
        let hour = start.saturating_add(t).min(last);
        base[l] = scenario.demand[hour as usize];
        steps[l] = hour - start;
    }
    let demand = simd.load(&base) * numbers.of_block(simd, block, slots.demand_factor());
    if !scenario.noisy {
        return demand;
    }
    let (Some(seeds), Some(episodes)) =
        (shard.state.seed[of.clone()].first_chunk(), shard.state.episode[of].first_chunk())
    else {
        return demand;
    };
    let normal = normal_lanes(simd, seeds, episodes, &steps, Kind::DemandNoise, 0);
    let sd = numbers.of_block(simd, block, slots.noise_sd());
    let low = numbers.of_block(simd, block, slots.noise_low());
    let high = numbers.of_block(simd, block, slots.noise_high());
    let noise = (sd * normal).larger(low).smaller(high);
    // Without noise in an environment its base demand stays as it is, to the bit.
    V::Float::select(simd.splat(0.0).below(sd), demand + noise, demand)
}

/// Demand of one environment, as [`demand`], to the bit.
pub fn demand_of_row(scenario: &Scenario, shard: &Shard, row: usize) -> f64 {
    let slots = scenario.slots();
    let number = |slot| shard.numbers.row(row, slot);
    let hour = shard.series_hour(scenario, row);
    let base = scenario.demand[hour as usize] * number(slots.demand_factor());
    let sd = number(slots.noise_sd());
    if sd == 0.0 {
        return base;
    }
    let normal = shard.streams(row).normal(hour - shard.state.start[row], Kind::DemandNoise, 0);
    base + (sd * normal).larger(number(slots.noise_low())).smaller(number(slots.noise_high()))
}

/// Base demand `ahead` hours after the hour that the next step clears, MW, without noise: the forecast.
#[inline]
pub fn forecast(scenario: &Scenario, shard: &Shard, row: usize, ahead: u32) -> f64 {
    let last = scenario.demand.len() as u32 - 1;
    let hour = shard.series_hour(scenario, row).saturating_add(ahead).min(last);
    scenario.demand[hour as usize] * shard.numbers.row(row, scenario.slots().demand_factor())
}
