//! What an action is: its parts and their bounds.

/// Floats in one agent's action.
pub const ACTION_WIDTH: usize = 2;
/// Lower bounds of an action, as in the action space.
pub const ACTION_LOW: [f64; ACTION_WIDTH] = [0.0, -10.0];
/// Upper bounds of an action, as in the action space.
pub const ACTION_HIGH: [f64; ACTION_WIDTH] = [1.0, 10.0];

/// One agent's action.
pub type Action = [f32; ACTION_WIDTH];
