//! Turns: transactions of a process that have lost a conflict on one key run one after another.
//!
//! Nothing depends on turns for correctness. Conflict detection keeps the data correct, also against other processes
//! and transactions that are committed by hand; turns only spare the runs that would meet the next conflict. So whoever
//! has waited long enough goes ahead without one, and a turn that is held for too long passes on.
//!
//! | file | idea |
//! |---|---|
//! | `table` | who holds the turn on a key, and who waits for it |
//! | `place` | the turns of one transaction |
//! | `sites` | which keys transactions of one place in the program have lost lately |

mod place_in_line;
mod sites;
mod table;

pub(super) use place_in_line::PlaceInLine;
pub(super) use sites::Site;
pub(super) use table::Turns;

#[cfg(test)]
mod tests;
