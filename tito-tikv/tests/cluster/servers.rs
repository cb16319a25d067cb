//! Servers that stop, hang, know less than others, or are not those that they were.
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tito_mock_tikv::{Fault, FaultRule, InProcess, MockCluster, Rpc};
use tito_tikv::transport::{Connection, Tls, Transport};
use tito_tikv::{Client, Error, Outcome, PdFailure, Reason, Timestamp};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use crate::support::{client, cluster, quiet, settings};

type StdError = Box<dyn std::error::Error + Send + Sync>;

async fn write(client: &Client, key: &str) -> Result<Timestamp, tito_tikv::CommitError> {
    let mut transaction = client.begin().await.unwrap();
    transaction.put(key, "v");
    transaction.commit().await.committed()
}

#[tokio::test(start_paused = true)]
async fn the_stores_that_take_over_are_found() {
    let cluster = cluster(MockCluster::builder().stores(3).split_at(["b", "c"])).await;
    let client = client(&cluster).await;
    for key in ["a", "b", "c"] {
        write(&client, key).await.unwrap();
    }
    for stopped in [1, 2, 3] {
        cluster.stop_store(stopped).await.unwrap();
        for key in ["a", "b", "c"] {
            write(&client, key).await.unwrap();
            assert!(client.snapshot(Timestamp::MAX).get(key).await.unwrap().is_some());
        }
        cluster.start_store(stopped).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_until_the_deadline() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
    let client = client(&cluster).await;
    for key in ["a", "b"] {
        write(&client, key).await.unwrap();
    }
    quiet().await;
    let region = cluster.regions().into_iter().find(|region| region.start_key == b"b").unwrap();
    cluster.stop_store_with_its_regions(region.leader).await.unwrap();
    let begun = Instant::now();
    let failed = write(&client, "b").await.unwrap_err();
    assert!(
        matches!(&failed, tito_tikv::CommitError::NotCommitted(Reason::Failed(Error::Deadline { .. }))),
        "{failed:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    write(&client, "a").await.unwrap();
    cluster.start_store(region.leader).await.unwrap();
    write(&client, "b").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_blocks_nobody_else() {
    let cluster = cluster(MockCluster::builder().stores(2).split_at(["b"])).await;
    let client = client(&cluster).await;
    for key in ["a", "b"] {
        write(&client, key).await.unwrap();
    }
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("b"));
    let hangs = tokio::spawn({
        let client = client.clone();
        async move { write(&client, "b").await }
    });
    let begun = Instant::now();
    for _ in 0..20 {
        write(&client, "a").await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert!(matches!(hangs.await.unwrap(), Err(tito_tikv::CommitError::NotCommitted(_))));
    cluster.faults().clear();
}

/// A store of an older version, which has no stream of commands.
#[derive(Clone)]
struct Plain(InProcess);

impl Service<http::Request<Body>> for Plain {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/tikvpb.Tikv/BatchCommands" => {
                Box::pin(async { Ok(Status::unimplemented("there is no such call").into_http()) })
            }
            _ => self.0.call(request),
        }
    }
}

struct PlainTransport(MockCluster);

impl Transport for PlainTransport {
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>> {
        let server = self.0.connect(address).map(|server| Connection::new(Plain(server)));
        Box::pin(async move { server.ok_or_else(|| "there is no such server".into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_stream_of_commands_is_asked_by_plain_calls() {
    let cluster = cluster(MockCluster::builder()).await;
    let client =
        Client::builder(cluster.pd_endpoints()).transport(PlainTransport(cluster.clone())).connect().await.unwrap();
    for number in 0..10 {
        write(&client, &format!("{number}")).await.unwrap();
    }
    let calls = cluster.calls();
    assert_eq!((calls.of(Rpc::KvPrewrite), calls.of(Rpc::KvCommit), calls.of(Rpc::BatchCommands)), (10, 10, 0));
}

/// The way to a cluster that may become another one.
#[derive(Clone)]
struct Switch(Arc<Mutex<MockCluster>>);

impl Transport for Switch {
    fn connect(&self, address: &str) -> Pin<Box<dyn Future<Output = Result<Connection, StdError>> + Send>> {
        let server = self.0.lock().unwrap().connect(address).map(Connection::new);
        Box::pin(async move { server.ok_or_else(|| "there is no such server".into()) })
    }
}

async fn with_clock(millis: u64, seed: u64) -> MockCluster {
    MockCluster::builder().in_process().seed(seed).clock(Arc::new(move || millis)).start().await.unwrap()
}

/// A client whose cluster is another one from some moment on.
async fn switched(from: MockCluster, to: MockCluster) -> Client {
    let switch = Switch(Arc::new(Mutex::new(from.clone())));
    let builder = Client::builder(from.pd_endpoints()).transport(switch.clone());
    let client = builder.call_deadline(Duration::from_secs(2)).connect().await.unwrap();
    write(&client, "a").await.unwrap();
    *switch.0.lock().unwrap() = to;
    from.shutdown().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_that_goes_back_stops_the_client_for_good() {
    let (late, early) = (with_clock(2_000_000, 7).await, with_clock(1_000_000, 7).await);
    let client = switched(late, early).await;
    for _ in 0..2 {
        match client.begin().await {
            Err(error @ Error::Pd { source: PdFailure::TimestampWentBack { before, found }, .. }) => {
                assert!(before.physical_millis() == 2_000_000 && found.physical_millis() == 1_000_000);
                assert!(!error.can_retry_help());
            }
            other => panic!("expected that time went back, found {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_cluster_at_the_same_address_is_not_written_to() {
    let (one, other) = (with_clock(1_000_000, 7).await, with_clock(2_000_000, 8).await);
    let client = switched(one, other.clone()).await;
    let error = client.begin().await.unwrap_err();
    assert!(
        matches!(&error, Error::Pd { source: PdFailure::OtherCluster { .. }, .. }),
        "expected the other cluster to be noticed, found {error:?}"
    );
    assert_eq!(other.calls().to_stores(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_too_old_is_not_committed() {
    let cluster = cluster(MockCluster::builder()).await;
    let client = settings(&cluster).max_transaction_age(Duration::from_secs(30)).connect().await.unwrap();
    for (seconds, is_committed) in [(29, true), (31, false)] {
        let mut transaction = client.begin().await.unwrap();
        transaction.put("a", "v");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match transaction.commit().await {
            Outcome::Committed(_) => assert!(is_committed, "after {seconds} s"),
            Outcome::NotCommitted(Reason::TooOld { limit_millis: 30_000, .. }) => {
                assert!(!is_committed, "after {seconds} s");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_commit_goes_on_when_nobody_waits_for_it() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let client = client(&cluster).await;
    let mut transaction = client.begin().await.unwrap();
    transaction.put("a", "v");
    transaction.put("b", "v");
    cluster.faults().add(FaultRule::on(Rpc::KvCommit, Fault::Delay(Duration::from_secs(1))).nth(1));
    assert!(tokio::time::timeout(Duration::from_millis(10), transaction.commit()).await.is_err());
    client.close().await;
    assert_eq!(
        crate::support::client(&cluster).await.snapshot(Timestamp::MAX).batch_get(["a", "b"]).await.unwrap().len(),
        2
    );
    assert!(cluster.locks().is_empty());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_long_commit_from_being_rolled_back() {
    let cluster = cluster(MockCluster::builder().split_at(["b"])).await;
    let [slow, other] = [client(&cluster).await, client(&cluster).await];
    // The prewrite of `b` takes longer than the time to live of the lock on `a`.
    cluster.faults().add(FaultRule::on(Rpc::KvPrewrite, Fault::Hang).keys("b").first(2));
    let mut transaction = slow.begin().await.unwrap();
    transaction.put("a", "slow");
    transaction.put("b", "slow");
    let begun = Instant::now();
    let commit = async {
        let at = transaction.commit().await.committed().unwrap();
        (at, begun.elapsed())
    };
    let met = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let mut writer = other.begin().await.unwrap();
        writer.put("a", "other");
        writer.commit().await
    };
    let ((at, took), met) = tokio::join!(commit, met);
    assert!(took > Duration::from_secs(6), "{took:?}");
    assert!(cluster.calls().of(Rpc::KvTxnHeartBeat) >= 3);
    assert!(matches!(met, Outcome::NotCommitted(Reason::Conflict { at: newer, .. }) if newer == at), "{met:?}");
}

#[tokio::test(start_paused = true)]
async fn stores_that_point_at_each_other_are_not_asked_at_full_speed() {
    let cluster = cluster(MockCluster::builder().stores(2)).await;
    let client = settings(&cluster).call_deadline(Duration::from_secs(2)).connect().await.unwrap();
    write(&client, "a").await.unwrap();
    // The region is led by a store that answers that it does not lead it, with the very store for the leader.
    cluster.faults().add(FaultRule::on(Rpc::KvGet, Fault::EpochNotMatch));
    let before = cluster.calls();
    assert!(client.snapshot(Timestamp::MAX).get("a").await.is_err());
    let calls = cluster.calls().since(&before).of(Rpc::KvGet);
    assert!((5..100).contains(&calls), "{calls} calls in two seconds");
}

/// Files of an authority, and of a client whose certificate it has signed.
fn certificates(directory: &Path, authority: &CertifiedIssuer<'_, KeyPair>) -> Tls {
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = issue(authority, "client");
    Tls {
        authority: file("ca.pem", authority.pem()),
        certificate: file("client.pem", certificate),
        key: file("client.key", key),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn certificates_are_asked_for_and_read_anew_for_new_connections() {
    let authority = authority();
    let (certificate, key) = issue(&authority, "server");
    let builder = MockCluster::builder().tls(&certificate, &key, authority.pem());
    let cluster = builder.start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let tls = certificates(directory.path(), &authority);
    let connect = |tls: Option<Tls>| {
        let builder = Client::builder(cluster.pd_endpoints()).call_deadline(Duration::from_secs(2));
        match tls {
            Some(tls) => builder.tls(tls).connect(),
            None => builder.connect(),
        }
    };
    let client = connect(Some(tls.clone())).await.unwrap();
    write(&client, "a").await.unwrap();
    assert!(connect(None).await.is_err(), "plain text is not answered");

    // The file is replaced by one that can't be used: what is connected goes on, what connects anew reads it.
    let good = std::fs::read(&tls.certificate).unwrap();
    std::fs::write(&tls.certificate, "no certificate").unwrap();
    write(&client, "a").await.unwrap();
    assert!(connect(Some(tls.clone())).await.is_err());
    std::fs::write(&tls.certificate, good).unwrap();
    write(&connect(Some(tls)).await.unwrap(), "a").await.unwrap();
    cluster.shutdown().await;
}
