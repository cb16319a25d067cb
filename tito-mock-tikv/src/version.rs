//! The TiKV versions whose rules the cluster can follow.

/// A version of TiKV. The rules of transactions differ between versions in a few places, which the crate's
/// documentation lists; each version here also stands for those up to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TikvVersion {
    /// 7.5.
    V7_5,
    /// 8.0 to 8.5: every primary's rollback is protected, and transactions can be flushed piece by piece.
    V8_5,
    /// 9.0, as its sources were in August 2026.
    #[default]
    V9_0,
}

impl TikvVersion {
    /// All of them, oldest first.
    pub const ALL: [TikvVersion; 3] = [TikvVersion::V7_5, TikvVersion::V8_5, TikvVersion::V9_0];

    /// The version number that servers report.
    pub(crate) fn number(self) -> &'static str {
        match self {
            TikvVersion::V7_5 => "7.5.0",
            TikvVersion::V8_5 => "8.5.0",
            TikvVersion::V9_0 => "9.0.0",
        }
    }
}
