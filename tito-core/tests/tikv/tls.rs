//! TLS from the builder's paths to the cluster's ports.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tito_core::prelude::*;
use tito_core::tikv::{TiKVBackend, TiKVBuilder};
use tito_test_engines::mock_tikv::MockCluster;

use crate::support::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut settings = CertificateParams::new(Vec::new()).unwrap();
    settings.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(settings, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn issue(authority: &Authority, name: &str) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_string()]).unwrap().signed_by(&key, authority).unwrap();
    [certificate.pem(), key.serialize_pem()]
}

async fn secured(authority: &Authority) -> MockCluster {
    let [certificate, key] = issue(authority, "127.0.0.1");
    let cluster = MockCluster::builder().stores(2).split_at(["m"]).tls(certificate, key, authority.pem());
    cluster.start().await.unwrap()
}

/// What the builder wants: the paths of the authority, of a client's certificate and of its key.
struct Files(TempDir);

impl Files {
    fn new(trusted: &Authority, issuer: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let [certificate, key] = issue(issuer, "client");
        for (name, text) in [("ca.pem", trusted.pem()), ("client.pem", certificate), ("client-key.pem", key)] {
            std::fs::write(files.path(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn builder(&self, cluster: &MockCluster) -> TiKVBuilder {
        TiKVBackend::builder(cluster.pd_endpoints())
            .tls(self.path("ca.pem"), self.path("client.pem"), self.path("client-key.pem"))
            .connect_deadline(Duration::from_secs(1))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_run_on_a_cluster_with_tls() {
    let authority = authority();
    let cluster = secured(&authority).await;
    let files = Files::new(&authority, &authority);
    let db = files.builder(&cluster).connect_deadline(Duration::from_secs(5)).connections(2).connect().await.unwrap();
    put_all(&db, &["apple", "tomato"], "1").await.unwrap();
    assert_eq!(get_all(&db, &["apple", "tomato"]).await, vec![Some("1".to_string()); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_authority_is_not_trusted() {
    let (ours, theirs) = (authority(), authority());
    let cluster = secured(&theirs).await;
    let files = Files::new(&ours, &theirs);
    let outcome = in_time(files.builder(&cluster).connect()).await;
    assert_unavailable(outcome, &["connect", &cluster.pd_endpoints()[0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_authority_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let cluster = secured(&theirs).await;
    let files = Files::new(&theirs, &ours);
    let outcome = in_time(files.builder(&cluster).connect()).await;
    assert_unavailable(outcome, &["connect", &cluster.pd_endpoints()[0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_and_tls_do_not_meet() {
    let authority = authority();
    let cluster = secured(&authority).await;
    let plain = builder(&cluster).connect_deadline(Duration::from_secs(1)).connect();
    assert_unavailable(in_time(plain).await, &["connect", &cluster.pd_endpoints()[0]]);

    let cluster = four_regions().await;
    let files = Files::new(&authority, &authority);
    let outcome = in_time(files.builder(&cluster).connect()).await;
    assert_unavailable(outcome, &["connect", &cluster.pd_endpoints()[0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_no_certificate_is_told() {
    let authority = authority();
    let cluster = secured(&authority).await;
    for name in ["ca.pem", "client.pem", "client-key.pem"] {
        let files = Files::new(&authority, &authority);
        std::fs::remove_file(files.path(name)).unwrap();
        let error = in_time(files.builder(&cluster).connect()).await.expect_err("it is missing");
        assert!(matches!(error, TitoError::Storage { operation: "connect", .. }), "{error:?}");
        assert_says(&error, &["tls", name]);

        let files = Files::new(&authority, &authority);
        std::fs::write(files.path(name), "nothing of use").unwrap();
        let error = in_time(files.builder(&cluster).connect()).await.expect_err("it is of no use");
        assert_says(&error, &["connect"]);
    }
}
