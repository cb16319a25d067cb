//! The keys of all crates that a backup, a verification or a copy looks at. `docs/format.md` specifies them.

pub(crate) use tito_core::keys::{
    event, filling, parse_event, parse_index_entry, parse_index_of, parse_row_id, parse_topic, partition_of,
    reserved_prefix, row, topics, unescape,
};
pub(crate) use tito_eventstore::keys::{
    dropped_logs, event_store, event_stores, log_entity_event, log_event, log_head, log_id, log_tail,
    parse_dropped_log, parse_event_store, parse_log_event,
};
pub(crate) use tito_worker::keys::{
    moved_event, parse_lease, parse_member, parse_moved_event_id, parse_operation, parse_process, parse_schedule,
    schedules,
};
