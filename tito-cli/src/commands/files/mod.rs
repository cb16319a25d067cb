//! Backups and what is made of them: files on this machine, and databases that this process opens itself.

mod backup;
mod copy;
mod part;
mod restore;
mod verify;

use std::path::Path;

use tokio::io::AsyncRead;

pub(crate) use backup::Backup;
pub(crate) use copy::Copy;
pub(crate) use restore::Restore;
pub(crate) use verify::Verify;

use crate::failure::{Failure, Result};

/// Standard input or output.
const STANDARD: &str = "-";

/// A backup to be read, and how large it is, where that is known.
pub(crate) async fn input(path: &Path) -> Result<(Box<dyn AsyncRead + Unpin + Send>, Option<u64>)> {
    if path == Path::new(STANDARD) {
        return Ok((Box::new(tokio::io::stdin()), None));
    }
    let failed = |error| Failure::io(format!("{} can't be read", path.display()), error);
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    Ok((Box::new(tokio::io::BufReader::with_capacity(1 << 20, file)), Some(length)))
}

/// Reads `20MiB`, `1g`, `512k`: bytes a second.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let expected = || format!("expected a number of bytes, as in 20MiB or 500k, found {text:?}");
    let number: u64 = text[..end].parse().map_err(|_| expected())?;
    let unit = text[end..].to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(expected()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too much"))
}

/// A number of bytes for people.
pub(crate) fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn bytes_are_read() {
        for (text, bytes) in [("5", 5), ("512k", 512 << 10), ("20MiB", 20 << 20), ("1gb", 1 << 30)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "m", "-1", "1 m", "1x", "99999999999g"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
