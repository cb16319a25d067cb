//! Backups, restores, verifications and copies.

use std::fs;

use crate::support::{Closed, run, tito};

#[tokio::test]
async fn a_backup_is_taken_proved_and_restored() {
    let closed = Closed::with_events().await;
    let (file, restored) = (closed.beside("backup.tito"), closed.beside("restored"));
    let file = file.to_str().unwrap();
    let said = closed.run(&["backup", file]).said();
    assert!(said.contains("rows"), "{said}");
    let again = closed.run(&["backup", file]).failed(1);
    assert!(again.contains("--force"), "{again}");
    closed.run(&["backup", file, "--force"]).said();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let checked = run(&mut tito(&["restore", "--check", file, "--json"])).json();
    assert_eq!((&checked["is_sound"], &checked["total"]), (&true.into(), &0.into()));
    let verified = run(&mut tito(&["verify", "--backup", file])).said();
    assert!(verified.contains("0 are wrong"), "{verified}");

    let url = format!("file:{}", restored.display());
    let said = run(&mut tito(&["--db", &url, "restore", file])).said();
    assert!(said.contains("2 queues and 0 schedules are paused"), "{said}");
    let stats = run(&mut tito(&["--db", &url, "stats"])).said();
    assert!(stats.contains("paused"), "{stats}");
    let said = run(&mut tito(&["--db", &url, "resume", "--restored"])).said();
    assert!(said.contains("2 queues"), "{said}");
    // What is not empty is no target.
    let said = run(&mut tito(&["--db", &url, "restore", file])).failed(1);
    assert!(said.contains("target"), "{said}");
}

#[tokio::test]
async fn a_damaged_backup_is_told() {
    let closed = Closed::with_events().await;
    let file = closed.beside("backup.tito");
    closed.run(&["backup", file.to_str().unwrap()]).said();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    let said = run(&mut tito(&["restore", "--check", file.to_str().unwrap()])).failed(6);
    assert!(said.contains("at byte"), "{said}");
    run(&mut tito(&["verify", "--backup", closed.beside("none").to_str().unwrap()])).failed(3);
}

#[tokio::test]
async fn a_backup_goes_through_pipes() {
    let closed = Closed::with_events().await;
    let mut command = tito(&["backup", "-"]);
    let output = command.env("TITO_DB", closed.url()).output().unwrap();
    assert!(output.status.success());
    let file = closed.beside("piped");
    fs::write(&file, &output.stdout).unwrap();
    let mut command = tito(&["restore", "--check", "-"]);
    run(command.stdin(fs::File::open(&file).unwrap())).said();
}

#[tokio::test]
async fn a_database_is_copied() {
    let closed = Closed::with_events().await;
    let to = format!("file:{}", closed.beside("copy").display());
    let said = run(&mut tito(&["copy", &closed.url(), &to])).said();
    assert!(said.contains("rows copied"), "{said}");
    assert!(run(&mut tito(&["--db", &to, "events", "list", "mail"])).said().contains("user:ada"));
    run(&mut tito(&["copy", "file:/no/such", &to])).failed(3);
}
