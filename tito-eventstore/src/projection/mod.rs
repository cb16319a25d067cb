//! Projections: rows folded from a store.
//!
//! A projection has generations, each a namespace of rows and index entries with a checkpoint. One serves; while a
//! rebuild is under way another is folded beside it, and the switch is one write. Whoever takes a generation out of
//! service deletes its checkpoint, and whoever folds into it writes that, so of the two one meets a conflict.
//!
//! | file | idea |
//! |---|---|
//! | `projector` | what applications implement |
//! | `state` | what is stored of a projection |
//! | `space` | where the keys of a generation lie |
//! | `transaction`, `view` | an engine whose rows are those of a projection |
//! | `fold` | events folded into one generation, within one transaction |
//! | `step` | one transaction of what there is to do |
//! | `run` | steps until nothing is left to do, and the worker's subscription |
//! | `rebuild` | a rebuild that is an operation |
//! | `lifecycle` | add, remove, rebuild, look at |

mod fold;
mod lifecycle;
mod projector;
mod rebuild;
mod run;
mod state;
mod step;
mod view;

pub use lifecycle::{ProjectionFailure, ProjectionInfo, RebuildInfo};
pub(crate) use lifecycle::{has_earlier_rows, rebuild_without};
pub use projector::Projector;
pub use run::Projection;
pub use view::View;
