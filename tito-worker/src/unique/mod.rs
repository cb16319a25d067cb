//! Unique events: of those that are published with one key within a window, only one exists.
//!
//! | file | idea |
//! |---|---|
//! | `options` | what the publisher asks for |
//! | `publish` | how it is kept |
//! | `row` | what is stored of a key |

mod options;
mod publish;
mod row;

pub use options::Unique;
pub use publish::Published;
pub(crate) use row::UniqueRow;
