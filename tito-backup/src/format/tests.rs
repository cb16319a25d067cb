//! Checks the vectors of `docs/format.md` by reading that page.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use tito_core::engine::{KeyValue, PackedRows};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn number(value: &Value) -> u64 {
    match value {
        Value::String(digits) => u64::from_str_radix(digits, 16).unwrap(),
        number => number.as_u64().unwrap(),
    }
}

fn bytes_of(value: &Value) -> Vec<u8> {
    value.as_str().unwrap().as_bytes().to_vec()
}

fn block_of(number: u64, rows: &[KeyValue], seed: u64) -> (Vec<u8>, u64) {
    let rows: PackedRows = rows.iter().cloned().collect();
    let (head, checksum) = around_block(number, &rows, seed);
    ([&head[..], rows.packed(), &checksum.to_le_bytes()].concat(), checksum)
}

/// The bytes that a vector is about; each piece is read as what was written, too.
fn encoded(kind: &str, input: &str) -> Vec<u8> {
    let arguments: Value = serde_json::from_str(input).unwrap();
    match kind {
        "header" => {
            let header: Header = serde_json::from_str(input).unwrap();
            assert_eq!(serde_json::to_string(&header).unwrap(), input);
            let (bytes, checksum) = header.encode();
            assert_eq!(bytes[bytes.len() - 8..], checksum.to_le_bytes());
            bytes
        }
        "block" => {
            let rows = arguments[2].as_array().unwrap();
            let rows: Vec<_> = rows.iter().map(|row| (bytes_of(&row[0]), bytes_of(&row[1]))).collect();
            let seed = number(&arguments[0]);
            let (bytes, checksum) = block_of(number(&arguments[1]), &rows, seed);
            let head = BlockHead::decode(&bytes[..HEAD_BYTES], seed).unwrap();
            assert_eq!((head.number, head.entries as usize), (number(&arguments[1]), rows.len()));
            let content = &bytes[HEAD_BYTES..bytes.len() - CHECKSUM_BYTES];
            assert_eq!(head.length as usize, content.len());
            assert_eq!(entries_of(content, head.entries).unwrap(), rows);
            assert_eq!(bytes[bytes.len() - 8..], checksum.to_le_bytes());
            bytes
        }
        "trailer" => {
            let [blocks, entries, bytes, sum] = [1, 2, 3, 4].map(|position| number(&arguments[position]));
            let trailer = Trailer { blocks, entries, bytes, sum };
            let bytes = trailer.encode(number(&arguments[0]));
            assert_eq!(bytes.len(), TRAILER_BYTES);
            assert_eq!(Trailer::decode(&bytes, number(&arguments[0])), Some(trailer));
            bytes
        }
        other => panic!("no vectors are called {other}"),
    }
}

#[test]
fn the_bytes_are_those_of_the_page_of_the_format() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, vectors) = page.split_once("```backup-vectors\n").unwrap();
    let (vectors, _) = vectors.split_once("```").unwrap();
    assert_eq!(vectors.lines().count(), 4);
    let differing = vectors.lines().filter_map(|vector| {
        let (kind, rest) = vector.split_once(' ').unwrap();
        let (input, expected) = rest.split_once(" => ").unwrap();
        let found = hex(&encoded(kind, input));
        (found != expected).then(|| format!("{kind} {input} => {found}"))
    });
    assert_eq!(differing.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn rows_that_are_not_what_the_head_says_are_none() {
    let rows = vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), vec![7; 40])];
    let (bytes, _) = block_of(1, &rows, 5);
    let content = &bytes[HEAD_BYTES..bytes.len() - CHECKSUM_BYTES];
    for count in [0, 1, 3, u32::MAX] {
        assert_eq!(entries_of(content, count), None, "{count}");
    }
    for length in 0..content.len() {
        assert_eq!(entries_of(&content[..length], 2), None, "{length}");
    }
}
