use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;

#[test]
fn a_shut_down_cluster_leaves_no_task_and_frees_its_ports() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let addresses = runtime.block_on(async {
        let cluster = MockCluster::builder().stores(2).pd_members(2).start().await.unwrap();
        let client = connect(&cluster).await;
        // Only reads: the client keeps a task for ten seconds after a commit.
        assert_eq!(get(&client, "key").await, None);
        let waiting = tokio::spawn({
            cluster
                .faults()
                .add(tito_mock_tikv::FaultRule::on(tito_mock_tikv::Rpc::KvGet, tito_mock_tikv::Fault::Hang));
            let cluster = cluster.clone();
            async move {
                let client = connect(&cluster).await;
                let mut transaction = client.begin_with_options(options().no_resolve_regions()).await.unwrap();
                assert!(transaction.get("key".to_owned()).await.is_err());
            }
        });
        while cluster.faults().injected().total() == 0 {
            tokio::task::yield_now().await;
        }
        let mut addresses = addresses_of(&cluster);
        addresses.sort();
        cluster.shutdown().await;
        waiting.await.unwrap();
        drop(client);
        addresses
    });
    runtime.block_on(async {
        // What is left are the ends of tasks that were told to stop, the client's own among them.
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_cluster_frees_its_ports() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = connect(&cluster).await;
    put(&client, "key", "1").await.unwrap();
    let addresses = addresses_of(&cluster);
    drop(cluster.clone());
    put(&client, "key", "2").await.unwrap();
    drop(cluster);
    for address in addresses {
        while TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    }
}

fn addresses_of(cluster: &MockCluster) -> Vec<SocketAddr> {
    let members = cluster.pd_endpoints().into_iter().map(|endpoint| endpoint.parse().unwrap());
    cluster.stores().iter().map(|store| store.address).chain(members).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_a_port_ends_that_connection_only() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = connect(&cluster).await;
    for address in addresses_of(&cluster) {
        let answered = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[0xff; 4096]).unwrap();
            let mut answer = Vec::new();
            // Either the end or a reset: the server has closed it.
            let _ = stream.read_to_end(&mut answer);
        });
        answered.await.unwrap();
    }
    put(&client, "key", "1").await.unwrap();
    put(&connect(&cluster).await, "key", "2").await.unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_have_nothing_in_common() {
    let (one, two) = (three_stores().await, three_stores().await);
    assert_ne!(one.cluster_id(), two.cluster_id());
    put(&connect(&one).await, "key", "1").await.unwrap();
    assert_eq!(get(&connect(&two).await, "key").await, None);
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_above_the_limit_is_refused() {
    let cluster = MockCluster::builder().max_message_size(16 << 10).start().await.unwrap();
    let client = connect(&cluster).await;
    put(&client, "key", &"x".repeat(8 << 10)).await.unwrap();
    assert!(put(&client, "key", &"x".repeat(32 << 10)).await.is_err());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_needs_a_certificate_of_the_authority() {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    };
    let (server, server_key) = issue("127.0.0.1");
    let cluster = MockCluster::builder()
        .stores(2)
        .split_at(["m"])
        .tls(server, server_key, authority.pem())
        .start()
        .await
        .unwrap();

    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (client, client_key) = issue("client");
    let (ca, client, client_key) =
        (file("ca.pem", authority.pem()), file("client.pem", client), file("client.key", client_key));
    let secured = config().with_security(ca, client, client_key);
    let client = TransactionClient::new_with_config(cluster.pd_endpoints(), secured).await.unwrap();
    put(&client, "a", "1").await.unwrap();
    put(&client, "z", "2").await.unwrap();
    assert_eq!(keys(&client, "a", "zz").await, ["a", "z"]);

    assert!(TransactionClient::new(cluster.pd_endpoints()).await.is_err(), "plain text is not answered");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_settings_are_refused() {
    use tito_mock_tikv::MockClusterError;
    let empty = MockCluster::builder().stores(0).start().await;
    assert!(matches!(empty, Err(MockClusterError::Empty("store"))));
    let tls = MockCluster::builder().tls("no certificate", "no key", "no authority").start().await;
    assert!(matches!(tls, Err(MockClusterError::Tls(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_and_streams_that_are_left_open_do_no_harm() {
    let cluster = MockCluster::builder().start().await.unwrap();
    let client = connect(&cluster).await;
    let mut addresses = addresses_of(&cluster);
    addresses.sort();
    let held = tokio::task::spawn_blocking({
        let addresses = addresses.clone();
        move || {
            // The beginning of HTTP/2, with settings; some say more, some nothing, some nonsense, and all just stay.
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            let open = |index: usize| {
                let mut stream = TcpStream::connect(addresses[index % addresses.len()]).unwrap();
                match index % 4 {
                    0 => stream.write_all(preface).unwrap(),
                    1 => stream.write_all(&preface[..10]).unwrap(),
                    2 => stream.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap(),
                    _ => {}
                }
                stream
            };
            (0..1000).map(open).collect::<Vec<TcpStream>>()
        }
    });
    let held = held.await.unwrap();
    put(&client, "key", "1").await.unwrap();
    put(&connect(&cluster).await, "key", "2").await.unwrap();
    drop(held);
    assert_eq!(get(&client, "key").await.as_deref(), Some("2"));
    // Ends although the streams of timestamps are still open, and leaves nothing behind.
    cluster.shutdown().await;
    for address in addresses {
        assert!(TcpStream::connect(address).is_err(), "{address}");
    }
}
