//! Lets a test make an operation on a file fail. Does nothing outside this crate's tests.

/// What is done to a file or to the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::embedded) enum Operation {
    Create,
    Open,
    Read,
    Write,
    /// Writing zeros behind the end.
    Grow,
    /// Changing a file's length.
    Resize,
    Sync,
    Remove,
    Link,
    SyncDirectory,
}

#[cfg(not(test))]
#[derive(Clone, Debug, Default)]
pub(in crate::embedded) struct Faults {}

#[cfg(not(test))]
impl Faults {
    #[inline]
    pub(super) fn check(&self, _: Operation, _: &str) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(in crate::embedded) use self::injected::Faults;

#[cfg(test)]
mod injected {
    use std::fmt;
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::Operation;

    type Rule = Box<dyn FnMut(Operation, &str) -> io::Result<()> + Send>;

    /// A rule that sees every operation before it happens, and can fail it. Clones share it.
    #[derive(Clone, Default)]
    pub(in crate::embedded) struct Faults(Arc<Mutex<Option<Rule>>>);

    impl Faults {
        pub(in crate::embedded::storage) fn check(&self, operation: Operation, file: &str) -> io::Result<()> {
            let mut rule = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            rule.as_mut().map_or(Ok(()), |rule| rule(operation, file))
        }

        pub(in crate::embedded) fn set(&self, rule: impl FnMut(Operation, &str) -> io::Result<()> + Send + 'static) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(rule));
        }

        pub(in crate::embedded) fn clear(&self) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    impl fmt::Debug for Faults {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Faults")
        }
    }
}
