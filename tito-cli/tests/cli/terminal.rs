//! What is shown on a terminal, however small it is.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tito_core::prelude::*;
use tito_worker::prelude::*;

use crate::support::{Closed, tito};

/// The program on a terminal of a size, and the other end of that.
fn on_terminal(closed: &Closed, (columns, rows): (u16, u16), arguments: &[&str]) -> (Child, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut command = tito(arguments);
    command.env("TITO_DB", closed.url()).env("TERM", "xterm");
    let child = command.stdout(Stdio::from(side.try_clone().unwrap())).stderr(Stdio::from(side)).spawn().unwrap();
    (child, File::from(terminal))
}

/// All that comes to a terminal until its last program has gone.
fn read_all(mut terminal: File) -> String {
    let (mut read, mut piece) = (Vec::new(), [0; 4_096]);
    // The end is an error, as nobody has the other side.
    while let Ok(length @ 1..) = terminal.read(&mut piece) {
        read.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn top_fills_a_terminal_and_no_more() {
    let closed = Closed::with_events().await;
    let db = EmbeddedBackend::open(closed.path()).await.unwrap();
    for number in 0..40 {
        TitoQueue::new(db.clone()).create_topic(&format!("topic{number:02}"), 1).await.unwrap();
    }
    db.close().await;
    for (columns, rows) in [(20, 8), (80, 24), (200, 10), (20, 2), (1, 1)] {
        let (mut child, terminal) = on_terminal(&closed, (columns, rows), &["top", "--times", "2", "--every", "100ms"]);
        let said = read_all(terminal);
        assert!(child.wait().unwrap().success(), "{said}");
        let frames: Vec<&str> = said.split("\x1b[H\x1b[2J").skip(1).collect();
        assert_eq!(frames.len(), 2, "{said:?}");
        for frame in frames {
            let lines = frame.matches('\n').count();
            assert!(lines < usize::from(rows.max(2)), "{columns}x{rows}: {lines} lines: {frame:?}");
            assert!(frame.contains("more"), "{frame:?}");
        }
    }
    let (mut child, terminal) = on_terminal(&closed, (200, 200), &["top", "--times", "1"]);
    let said = read_all(terminal);
    assert!(child.wait().unwrap().success() && said.contains("topic39") && !said.contains("more"), "{said}");
}

#[tokio::test]
async fn progress_is_gone_before_an_answer() {
    let closed = Closed::with_events().await;
    let (file, copy) = (closed.beside("backup.tito"), format!("file:{}", closed.beside("copy").display()));
    let file = file.to_str().unwrap();
    let url = closed.url();
    for arguments in
        [&["backup", file][..], &["verify"], &["restore", "--check", file], &["copy", url.as_str(), copy.as_str()]]
    {
        let (mut child, terminal) = on_terminal(&closed, (40, 10), arguments);
        let said = read_all(terminal);
        assert!(child.wait().unwrap().success(), "{said}");
        let answer = said.lines().find(|line| line.contains(" rows ") || line.contains(" rows, ")).unwrap();
        let shown = answer.rsplit(['\r', '\n']).next().unwrap();
        let shown = shown.rsplit("\x1b[2K").next().unwrap();
        assert!(!shown.contains(" B/s"), "{arguments:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_live_view_on_a_terminal_ends_by_ctrl_c() {
    let closed = Closed::with_events().await;
    let (mut child, mut terminal) = on_terminal(&closed, (20, 8), &["top", "--every", "1h"]);
    let mut first = [0; 8];
    terminal.read_exact(&mut first).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    read_all(terminal);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    closed.run(&["topics"]).said();
}
