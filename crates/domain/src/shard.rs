//! Shards: a store spreads its orders over them. All data of one order lies in one shard.

use std::fmt;
use std::num::NonZero;

use crate::OrderId;

/// The number of a shard, from 0.
pub type Shard = u16;

/// The number of shards of a store, fixed when the store is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardCount(NonZero<Shard>);

impl ShardCount {
    /// The maximum number of shards of a store.
    pub const MAX: Shard = 1_024;

    /// A count from 1 to [`ShardCount::MAX`]; `None` for any other number.
    #[must_use]
    pub const fn new(count: Shard) -> Option<ShardCount> {
        match NonZero::new(count) {
            Some(count) if count.get() <= ShardCount::MAX => Some(ShardCount(count)),
            _ => None,
        }
    }

    /// The count as a number, at least 1.
    #[must_use]
    pub const fn get(self) -> Shard {
        self.0.get()
    }

    /// The shard of an order: CRC-32 of its id, modulo the count. Part of every store's layout.
    #[must_use]
    pub fn of(self, id: &OrderId) -> Shard {
        // The remainder is smaller than the count, so it fits.
        (crc32fast::hash(id.as_str().as_bytes()) % u32::from(self.get())) as Shard
    }

    /// Every shard, in numerical order.
    pub fn all(self) -> impl DoubleEndedIterator<Item = Shard> + ExactSizeIterator {
        0..self.get()
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_an_order_never_changes() {
        let count = ShardCount::new(64).unwrap();
        let shards: Vec<Shard> =
            ["A-1", "A-2", "주문-7"].iter().map(|id| count.of(&id.parse().unwrap())).collect();
        // Existing stores have these orders in these shards.
        assert_eq!(shards, [48, 10, 1]);
    }

    #[test]
    fn zero_shards_and_too_many_shards_are_refused() {
        assert_eq!(ShardCount::new(0), None);
        assert_eq!(ShardCount::new(ShardCount::MAX + 1), None);
        assert_eq!(ShardCount::new(1).unwrap().all().collect::<Vec<_>>(), [0]);
    }
}
