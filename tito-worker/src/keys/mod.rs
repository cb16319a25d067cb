//! Keys of what workers say of themselves. `docs/format.md` specifies them.

mod facts;

pub(crate) use facts::*;
