//! Erases entities: an event leaves an empty placeholder at its sequence, which every reader skips.
//!
//! | file | idea |
//! |---|---|
//! | `target` | which entities, and where what is kept of them lies |
//! | `erase` | erases them, step by step |
//! | `step` | what one transaction erases |
//! | `search` | what is left of them |

mod erase;
mod search;
mod step;
mod target;

pub use erase::{EntityErasure, ErasedEntities};
pub use search::{EntitySearch, RemainingEntities};
