//! TiKV's order-preserving key encoding, which transactional keys have in region boundaries.
//!
//! Every group of 8 bytes is followed by a marker: 255 minus the number of zero bytes that pad the group. A full group
//! is always followed by another one. Source: `components/codec/src/byte.rs` of tikv/tikv, the memcomparable format of
//! MyRocks.

const GROUP: usize = 8;
const PAD: u8 = 0;
const MARKER: u8 = 0xff;

/// Encodes a key so that encoded keys sort like the keys and none is a prefix of another.
pub(crate) fn encode(key: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity((key.len() / GROUP + 1) * (GROUP + 1));
    let mut rest = key;
    loop {
        let taken = rest.len().min(GROUP);
        let pad = GROUP - taken;
        encoded.extend_from_slice(&rest[..taken]);
        encoded.extend(std::iter::repeat_n(PAD, pad));
        encoded.push(MARKER - pad as u8);
        rest = &rest[taken..];
        if pad > 0 {
            return encoded;
        }
    }
}

/// The key that `encoded` stands for, or `None` if it is no key's encoding.
pub(crate) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        let (group, after) = rest.split_at_checked(GROUP + 1)?;
        let pad = usize::from(MARKER - group[GROUP]);
        if pad > GROUP || group[GROUP - pad..GROUP].iter().any(|byte| *byte != PAD) {
            return None;
        }
        key.extend_from_slice(&group[..GROUP - pad]);
        rest = after;
        if pad > 0 {
            return rest.is_empty().then_some(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_tikv_documents() {
        assert_eq!(encode(b""), [0, 0, 0, 0, 0, 0, 0, 0, 247]);
        assert_eq!(encode(&[1, 2, 3]), [1, 2, 3, 0, 0, 0, 0, 0, 250]);
        assert_eq!(encode(&[1, 2, 3, 0]), [1, 2, 3, 0, 0, 0, 0, 0, 251]);
        assert_eq!(encode(&[1, 2, 3, 4, 5, 6, 7, 8]), [1, 2, 3, 4, 5, 6, 7, 8, 255, 0, 0, 0, 0, 0, 0, 0, 0, 247]);
    }

    #[test]
    fn random_keys_come_back_and_keep_their_order() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut keys: Vec<Vec<u8>> =
            (0..2000).map(|_| (0..random.usize(0..20)).map(|_| random.u8(0..3)).collect()).collect();
        keys.sort();
        let encoded: Vec<Vec<u8>> = keys.iter().map(|key| encode(key)).collect();
        assert!(encoded.is_sorted());
        for (key, encoded) in keys.iter().zip(&encoded) {
            assert_eq!(decode(encoded).as_ref(), Some(key));
        }
    }

    #[test]
    fn bytes_that_encode_no_key_are_refused() {
        for bytes in [&b""[..], b"short", &[0; 9], &[1, 0, 0, 0, 0, 0, 0, 1, 248], &[1, 2, 3, 4, 5, 6, 7, 8, 255]] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
        let mut trailing = encode(b"key");
        trailing.push(0);
        assert_eq!(decode(&trailing), None);
    }
}
