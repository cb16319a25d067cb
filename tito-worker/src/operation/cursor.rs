//! Keys as cursors: what a step goes on after, so nothing of one may be lost.

use serde_json::{Value, json};

/// A key: as text where it is one, which those of Tito's are. Others are stored byte by byte: a text in their place would be
/// another key, before which a step could begin again and again.
pub(super) fn of_key(key: &[u8]) -> Value {
    match std::str::from_utf8(key) {
        Ok(text) => Value::String(text.to_string()),
        Err(_) => json!({"bytes": key}),
    }
}

/// The key of a cursor; `None` for what is none.
pub(super) fn key_of(cursor: &Value) -> Option<Vec<u8>> {
    match cursor {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        cursor => {
            let bytes = cursor.get("bytes")?.as_array()?;
            bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back_from_its_cursor() {
        let all: Vec<u8> = (0..=255).collect();
        for key in [&b"dead:mail:0001:17"[..], b"", b"dead:mail:0001:\xff", &all] {
            assert_eq!(key_of(&of_key(key)).as_deref(), Some(key));
        }
        for cursor in [json!(7), json!({"bytes": [256]}), json!({"bytes": "ff"}), json!({}), json!(["a"])] {
            assert_eq!(key_of(&cursor), None, "{cursor}");
        }
    }
}
