//! Asks before something is destroyed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::{Failure, Kind, Result};
use crate::session::Session;

/// Asks on the terminal whether to go on, having said what for; not where `--yes` has said it already. `instead`
/// is what can be done where nobody is there to be asked.
pub(crate) async fn confirm(session: &Session, what: String, instead: &str) -> Result<()> {
    if session.is_confirmed() {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("{what}: nobody is there to confirm it; {instead}");
        return Err(Failure::new(Kind::Unconfirmed, message));
    }
    // A terminal is read where that may block; whoever types Ctrl-C meanwhile ends the program.
    let asked = tokio::task::spawn_blocking(move || {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{what}? Type yes: ")?;
        stderr.flush()?;
        drop(stderr);
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok::<_, io::Error>(answer.trim().eq_ignore_ascii_case("yes"))
    });
    let asked = asked.await.map_err(|error| Failure::new(Kind::Failed, "asking failed").because(error))?;
    if asked.map_err(|error| Failure::io("the terminal can't be read", error))? {
        return Ok(());
    }
    Err(Failure::new(Kind::Unconfirmed, "nothing was done"))
}
