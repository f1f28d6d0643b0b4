//! Where an episode starts in the series, and demand hour by hour.

use crate::rng::{Kind, Streams};
use crate::scenario::Scenario;
use crate::shard::Shard;

/// The hour of the series at which an episode starts, as the scenario says.
pub fn start(scenario: &Scenario, streams: Streams) -> u32 {
    match scenario.starts.as_slice() {
        [only] => *only,
        starts => starts[streams.below(starts.len(), 0, Kind::Start, 0)],
    }
}

/// Demand that the next step of one environment clears, MW.
///
/// Base demand plus clipped normal noise keyed by the step in the episode. Past the end of the series the last hour
/// is shown again, its noise included.
#[inline]
pub fn demand(scenario: &Scenario, shard: &Shard, row: usize) -> f64 {
    let hour = shard.series_hour(scenario, row);
    let parameters = shard.parameters(scenario, row);
    let base = scenario.demand[hour as usize] * parameters.demand_factor();
    let (sd, low, high) = parameters.demand_noise();
    if sd == 0.0 {
        return base;
    }
    let step = hour - shard.state.start[row];
    base + (sd * shard.streams(row).normal(step, Kind::DemandNoise, 0)).clamp(low, high)
}

/// Base demand `ahead` hours after the hour that the next step clears, MW, without noise: the forecast.
#[inline]
pub fn forecast(scenario: &Scenario, shard: &Shard, row: usize, ahead: u32) -> f64 {
    let last = scenario.demand.len() as u32 - 1;
    let hour = shard.series_hour(scenario, row).saturating_add(ahead).min(last);
    scenario.demand[hour as usize] * shard.parameters(scenario, row).demand_factor()
}
