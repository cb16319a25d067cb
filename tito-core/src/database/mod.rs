//! What a program holds: a database, and transactions of it.
//!
//! | file | idea |
//! |---|---|
//! | `handle` | the database's handle |
//! | `transaction` | a transaction: its own writes before the commit, over reads of the engine's snapshot |
//! | `write_buffer` | the writes of a transaction |
//! | `overlay` | own writes over what is read |
//! | `namespace` | rows that lie under a prefix |
//! | `system_keys` | writes to keys that are Tito's own |
//! | `pending` | how many events each queue has |
//! | `damaged` | the log of rows that can't be read and are passed over |
//! | `snapshot` | a state that is kept for as long as it is held |
//! | `walk` | walks over ranges of keys, in pages |
//! | `retry`, `options`, `idempotency` | a transaction run to one of its three outcomes |
//! | `turns` | transactions that write one key, one after another |
//! | `closure` | what the closure of a transaction ends in |

mod closure;
mod damaged;
mod handle;
mod idempotency;
mod namespace;
mod options;
mod overlay;
mod pending;
mod retry;
mod snapshot;
mod system_keys;
mod transaction;
mod turns;
mod walk;
mod write_buffer;

pub use closure::TransactionResult;
pub use handle::Database;
pub use idempotency::{drop_expired_markers, prune_idempotency_markers};
pub use namespace::{Namespace, RowAccess};
pub use options::TxOptions;
pub use snapshot::DatabaseSnapshot;
pub use system_keys::SystemKeys;
pub use transaction::{Lent, Transaction};
pub use walk::{PageSize, Walk, walk_in_steps};

#[cfg(all(test, feature = "embedded"))]
mod tests;
