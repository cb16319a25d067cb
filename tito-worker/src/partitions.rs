//! Which partitions a worker serves.

use serde::{Deserialize, Deserializer, Serialize};

/// A worker's share of the partitions of its topics: every partition `p` with `p % total == mine`.
///
/// With as many shares as a topic has partitions, each worker owns exactly one. Adding workers moves no data. Two workers
/// with the same share repeat each other's work, but neither loses an event nor commits an effect twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionConfig {
    #[serde(deserialize_with = "at_least_one")]
    total: u16,
    mine: u16,
}

impl PartitionConfig {
    /// Share `mine`, counted from 0, of `total` shares. A total of 0 counts as 1.
    ///
    /// ```
    /// use tito_worker::PartitionConfig;
    /// let second_of_four = PartitionConfig::new(4, 1);
    /// assert_eq!(second_of_four.of(10).collect::<Vec<_>>(), [1, 5, 9]);
    /// assert_eq!(second_of_four.total_partitions(), 4);
    /// assert_eq!(PartitionConfig::all().of(3).count(), 3);
    /// ```
    pub const fn new(total: u16, mine: u16) -> Self {
        Self { total: if total == 0 { 1 } else { total }, mine }
    }

    /// How many shares there are, from 1.
    pub const fn total_partitions(self) -> u16 {
        self.total
    }

    /// All partitions.
    pub const fn all() -> Self {
        Self::new(1, 0)
    }

    /// Whether a partition is of this share.
    pub(crate) const fn has(self, partition: u16) -> bool {
        partition % self.total == self.mine
    }

    /// The partitions of this share of a topic with `partitions` partitions; none if `mine` is not below `total`.
    pub fn of(self, partitions: u16) -> impl Iterator<Item = u16> {
        (0..partitions).filter(move |partition| self.has(*partition))
    }
}

impl Default for PartitionConfig {
    fn default() -> Self {
        Self::all()
    }
}

/// No share of no shares: dividing by their number has to go well.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    u16::deserialize(deserializer).map(|total| total.max(1))
}
