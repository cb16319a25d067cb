//! On a cluster.

use tito_testkit::on_mock_cluster;

use crate::support::{Closed, Run, fill, run, tito};

async fn ask(url: &str, arguments: &[&str]) -> Run {
    let mut command = tito(arguments);
    command.env("TITO_DB", url);
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_looked_at_operated_and_backed_up() {
    let temporary = on_mock_cluster().await.unwrap();
    fill(temporary.database()).await;
    let url = format!("tikv://{}", temporary.cluster().pd_endpoints().join(","));
    assert!(ask(&url, &["topics"]).await.said().contains("mail"));
    assert_eq!(ask(&url, &["stats", "mail", "--json"]).await.json()["items"][0]["total"]["dead"], 1);
    ask(&url, &["dead", "redrive", "mail", "--all"]).await.said();
    ask(&url, &["events", "publish", "mail", "user:new"]).await.said();
    ask(&format!("{url}/none/"), &["topics"]).await.failed(3);

    let closed = Closed::with_events().await;
    let file = closed.beside("backup.tito");
    ask(&url, &["backup", file.to_str().unwrap()]).await.said();
    let restored = format!("file:{}", closed.beside("restored").display());
    ask(&restored, &["restore", file.to_str().unwrap()]).await.said();
    assert!(ask(&restored, &["events", "list", "mail"]).await.said().contains("user:new"));
    ask(&url, &["copy", &restored, &format!("{url}/copy/")]).await.said();
    assert!(ask(&format!("{url}/copy/"), &["topics"]).await.said().contains("audit"));
    ask(&url, &["verify"]).await.said();
}
