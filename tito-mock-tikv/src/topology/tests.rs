#![allow(clippy::unwrap_used)]
use super::*;
use tito_tikv_proto::kvrpcpb::Context;

fn topology(stores: u16) -> Topology {
    let addresses: Vec<SocketAddr> = (1..=stores).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    Topology::new(&addresses, crate::TikvVersion::default())
}

fn context(region: &Region) -> Context {
    Context {
        region_id: region.id,
        region_epoch: Some(region.epoch()),
        peer: region.leader_peer(),
        ..Context::default()
    }
}

/// The regions cover the key space without gaps or overlaps, and each is found by its first key.
fn check_cover(topology: &Topology) {
    let regions: Vec<&Region> = topology.regions_from(b"").collect();
    assert_eq!(regions.len(), topology.regions.len());
    assert_eq!(regions.first().unwrap().range.start, b"");
    assert_eq!(regions.last().unwrap().range.end, b"");
    for pair in regions.windows(2) {
        assert_eq!(pair[0].range.end, pair[1].range.start);
    }
    for region in regions {
        assert_eq!(topology.region_of(&region.range.start).unwrap().id, region.id);
    }
}

#[test]
fn a_split_keeps_the_right_part_and_raises_the_version_by_the_new_regions() {
    let mut topology = topology(1);
    let before = topology.region_of(b"").unwrap().clone();
    let parts = topology.split(before.id, vec![b"m".to_vec(), b"c".to_vec(), b"m".to_vec()]);
    assert_eq!(parts.iter().map(|part| part.range.start.as_slice()).collect::<Vec<_>>(), [&b""[..], b"c", b"m"]);
    assert_eq!(parts[2].id, before.id);
    assert!(parts.iter().all(|part| part.version == before.version + 2));
    check_cover(&topology);
}

#[test]
fn a_merge_takes_in_the_right_neighbour_with_a_version_above_both() {
    let mut topology = topology(1);
    assert!(topology.split_at(b"c".to_vec()));
    assert!(topology.split_at(b"m".to_vec()));
    assert!(!topology.split_at(b"m".to_vec()), "a region begins there");
    let (left, right) = (topology.region_of(b"c").unwrap().clone(), topology.region_of(b"m").unwrap().clone());
    topology.merge(left.id).unwrap();
    let merged = topology.region_of(b"z").unwrap();
    assert_eq!((merged.id, merged.version), (left.id, left.version.max(right.version) + 1));
    assert!(topology.region(right.id).is_none());
    assert!(topology.merge(left.id).is_none(), "it is the last one");
    check_cover(&topology);
}

#[test]
fn a_request_is_checked_for_store_region_leader_and_epoch() {
    let mut topology = topology(2);
    let region = topology.region_of(b"").unwrap().clone();
    let fresh = context(&region);
    assert_eq!(topology.check(1, &fresh).unwrap().id, region.id);
    assert!(topology.check(2, &fresh).unwrap_err().store_not_match.is_some());
    assert!(topology.check(1, &Context { region_id: 99, ..fresh.clone() }).unwrap_err().region_not_found.is_some());

    topology.split_at(b"m".to_vec());
    let error = topology.check(1, &fresh).unwrap_err().epoch_not_match.unwrap();
    assert_eq!(error.current_regions.len(), 2, "the region and what was split off it");

    topology.transfer_leader(region.id, 2).unwrap();
    let error = topology.check(1, &fresh).unwrap_err().not_leader.unwrap();
    assert_eq!(error.leader.unwrap().store_id, 2);
}

#[test]
fn keys_outside_the_region_are_refused_in_their_own_form() {
    let mut topology = topology(1);
    topology.split_at(crate::codec::encode(b"m"));
    let left = topology.region_of(b"").unwrap();
    assert!(left.check_keys(&[b"a", b"lzzz"], Some(b"m"), KeyForm::Encoded).is_ok());
    for (keys, end) in [(&[&b"m"[..]][..], None), (&[], Some(&b"m\0"[..])), (&[], Some(b""))] {
        assert!(left.check_keys(keys, end, KeyForm::Encoded).unwrap_err().key_not_in_region.is_some());
    }
    // The encoded boundary is longer than the key, so the key itself lies before it.
    assert!(left.check_keys(&[b"m"], None, KeyForm::Plain).is_ok());
}

#[test]
fn leaders_move_off_a_stopped_store_to_running_ones() {
    let mut topology = topology(3);
    for key in [b"a", b"b", b"c", b"d", b"e"] {
        topology.split_at(key.to_vec());
    }
    topology.spread_leaders();
    topology.set_running(2, false);
    topology.move_leaders_off(2);
    assert_eq!(topology.describe_stores()[1].regions_led, 0);
    assert_eq!(topology.describe_stores().iter().map(|store| store.regions_led).sum::<usize>(), 6);
    let region = topology.region_of(b"").unwrap().id;
    assert!(matches!(topology.transfer_leader(region, 2), Err(crate::MockClusterError::StoreStopped(2))));
}

#[test]
fn random_changes_keep_the_key_space_covered_and_repeat_with_their_seed() {
    let run = |seed: u64| {
        let mut topology = topology(3);
        let mut random = fastrand::Rng::with_seed(seed);
        let keys: Vec<Vec<u8>> = (b'a'..=b'p').map(|byte| vec![byte]).collect();
        let steps: Vec<ShuffleStep> = (0..300)
            .map(|_| {
                let step = topology.shuffle(&mut random, &keys);
                check_cover(&topology);
                step
            })
            .collect();
        steps
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
