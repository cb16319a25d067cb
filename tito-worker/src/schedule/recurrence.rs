//! How a schedule recurs, as it is stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a schedule recurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recurrence {
    /// At the local times that a cron expression names.
    Cron {
        /// The expression.
        expression: String,
        /// The name of a time zone of the IANA database.
        time_zone: String,
    },
    /// At equal intervals.
    Every {
        /// The length of the interval.
        seconds: u64,
    },
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { expression, time_zone } => write!(f, "{expression} ({time_zone})"),
            Self::Every { seconds } => write!(f, "every {seconds} s"),
        }
    }
}
