//! Where JSON is written of which it is not known yet how long it gets.

use std::cell::Cell;

/// What is kept from one value to the next, in bytes.
const MOST_KEPT: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What `write` writes, with no more memory than it takes: rows stay in memory for a while.
pub(super) fn written<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Vec<u8>, E> {
    // Where `write` comes back here, it finds none, and that of the outermost is kept. A thread that ends has none either.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.clear();
    write(&mut scratch)?;
    if scratch.capacity() > MOST_KEPT {
        scratch.shrink_to_fit();
        return Ok(scratch);
    }
    let bytes = scratch.as_slice().to_vec();
    let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn put(bytes: &[u8]) -> Vec<u8> {
        written(|out| {
            out.extend_from_slice(bytes);
            Ok::<_, ()>(())
        })
        .unwrap()
    }

    #[test]
    fn every_value_is_what_was_written_of_it() {
        for bytes in [vec![1; 10], vec![2; 3], Vec::new(), vec![3; MOST_KEPT + 1], vec![4; 5]] {
            let found = put(&bytes);
            assert_eq!((found.capacity(), found), (bytes.len(), bytes));
        }
    }

    #[test]
    fn one_that_is_written_within_another_or_fails_is_in_no_ones_way() {
        let outer = written(|out| {
            out.extend_from_slice(b"outer ");
            out.extend_from_slice(&put(b"inner"));
            Ok::<_, ()>(())
        });
        assert_eq!(outer.unwrap(), b"outer inner");
        let failed = written(|out| {
            out.extend_from_slice(b"half");
            Err(())
        });
        assert_eq!((failed, put(b"whole")), (Err(()), b"whole".to_vec()));
    }
}
