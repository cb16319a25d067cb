//! What every command line has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

use crate::commands::Command;
use crate::output::{Colour, parse_duration};

/// What `--help` says at its end.
const AFTER: &str = "\
Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 there is no such thing; 4 the token is missing, wrong or may
not; 5 nobody answers, or somebody else has the database: try again; 6 what was verified is not sound; 7 not confirmed;
8 whether the change was made is not known: look before you try again; 130 interrupted.";

/// Inspects and operates Tito databases.
///
/// --db says which one: a directory of the embedded engine (file:data, even while an application has it open and offers
/// its socket), a TiKV cluster (tikv://pd1:2379/app/), or a console on the network (https://ops.example.com/tito).
#[derive(Debug, Parser)]
#[command(name = "tito", version, max_term_width = 100, after_help = AFTER, arg_required_else_help = true)]
#[command(propagate_version = true, infer_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command.
#[derive(Clone, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Common {
    /// The database: file:DIRECTORY, tikv://PD,…/PREFIX, or http(s)://HOST/PATH of a console
    #[arg(long, env = "TITO_DB", value_name = "URL", global = true, hide_env_values = true)]
    pub(crate) db: Option<String>,
    /// Answers in JSON, for programs: one document, or one line per item for commands that keep running
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true, hide_possible_values = true)]
    #[arg(long_help = "Colours: auto (on a terminal, unless NO_COLOR is set), always, never")]
    pub(crate) colour: Colour,
    /// Does not ask before something is destroyed
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,
    /// The reason for a change, for the audit
    #[arg(long, value_name = "TEXT", global = true)]
    pub(crate) why: Option<String>,
    /// How long to wait for an answer; by default 30s, or 150s for changes, which is longer than a console takes for
    /// one
    #[arg(long, value_name = "TIME", value_parser = parse_duration, global = true)]
    pub(crate) timeout: Option<Duration>,
    /// The token for a console on the network
    #[arg(long, env = "TITO_TOKEN", hide = true, hide_env_values = true, global = true)]
    pub(crate) token: Option<String>,
    /// A file with the token for a console; by default it is in TITO_TOKEN
    #[arg(long, env = "TITO_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(crate) token_file: Option<PathBuf>,
    /// A file with certificates to trust for https, instead of the machine's
    #[arg(long, env = "TITO_CA", value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
    /// Sends the token over http too, if the network can be trusted
    #[arg(long, global = true)]
    pub(crate) plain: bool,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither a token nor a URL, in which there may be something secret.
        f.debug_struct("Common").field("json", &self.json).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_token_is_not_shown() {
        let line = CommandLine::try_parse_from(["tito", "--token", "secret", "topics"]);
        let shown = format!("{line:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
