//! `tito completions` and `tito man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::CommandLine;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Prints a script with which a shell completes the commands, for example: tito completions bash >
/// /etc/bash_completion.d/tito
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "tito", &mut script);
        session.output.raw(&String::from_utf8_lossy(&script))
    }
}

/// Prints the manual page, or writes one for each command into a directory.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where the pages go: tito.1, tito-events.1, …
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, session: &Session) -> Result<()> {
        let command = CommandLine::command();
        if let Some(directory) = self.directory {
            return clap_mangen::generate_to(command, &directory)
                .map_err(|error| Failure::io(format!("{} can't be written", directory.display()), error));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|error| Failure::io("the page can't be written", error))?;
        session.output.raw(&String::from_utf8_lossy(&page))
    }
}
