//! Who should own a partition: every member computes the same from the same members.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// The member that should own a partition: the one with the highest weight. When a member comes, only the partitions that
/// it gets move; when one goes, only those that it had.
pub(super) fn owner<'a>(members: impl IntoIterator<Item = &'a Uuid>, queue: &str, partition: u16) -> Option<Uuid> {
    let mut hashed = vec![0; 16];
    hashed.extend_from_slice(&partition.to_be_bytes());
    hashed.extend_from_slice(queue.as_bytes());
    let weighed = members.into_iter().map(|member| {
        hashed[..16].copy_from_slice(member.as_bytes());
        (xxh3_64(&hashed), *member)
    });
    weighed.max().map(|(_, member)| member)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn members(count: u128) -> Vec<Uuid> {
        (1..=count).map(|number| Uuid::from_u128(number * 0x9e37_79b9_7f4a_7c15)).collect()
    }

    #[test]
    fn without_members_nobody_owns_anything() {
        assert_eq!(owner([], "user", 0), None);
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let members = members(9);
        for partition in 0..100 {
            assert_eq!(owner(&members, "user", partition), owner(members.iter().rev(), "user", partition));
        }
    }

    #[test]
    fn a_new_member_takes_partitions_and_moves_no_others() {
        for count in 1..12 {
            let (before, after) = (members(count), members(count + 1));
            let new = *after.last().unwrap();
            for partition in 0..500 {
                let (was, is) = (owner(&before, "user", partition), owner(&after, "user", partition));
                assert!(was == is || is == Some(new), "partition {partition} moved between old members");
            }
        }
    }

    #[test]
    fn every_member_gets_about_its_share_of_many_partitions() {
        let members = members(5);
        let mut counts = [0; 5];
        for partition in 0..2_000 {
            let owner = owner(&members, "user", partition).unwrap();
            counts[members.iter().position(|member| *member == owner).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (330..=470).contains(count)), "{counts:?}");
    }

    #[test]
    fn queues_are_spread_independently_of_each_other() {
        let members = members(4);
        let differing = (0..400).filter(|&p| owner(&members, "user", p) != owner(&members, "email", p)).count();
        assert!((250..350).contains(&differing), "{differing} of 400 differ, 300 expected");
    }
}
