//! What is no whole backup is refused, with what and where, and nothing opens.

use tito_backup::{BackupError, BackupReader, Place, check, restore};
use tito_core::prelude::*;

use crate::support::*;

/// A backup of four blocks, and where each piece of it begins: the header, the blocks, the trailer, the end.
async fn whole() -> (Vec<u8>, Vec<usize>) {
    let db = tito_testkit::in_memory().await.unwrap();
    put(&db, &[("a", "1"), ("b", "2"), ("c", ""), ("d", "a longer value of something")]).await;
    let (bytes, totals) = backed_up(&db, 1).await;
    assert_eq!(totals.blocks, 4);
    let blocks: Vec<usize> = [2, 2, 1, 28].map(|length| 21 + 8 + length + 8).to_vec();
    let trailer = bytes.len() - 41;
    let first = trailer - blocks.iter().sum::<usize>();
    let mut at = vec![0, first];
    for length in blocks {
        at.push(at[at.len() - 1] + length);
    }
    assert_eq!(at[at.len() - 1], trailer);
    at.push(bytes.len());
    (bytes, at)
}

/// A check fails by damage, told to lie no later than where it is found.
async fn assert_refused(bytes: &[u8], what: &str) -> (u64, String) {
    match check(bytes).await {
        Err(error @ BackupError::Damaged { at, .. }) => {
            assert!(at <= bytes.len() as u64, "{what}: {error}");
            (at, error.to_string())
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test]
async fn a_backup_cut_short_anywhere_is_refused() {
    let (bytes, _) = whole().await;
    check(&bytes[..]).await.unwrap();
    for length in 0..bytes.len() {
        let (at, error) = assert_refused(&bytes[..length], &format!("cut to {length}")).await;
        assert_eq!(at, length as u64, "{error}");
        assert!(error.contains("too early"), "{error}");
    }
}

#[tokio::test]
async fn a_backup_with_any_bit_flipped_is_refused() {
    let (bytes, _) = whole().await;
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[position] ^= 1 << bit;
            assert_refused(&flipped, &format!("bit {bit} of byte {position}")).await;
        }
    }
}

#[tokio::test]
async fn pieces_left_out_repeated_swapped_or_of_another_backup_are_refused() {
    let (bytes, at) = whole().await;
    let (other, _) = whole().await;
    let piece = |of: &[u8], number: usize| of[at[number]..at[number + 1]].to_vec();
    let pieces: Vec<Vec<u8>> = (0..at.len() - 1).map(|number| piece(&bytes, number)).collect();
    for number in 0..pieces.len() {
        let mut without = pieces.clone();
        without.remove(number);
        assert_refused(&without.concat(), &format!("without piece {number}")).await;
        let mut twice = pieces.clone();
        twice.insert(number, pieces[number].clone());
        assert_refused(&twice.concat(), &format!("piece {number} twice")).await;
        let mut foreign = pieces.clone();
        foreign[number] = piece(&other, number);
        assert_refused(&foreign.concat(), &format!("piece {number} of another backup")).await;
        for later in number + 1..pieces.len() {
            let mut swapped = pieces.clone();
            swapped.swap(number, later);
            assert_refused(&swapped.concat(), &format!("pieces {number} and {later} swapped")).await;
        }
    }
}

#[tokio::test]
async fn what_comes_after_the_end_is_refused() {
    let (bytes, _) = whole().await;
    for more in [&b"\0"[..], b"T", &bytes] {
        let (at, error) = assert_refused(&[&bytes, more].concat(), "followed by more").await;
        assert_eq!(at, bytes.len() as u64);
        assert!(error.contains("expected the end"), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_backup_at_all_says_what_it_is() {
    let (_, error) = assert_refused(b"PK\x03\x04 an archive of something", "an archive").await;
    assert!(error.contains("titobak1") && error.contains("PK"), "{error}");
    assert_refused(b"", "nothing").await;
    assert_refused(&[0xff; 4_096], "ones").await;
    let mut random = fastrand::Rng::with_seed(tito_testkit::seed());
    let (bytes, _) = whole().await;
    for _ in 0..10_000 {
        let mut malformed = bytes[..random.usize(0..200)].to_vec();
        let length = random.usize(1..300);
        malformed.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
        assert_refused(&malformed, "noise").await;
    }
}

#[tokio::test]
async fn a_later_format_is_told_from_damage() {
    let later = br#"{"format":2,"database_format":1,"of a later version":true}"#;
    let mut bytes = b"titobak1".to_vec();
    bytes.extend_from_slice(&(later.len() as u32).to_le_bytes());
    bytes.extend_from_slice(later);
    bytes.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&bytes).to_le_bytes());
    let error = check(&bytes[..]).await.unwrap_err();
    assert!(matches!(error, BackupError::NewerFormat { found: 2, known: 1 }), "{error:?}");
}

/// A header that says this timestamp, in order beside, and its checksum.
fn header_of(timestamp: u64) -> (Vec<u8>, u64) {
    let id = "018bcfe5-6800-4000-8000-000000000000";
    let json = format!(
        r#"{{"format":1,"database":"{id}","database_format":1,"timestamp":{timestamp},"taken_millis":1700000000000}}"#
    );
    let mut bytes = b"titobak1".to_vec();
    bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
    bytes.extend_from_slice(json.as_bytes());
    let seed = xxhash_rust::xxh3::xxh3_64(&bytes);
    bytes.extend_from_slice(&seed.to_le_bytes());
    (bytes, seed)
}

/// A backup without rows.
fn of_timestamp(timestamp: u64) -> Vec<u8> {
    let (bytes, seed) = header_of(timestamp);
    let mut trailer = b"T".to_vec();
    trailer.extend_from_slice(&[0; 24]);
    trailer.extend_from_slice(&xxhash_rust::xxh3::xxh3_64_with_seed(b"", seed).to_le_bytes());
    trailer.extend_from_slice(&xxhash_rust::xxh3::xxh3_64_with_seed(&trailer, seed).to_le_bytes());
    [bytes, trailer].concat()
}

#[tokio::test]
async fn a_timestamp_that_leaves_none_to_follow_is_refused() {
    for timestamp in [((1 << 46) - 1) << 18, u64::MAX] {
        let bytes = of_timestamp(timestamp);
        let (_, error) = assert_refused(&bytes, "a late timestamp").await;
        assert!(error.contains(&timestamp.to_string()), "{error}");
        let target = tempfile::tempdir().unwrap();
        let refused = restore(&bytes[..], &Place::directory(target.path())).await.unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. }), "{refused:?}");
        assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
    }
    // The latest that engines hand out.
    let latest = ((1_u64 << 46) - 1_000_000) << 18;
    let target = tempfile::tempdir().unwrap();
    restore(&of_timestamp(latest)[..], &Place::directory(target.path())).await.unwrap();
    let restored = open(target.path()).await;
    put(&restored, &[("a", "1")]).await;
    assert!(restored.timestamp().await.unwrap().raw() > latest);
}

/// No block is longer than one that is written, so that its bytes are not waited for.
#[tokio::test]
async fn a_block_longer_than_any_that_is_written_is_refused_by_its_head() {
    let (header, seed) = header_of(445_644_800_000_000_000);
    let (rows, one_row) = ((1 << 30) + 8 * 2, (1 << 31) + 8);
    for (entries, length, wrong) in [
        (16_385_u32, 1_000_u32, Some("at most 16384 rows in block 1, found 16385")),
        (16_384, 1_000, None),
        (2, rows + 1, Some("at most 1073741840 bytes of rows in block 1, found 1073741841")),
        (2, rows, None),
        (1, one_row + 1, Some("at most 2147483656 bytes of rows in block 1, found 2147483657")),
        (1, one_row, None),
        (u32::MAX, u32::MAX, Some("at most 16384 rows")),
    ] {
        let mut head = b"B".to_vec();
        head.extend_from_slice(&1_u64.to_le_bytes());
        head.extend_from_slice(&entries.to_le_bytes());
        head.extend_from_slice(&length.to_le_bytes());
        let check = xxhash_rust::xxh3::xxh3_64_with_seed(&head, seed) as u32;
        head.extend_from_slice(&check.to_le_bytes());
        let (_, error) = assert_refused(&[header.clone(), head].concat(), "a long block").await;
        assert!(error.contains(wrong.unwrap_or("too early")), "{entries} {length}: {error}");
    }
}

/// Each cut and some flips, into a directory: it refuses to be opened, says by what, and is whole once the whole backup is
/// restored into it.
#[tokio::test]
async fn a_target_of_a_damaged_backup_does_not_open_until_it_is_restored_again() {
    let (bytes, at) = whole().await;
    let mut inputs: Vec<Vec<u8>> =
        at[1..].iter().flat_map(|&end| [end - 1, end.min(bytes.len() - 1)]).map(|end| bytes[..end].to_vec()).collect();
    for &begin in &at[1..at.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[begin + 25] ^= 4;
        inputs.push(flipped);
    }
    for (number, input) in inputs.into_iter().enumerate() {
        let target = tempfile::tempdir().unwrap();
        let place = Place::directory(target.path());
        restore(&input[..], &place).await.unwrap_err();
        if input.len() < at[1] {
            // Without a header it is not known what of, and nothing was begun.
            assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0);
            continue;
        }
        assert_incomplete(target.path()).await;
        let filled = restore(&bytes[..], &place).await.unwrap();
        assert_eq!(filled.entries, 4, "input {number}");
        assert_eq!(all(&open(target.path()).await).await.len(), 4);
    }
}

#[tokio::test]
async fn blocks_come_out_one_by_one() {
    let (bytes, _) = whole().await;
    let mut reader = BackupReader::open(&bytes[..]).await.unwrap();
    let mut keys = Vec::new();
    while let Some(rows) = reader.next_block().await.unwrap() {
        assert_eq!(rows.len(), 1);
        keys.extend(rows.into_iter().map(|(key, _)| key));
    }
    assert_eq!(keys, [b"a", b"b", b"c", b"d"]);
    assert_eq!(reader.next_block().await.unwrap(), None);
}

#[tokio::test]
async fn an_input_that_breaks_is_no_damage() {
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()))
        }
    }
    let (bytes, _) = whole().await;
    for length in [0, 4, 30, 150, bytes.len()] {
        let input = tokio::io::AsyncReadExt::chain(&bytes[..length], Broken);
        let error = check(input).await.unwrap_err();
        assert!(matches!(error, BackupError::Stream { doing: "reading the backup", .. }), "{length}: {error:?}");
    }
}

#[tokio::test]
async fn a_database_is_none_that_is_being_filled() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).await.close().await;
    let (bytes, _) = whole().await;
    let error = restore(&bytes[..], &Place::directory(directory.path())).await.unwrap_err();
    assert!(matches!(error.database(), Some(TitoError::InvalidTarget { .. })), "{error:?}");
}
