//! Where an episode starts in the series, and demand hour by hour.

use crate::rng::{Kind, Streams, normal_lanes};
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::simd::{LANES, Lanes};

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
pub fn demand(scenario: &Scenario, shard: &Shard, block: usize) -> Lanes {
    let slots = scenario.slots();
    let first = block * LANES;
    let factor = shard.numbers.block(block, slots.demand_factor());
    let sd = shard.numbers.block(block, slots.noise_sd());
    let mut demand = [0.0; LANES];
    let mut steps = [0; LANES];
    for l in 0..LANES {
        let hour = shard.series_hour(scenario, first + l);
        demand[l] = scenario.demand[hour as usize] * factor[l];
        steps[l] = hour - shard.state.start[first + l];
    }
    if sd == [0.0; LANES] {
        return demand;
    }
    let (Some(seeds), Some(episodes)) =
        (shard.state.seed[first..].first_chunk(), shard.state.episode[first..].first_chunk())
    else {
        return demand;
    };
    let low = shard.numbers.block(block, slots.noise_low());
    let high = shard.numbers.block(block, slots.noise_high());
    let normal = normal_lanes::<LANES>(seeds, episodes, &steps, Kind::DemandNoise, 0);
    for l in 0..LANES {
        demand[l] += (sd[l] * normal[l]).max(low[l]).min(high[l]);
    }
    demand
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
    base + (sd * normal).max(number(slots.noise_low())).min(number(slots.noise_high()))
}

/// Base demand `ahead` hours after the hour that the next step clears, MW, without noise: the forecast.
#[inline]
pub fn forecast(scenario: &Scenario, shard: &Shard, row: usize, ahead: u32) -> f64 {
    let last = scenario.demand.len() as u32 - 1;
    let hour = shard.series_hour(scenario, row).saturating_add(ahead).min(last);
    scenario.demand[hour as usize] * shard.numbers.row(row, scenario.slots().demand_factor())
}
