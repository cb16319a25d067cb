//! What the placement driver knows besides the topology.
mod oracle;
mod safe_point;
mod state;

pub(crate) use self::oracle::{Clock, Oracle};
pub(crate) use self::state::PdState;
