//! Turns: of the transactions of a process that write one key, those that have lost it run one after another.
//!
//! Nothing rests on turns. Conflicts keep what is stored right, also against other processes and transactions that are
//! committed by hand; turns spare the runs that would only meet the next conflict. So whoever has waited for long enough
//! goes on without, and a turn that is held for too long passes on.
//!
//! | file | idea |
//! |---|---|
//! | `table` | who holds the turn on a key, and who waits for it |
//! | `place` | the turns of one transaction |
//! | `sites` | what transactions of one place in the program have lost lately |

mod place_in_line;
mod sites;
mod table;

pub(super) use place_in_line::PlaceInLine;
pub(super) use sites::Site;
pub(super) use table::Turns;

#[cfg(test)]
mod tests;
