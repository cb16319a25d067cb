//! Every key that Tito stores is built and parsed here, and nowhere else. `docs/format.md` specifies them.
//!
//! Keys are text: components joined by `:`, the kind of thing first. `escape` keeps components apart and in order,
//! `value` writes index values so that their keys sort as they do.

mod escape;
mod index;
mod kind;
mod layout;
mod log;
mod owned;
mod range;
mod value;

pub use escape::{push_escaped, unescape};
pub use index::*;
pub use kind::{reserved_prefix, reserved_prefixes};
pub use layout::*;
pub use log::*;
pub use owned::*;
pub use range::KeyRange;
pub use value::{IndexField, IndexValue, InvalidIndexValue, encode_text_prefix};
