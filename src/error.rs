//! The one error type: lower-case messages that begin with the place of the bad value.

/// What went wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value that cannot be used.
    #[error("{path}: {reason}")]
    Value {
        /// Place of the value, such as `generators[3].capacity_mw`.
        path: String,
        /// What it must be and what it is.
        reason: String,
    },
    /// A value of a wrong type.
    #[error("{path}: {reason}")]
    Type {
        /// Place of the value.
        path: String,
        /// What it must be and what it is.
        reason: String,
    },
    /// A call that the state of the engine does not allow.
    #[error("{0}")]
    Runtime(String),
}

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A value that cannot be used.
    pub fn value(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Value { path: path.into(), reason: reason.into() }
    }

    /// A value of a wrong type.
    pub fn wrong_type(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Type { path: path.into(), reason: reason.into() }
    }
}
