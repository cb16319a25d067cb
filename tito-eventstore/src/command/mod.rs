//! Commands: what they are, what may come with them, and their results.
//!
//! | file | idea |
//! |---|---|
//! | `ask` | the forms in which a store takes a command |
//! | `decision` | what a command has come to, as it is returned |
//! | `decide` | decides, appends, evolves |

mod ask;
mod decide;
mod decision;

pub use ask::Ask;
pub use decision::Decision;
