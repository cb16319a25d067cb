//! Why a command failed, and the exit code that says so to programs.

use std::error::Error;
use std::fmt;
use std::io;

use tito_backup::BackupError;
use tito_core::TitoError;

/// What a command comes to.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What kind of failure it is. Each kind has an exit code of its own; `docs/guide/command-line.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It failed, for none of the reasons below.
    Failed,
    /// The command line can't be understood, or its parts don't go together. Clap exits with the same.
    Usage,
    /// There is no such thing: an event, a topic, a database.
    NotFound,
    /// No token, a wrong one, or one that may not do this.
    Refused,
    /// Nobody answers, or somebody else has the database. The same command can succeed later.
    Unavailable,
    /// Whether a change was made is not known: no answer came, or only the beginning of one.
    Unknown,
    /// What was looked at is not as it should be: a verification found differences, a backup is damaged.
    Unsound,
    /// Nobody confirmed what destroys.
    Unconfirmed,
    /// Ctrl-C, or the signal to end.
    Interrupted,
    /// Who read the output has gone. Nothing is said.
    PipeClosed,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Unavailable => 5,
            Self::Unsound => 6,
            Self::Unconfirmed => 7,
            Self::Unknown => 8,
            Self::Interrupted => 130,
            Self::PipeClosed => 0,
        }
    }

    /// The name in the error of `--json`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Unsound => "unsound",
            Self::Unconfirmed => "unconfirmed",
            Self::Unknown => "outcome_unknown",
            Self::Interrupted => "interrupted",
            Self::PipeClosed => "pipe_closed",
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Of an input or output that has nothing to do with the database.
    pub(crate) fn io(doing: impl fmt::Display, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            io::ErrorKind::PermissionDenied => Kind::Refused,
            _ => Kind::Failed,
        };
        Self::new(kind, doing.to_string()).because(error)
    }

    /// Of writing to standard output: whoever has gone has read enough.
    pub(crate) fn output(error: io::Error) -> Self {
        let kind = if error.kind() == io::ErrorKind::BrokenPipe { Kind::PipeClosed } else { Kind::Failed };
        Self::new(kind, "the output can't be written").because(error)
    }
}

impl fmt::Display for Failure {
    /// With all that caused it: an operator sees nothing else.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut said = self.message.clone();
        let mut source = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = source {
            let text = error.to_string();
            // Some errors tell their cause themselves.
            if !said.contains(&text) {
                if !said.is_empty() {
                    f.write_str(": ")?;
                }
                f.write_str(&text)?;
            }
            said = text;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<TitoError> for Failure {
    fn from(error: TitoError) -> Self {
        let kind = match &error {
            TitoError::NoDatabase { .. } => Kind::NotFound,
            TitoError::InvalidUrl { .. } => Kind::Usage,
            TitoError::InvalidDatabase { .. } | TitoError::Malformed { .. } | TitoError::DamagedRows { .. } => {
                Kind::Unsound
            }
            TitoError::DatabaseInUse { .. } => Kind::Unavailable,
            error if error.is_transient() => Kind::Unavailable,
            _ => Kind::Failed,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Database(error) => error.into(),
            BackupError::Damaged { .. } => Self::new(Kind::Unsound, error.to_string()),
            error => Self::new(Kind::Failed, error.to_string()).because(error),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_failure_tells_its_causes_once() {
        let failure = Failure::io("reading the token", io::Error::new(io::ErrorKind::NotFound, "no such file"));
        assert_eq!(failure.to_string(), "reading the token: no such file");
        assert_eq!(failure.kind, Kind::NotFound);
        let failure = Failure::from(TitoError::NoDatabase { reason: "data: empty".to_string() });
        assert_eq!(failure.to_string(), "there is no database here: data: empty");
        assert_eq!(failure.kind.exit_code(), 3);
    }
}
