//! Event ids carry the order of events.

use uuid::Uuid;

use crate::timestamp::Timestamp;

/// The most events that one transaction can write: as many as the id has room to number.
pub(super) const MAX_EVENTS_OF_A_TRANSACTION: u32 = 1 << 20;

/// The id of event `number` of the transaction that began at `start`: a UUIDv7 (RFC 9562, section 5.7) whose bits are,
/// from the left, the physical milliseconds of `start` (48), the version (4), the upper 12 bits of its logical part,
/// the variant (2), the lower 6 bits of the logical part, the event's number (20) and random bits (36).
///
/// Transactions on one entity conflict, so the later one starts after the earlier one's commit: the ids of one entity's
/// events ascend in causal order.
pub fn event_id(start: Timestamp, number: u32, random: u64) -> Uuid {
    let logical = u128::from(start.logical());
    let number = u128::from(number % MAX_EVENTS_OF_A_TRANSACTION);
    let random = u128::from(random & ((1 << 36) - 1));
    Uuid::from_u128(
        (u128::from(start.physical_millis()) << 80)
            | (0x7 << 76)
            | ((logical >> 6) << 64)
            | (0b10 << 62)
            | ((logical & 0x3f) << 56)
            | (number << 36)
            | random,
    )
}

/// The start timestamp of the transaction that wrote the event with this id; that of its beginnings for ids which
/// [`event_id`] did not make.
pub fn started_at(id: Uuid) -> Timestamp {
    let bits = id.as_u128();
    let logical = ((bits >> 64) & 0xfff) << 6 | (bits >> 56) & 0x3f;
    Timestamp::from_raw(Timestamp::from_millis((bits >> 80) as u64).raw() | logical as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_v7_that_sorts_by_start_then_number() {
        let start = Timestamp::from_raw((1_700_000_000_123 << 18) | 0x2_abcd);
        let id = event_id(start, 5, u64::MAX);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.to_string(), "018bcfe5-687b-7aaf-8d00-005fffffffff");

        assert_eq!(started_at(id), start);

        let ascending = [
            event_id(start, 0, u64::MAX),
            event_id(start, 1, 0),
            event_id(start, MAX_EVENTS_OF_A_TRANSACTION - 1, 7),
            event_id(start.next(), 0, 0),
            event_id(Timestamp::from_raw(start.raw() + 64), 0, 0),
            event_id(Timestamp::from_millis(1_700_000_000_124), 0, 0),
        ];
        assert!(ascending.is_sorted());
    }
}
