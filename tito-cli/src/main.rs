//! The command `tito`: looks at databases of Tito and operates them, from a terminal.
//!
//! | file | idea |
//! |---|---|
//! | `arguments` | what every command line has |
//! | `commands` | the commands, a file for each group of them |
//! | `session` | one run: which database, how it is reached, what is closed at the end |
//! | `api` | the API of `tito-console`: in this process, and where a running application offers it |
//! | `client` | speaks the API |
//! | `output` | tables for people, JSON for programs, progress |
//! | `confirm`, `interrupt` | asks before something is destroyed; Ctrl-C |
//! | `log` | warnings |
//! | `failure` | why a command failed, and the exit code for it |
#![allow(rustdoc::bare_urls, reason = "what is said of arguments is the help, where brackets would be shown")]

mod api;
mod arguments;
mod client;
mod commands;
mod confirm;
mod failure;
mod interrupt;
mod log;
mod output;
mod session;

use std::process::exit;

use clap::Parser as _;
use serde_json::json;

use arguments::CommandLine;
use failure::{Failure, Kind, Result};
use interrupt::interrupted;
use log::Warnings;
use output::{note, visible_json, visible_lines};
use session::Session;

fn main() {
    let line = CommandLine::try_parse().unwrap_or_else(|error| misunderstood(&error));
    let is_json = line.common.json;
    Warnings { is_json }.install();
    let code = match run(line) {
        Ok(()) => 0,
        Err(failure) => {
            tell(&failure, is_json);
            failure.kind.exit_code()
        }
    };
    // Not by returning: a question on the terminal that nobody has answered would be waited for.
    exit(i32::from(code));
}

/// Help is no error, and people read what clap says.
fn misunderstood(error: &clap::Error) -> ! {
    let is_json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if !error.use_stderr() || !is_json {
        error.exit();
    }
    let message = error.render().to_string();
    let failure = Failure::usage(message.trim_end().trim_start_matches("error: "));
    tell(&failure, true);
    exit(i32::from(failure.kind.exit_code()));
}

fn run(line: CommandLine) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime can't be started", error))?;
    let done = runtime.block_on(async {
        let mut session = Session::new(line.common);
        let done = tokio::select! {
            done = line.command.run(&mut session) => done,
            () = interrupted() => Err(Failure::new(Kind::Interrupted, "interrupted")),
        };
        tokio::select! {
            () = session.close_opened() => done,
            // Whoever asks twice does not want to wait.
            () = interrupted() => Err(Failure::new(Kind::Interrupted, "interrupted")),
        }
    });
    runtime.shutdown_background();
    done
}

/// Says why a command failed.
fn tell(failure: &Failure, is_json: bool) {
    if failure.kind == Kind::PipeClosed {
        return;
    }
    let message = failure.to_string();
    if is_json {
        note(visible_json(&json!({"error": {"code": failure.kind.code(), "message": message}}).to_string()));
    } else {
        note(format!("tito: {}", visible_lines(&message)));
    }
}
