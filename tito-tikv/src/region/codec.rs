//! How keys stand in the boundaries of regions: in groups of eight bytes, each with a mark of how many of them count,
//! so that encoded keys compare as the keys do and no version that follows can change that.

const GROUP: usize = 8;
const MARK: u8 = 0xff;

/// The encoded key.
pub(crate) fn encode(key: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity((key.len() / GROUP + 1) * (GROUP + 1));
    let mut rest = key;
    loop {
        let take = rest.len().min(GROUP);
        let (group, after) = rest.split_at(take);
        encoded.extend_from_slice(group);
        encoded.resize(encoded.len() + GROUP - take, 0);
        // At most eight, so it fits.
        encoded.push(MARK - (GROUP - take) as u8);
        if take < GROUP {
            return encoded;
        }
        rest = after;
    }
}

/// The key of an encoded one; `None` if it is none.
pub(crate) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(encoded.len());
    let mut groups = encoded.chunks(GROUP + 1);
    loop {
        let (mark, group) = groups.next()?.split_last()?;
        if group.len() != GROUP {
            return None;
        }
        let padding = usize::from(MARK - mark);
        if padding > GROUP {
            return None;
        }
        let (bytes, zeros) = group.split_at(GROUP - padding);
        if zeros.iter().any(|byte| *byte != 0) {
            return None;
        }
        key.extend_from_slice(bytes);
        if padding > 0 {
            return groups.next().is_none().then_some(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_keep_their_order() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut keys: Vec<Vec<u8>> = (0..500)
            .map(|_| (0..random.usize(0..20)).map(|_| *random.choice([0, 1, 254, 255].iter()).unwrap_or(&0)).collect())
            .collect();
        keys.sort();
        let encoded: Vec<Vec<u8>> = keys.iter().map(|key| encode(key)).collect();
        assert!(encoded.is_sorted());
        for (key, encoded) in keys.iter().zip(&encoded) {
            assert_eq!(decode(encoded).as_ref(), Some(key));
        }
    }

    #[test]
    fn the_groups_are_those_of_tikv() {
        assert_eq!(encode(b""), [0, 0, 0, 0, 0, 0, 0, 0, 247]);
        assert_eq!(encode(b"abc"), [b'a', b'b', b'c', 0, 0, 0, 0, 0, 250]);
        assert_eq!(encode(&[7; 8]), [7, 7, 7, 7, 7, 7, 7, 7, 255, 0, 0, 0, 0, 0, 0, 0, 0, 247]);
    }

    #[test]
    fn what_is_not_encoded_is_told_apart() {
        for wrong in [&b""[..], b"abc", &[0; 8], &[1, 0, 0, 0, 0, 0, 0, 0, 247], &[0, 0, 0, 0, 0, 0, 0, 0, 200]] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }
}
