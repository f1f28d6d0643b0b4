//! Generalised advantage estimation: Schulman et al., 2016, with termination and truncation kept apart.

/// Discount of later rewards and decay of the trace.
#[derive(Debug, Clone, Copy)]
pub struct Decay {
    /// Discount.
    pub gamma: f32,
    /// Decay of the trace.
    pub lambda: f32,
}

/// The steps of one row of a rollout, (T,) each.
#[derive(Debug, Clone, Copy)]
pub struct Steps<'a> {
    /// Rewards.
    pub rewards: &'a [f32],
    /// Values of the observations from which steps were taken.
    pub values: &'a [f32],
    /// Value of the observation after the last step.
    pub next_value: f32,
    /// Values of the true last observations of truncated episodes.
    pub last_values: &'a [f32],
    /// The episode ended in the step.
    pub terminated: &'a [bool],
    /// The episode was cut in the step.
    pub truncated: &'a [bool],
}

/// Writes the advantages of one row; rewards are multiplied by `factor`. A step that ended and was cut has ended. Returns
/// are advantages plus values.
pub fn advantages(steps: Steps<'_>, factor: f32, decay: Decay, advantages: &mut [f32]) {
    let mut trace = 0.0;
    for t in (0..advantages.len()).rev() {
        let (ended, cut) = (steps.terminated[t], steps.truncated[t]);
        let next = match (ended, cut) {
            (true, _) => 0.0,
            (false, true) => steps.last_values[t],
            (false, false) => steps.values.get(t + 1).copied().unwrap_or(steps.next_value),
        };
        let delta = steps.rewards[t] * factor + decay.gamma * next - steps.values[t];
        let kept = if ended || cut { 0.0 } else { decay.gamma * decay.lambda };
        trace = delta + kept * trace;
        advantages[t] = trace;
    }
}
