//! The keys of each kind. One builder and, where Tito reads it back, one parser each.

use uuid::Uuid;
use uuid::fmt::Hyphenated;
use xxhash_rust::xxh3::xxh3_64;

use super::escape::{push_escaped, unescape};
use super::kind::Kind;
use super::range::KeyRange;

/// The latest second at which an event can fall due: the most that 10 digits hold, in the year 2286.
pub const MAX_EVENT_SECONDS: i64 = 9_999_999_999;

/// The most partitions that a topic can have: those whose numbers 4 digits hold, from 0 to 9,999.
pub const MAX_PARTITIONS: u16 = 10_000;

pub(super) const SEPARATOR: u8 = b':';

pub(super) fn key(kind: Kind, components: &[&[u8]]) -> Vec<u8> {
    let length = components.iter().map(|component| component.len() + 1).sum::<usize>();
    let mut key = Vec::with_capacity(kind.prefix().len() + length + 64);
    key.extend_from_slice(kind.prefix().as_bytes());
    for (number, component) in components.iter().enumerate() {
        if number > 0 {
            key.push(SEPARATOR);
        }
        push_escaped(&mut key, component);
    }
    key
}

pub(super) fn with_separator(mut key: Vec<u8>) -> Vec<u8> {
    key.push(SEPARATOR);
    key
}

pub(super) fn text(component: &[u8]) -> Option<String> {
    String::from_utf8(unescape(component)?).ok()
}

/// `!database`: which database this is, and how it is written. It lies before all other keys, apart from them.
pub fn database_identity() -> Vec<u8> {
    b"!database".to_vec()
}

/// `!filling`: that the database is being filled from elsewhere, and not whole until this is gone.
pub fn filling() -> Vec<u8> {
    b"!filling".to_vec()
}

/// `data:{table}:{id}`: a row.
pub fn row(table: &str, id: &str) -> Vec<u8> {
    key(Kind::Data, &[table.as_bytes(), id.as_bytes()])
}

/// All rows of a table.
pub fn rows(table: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Data, &[table.as_bytes()])))
}

/// The rows of a table whose ids begin with `text`.
pub fn rows_with_prefix(table: &str, text: &str) -> KeyRange {
    KeyRange::prefix(key(Kind::Data, &[table.as_bytes(), text.as_bytes()]))
}

/// The id in the key of a row.
pub fn parse_row_id(key: &[u8]) -> Option<String> {
    let rest = Kind::Data.strip(key)?;
    let at = rest.iter().position(|&byte| byte == SEPARATOR)?;
    text(&rest[at + 1..]).filter(|id| !id.is_empty())
}

/// Where an event lies: its queue, partition, the second it falls due and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPlace {
    /// The queue: the topic, or `topic@group`.
    pub queue: String,
    /// The partition of the queue.
    pub partition: u16,
    /// Unix seconds.
    pub seconds: i64,
    /// The event's id.
    pub id: Uuid,
}

/// What the keys of models begin with: those of rows, and of index entries.
pub fn of_models() -> [&'static [u8]; 2] {
    [Kind::Data, Kind::Index].map(|kind| kind.prefix().as_bytes())
}

/// `event:{queue}:{partition}:{timestamp}:{uuid}`: an event that has not been done.
pub fn event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    place(Kind::Event, queue, partition, seconds, id)
}

/// `dead:{queue}:{partition}:{timestamp}:{uuid}`: an event that failed for good.
pub fn dead_event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    place(Kind::Dead, queue, partition, seconds, id)
}

/// `done:{queue}:{partition}:{timestamp}:{uuid}`: an event that was done, at this second, where its topic keeps history.
pub fn done_event(queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    place(Kind::Done, queue, partition, seconds, id)
}

/// The events of a partition that were done from one second on and before another.
pub fn done_events_between(queue: &str, partition: u16, from: i64, until: i64) -> KeyRange {
    let [from, until] = [from, until].map(|seconds| place_of_second(Kind::Done, queue, partition, seconds));
    KeyRange::new(from, until)
}

/// All events of all queues that were done.
pub fn all_done_events() -> KeyRange {
    Kind::Done.all()
}

/// The events of one partition that were done.
pub fn done_events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(place_of_partition(Kind::Done, queue, partition))
}

/// All events of a queue that were done.
pub fn done_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Done, &[queue.as_bytes()])))
}

fn place(kind: Kind, queue: &str, partition: u16, seconds: i64, id: Uuid) -> Vec<u8> {
    let mut key = place_of_second(kind, queue, partition, seconds);
    let mut text = Uuid::encode_buffer();
    key.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
    key
}

fn place_of_second(kind: Kind, queue: &str, partition: u16, seconds: i64) -> Vec<u8> {
    let mut key = place_of_partition(kind, queue, partition);
    // Out of range only for a caller that did not check; clamped so that no key can leave its partition.
    push_digits(&mut key, seconds.clamp(0, MAX_EVENT_SECONDS) as u64, 10);
    with_separator(key)
}

fn place_of_partition(kind: Kind, queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(kind, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    with_separator(key)
}

fn push_partition(key: &mut Vec<u8>, partition: u16) {
    // Four digits: a larger number would become the key of another partition.
    assert!(
        partition < MAX_PARTITIONS,
        "a topic has at most {MAX_PARTITIONS} partitions, so none is number {partition}"
    );
    push_digits(key, u64::from(partition), 4);
}

pub(super) fn push_digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// All events of all queues, due or not.
pub fn events() -> KeyRange {
    KeyRange::prefix(with_separator(b"event".to_vec()))
}

/// All events of a partition, due or not.
pub fn events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(place_of_partition(Kind::Event, queue, partition))
}

/// All events of a queue, due or not.
pub fn events_of_queue(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Event, &[queue.as_bytes()])))
}

/// Where the events of one second begin.
pub fn events_from_second(queue: &str, partition: u16, seconds: i64) -> Vec<u8> {
    place_of_second(Kind::Event, queue, partition, seconds)
}

/// All dead events of a topic.
pub fn dead_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Dead, &[queue.as_bytes()])))
}

/// All dead events of all queues.
pub fn all_dead_events() -> KeyRange {
    Kind::Dead.all()
}

/// The dead events of one partition.
pub fn dead_events_of_partition(queue: &str, partition: u16) -> KeyRange {
    KeyRange::prefix(place_of_partition(Kind::Dead, queue, partition))
}

/// The parts of the key of an event, be it to be done, dead or done.
pub fn parse_event(key: &[u8]) -> Option<EventPlace> {
    let (queue, partition, seconds, id) = split_event(key)?;
    Some(EventPlace { queue: text(queue)?, partition, seconds, id })
}

/// The second and the id in the key of an event, without looking at its type.
pub fn parse_event_second_and_id(key: &[u8]) -> Option<(i64, Uuid)> {
    split_event(key).map(|(_, _, seconds, id)| (seconds, id))
}

/// The parts of the key of an event, its type as it is written. From the end, where all parts have their fixed lengths.
fn split_event(key: &[u8]) -> Option<(&[u8], u16, i64, Uuid)> {
    let (rest, id) = split_last(key, Hyphenated::LENGTH)?;
    let (rest, seconds) = split_last(rest, 10)?;
    let (rest, partition) = split_last(rest, 4)?;
    let queue = [Kind::Event, Kind::Dead, Kind::Done].iter().find_map(|kind| kind.strip(rest))?;
    let partition = digits(partition, 4)? as u16;
    (!queue.contains(&SEPARATOR)).then_some((queue, partition, digits(seconds, 10)? as i64, uuid(id)?))
}

/// The last component of a key, of a length that is known, and what comes before its separator.
fn split_last(key: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (rest, component) = key.split_at_checked(key.len().checked_sub(length)?)?;
    Some((rest.strip_suffix(&[SEPARATOR])?, component))
}

/// A UUID in the one form in which keys have it.
fn uuid(component: &[u8]) -> Option<Uuid> {
    let is_canonical = component.len() == Hyphenated::LENGTH && !component.iter().any(u8::is_ascii_uppercase);
    Uuid::try_parse_ascii(component).ok().filter(|_| is_canonical)
}

/// The second in the key of an event, without looking at the rest.
pub fn parse_event_second(key: &[u8]) -> Option<i64> {
    let mut components = key.split(|&byte| byte == SEPARATOR);
    digits(components.nth(3)?, 10).map(|seconds| seconds as i64)
}

/// The partition in the key of an event, without looking at the rest.
pub fn parse_event_partition(key: &[u8]) -> Option<u16> {
    let mut components = key.split(|&byte| byte == SEPARATOR);
    digits(components.nth(2)?, 4).map(|partition| partition as u16)
}

pub(super) fn digits(component: &[u8], width: usize) -> Option<u64> {
    if component.len() != width {
        return None;
    }
    component.iter().try_fold(0u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// `catalogue:{table}`: which indexes a table has.
pub fn catalogue(table: &str) -> Vec<u8> {
    key(Kind::Catalogue, &[table.as_bytes()])
}

/// `topic:{topic}`: what is stored of a topic.
pub fn topic(topic: &str) -> Vec<u8> {
    key(Kind::Topic, &[topic.as_bytes()])
}

/// All topics.
pub fn topics() -> KeyRange {
    Kind::Topic.all()
}

/// The event type in the key of a topic.
pub fn parse_topic(key: &[u8]) -> Option<String> {
    text(Kind::Topic.strip(key)?)
}

/// `lease:{queue}:{partition}`: who owns a partition.
pub fn lease(queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Lease, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    key
}

/// All leases of a queue.
pub fn leases(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Lease, &[queue.as_bytes()])))
}

/// The queue and the partition in the key of a lease.
pub fn parse_lease(key: &[u8]) -> Option<(String, u16)> {
    let mut components = Kind::Lease.strip(key)?.split(|&byte| byte == SEPARATOR);
    let queue = text(components.next()?)?;
    let partition = digits(components.next()?, 4)? as u16;
    components.next().is_none().then_some((queue, partition))
}

/// `member:{fleet}:{worker}`: a worker that is alive.
pub fn member(fleet: &str, worker: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Member, &[fleet.as_bytes()]));
    key.extend_from_slice(worker.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    key
}

/// `process:{worker}`: a worker that serves, or has died while it did.
pub fn process(worker: Uuid) -> Vec<u8> {
    let mut key = Kind::Process.prefix().as_bytes().to_vec();
    key.extend_from_slice(worker.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    key
}

/// All workers that serve, or have died while they did.
pub fn processes() -> KeyRange {
    Kind::Process.all()
}

/// The worker in the key of one that serves.
pub fn parse_process(key: &[u8]) -> Option<Uuid> {
    uuid(Kind::Process.strip(key)?)
}

/// All members of a fleet.
pub fn members(fleet: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Member, &[fleet.as_bytes()])))
}

/// The fleet and the worker in the key of a member.
pub fn parse_member(key: &[u8]) -> Option<(String, Uuid)> {
    let mut components = Kind::Member.strip(key)?.split(|&byte| byte == SEPARATOR);
    let fleet = text(components.next()?)?;
    let worker = uuid(components.next()?)?;
    components.next().is_none().then_some((fleet, worker))
}

/// `dedup:{topic}:{key}`: the latest event with a key of its own.
pub fn unique_event(topic: &str, unique_key: &str) -> Vec<u8> {
    key(Kind::Dedup, &[topic.as_bytes(), unique_key.as_bytes()])
}

/// All unique events of all types.
pub fn all_unique_events() -> KeyRange {
    Kind::Dedup.all()
}

/// All unique events of a type.
pub fn unique_events(topic: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Dedup, &[topic.as_bytes()])))
}

/// `checkpoint:{queue}:{partition}`: the low watermark of a partition, where its scans begin.
pub fn low_watermark(queue: &str, partition: u16) -> Vec<u8> {
    let mut key = with_separator(key(Kind::LowWatermark, &[queue.as_bytes()]));
    push_partition(&mut key, partition);
    key
}

/// `schedule:{name}`: a periodic schedule.
pub fn schedule(name: &str) -> Vec<u8> {
    key(Kind::Schedule, &[name.as_bytes()])
}

/// All periodic schedules.
pub fn schedules() -> KeyRange {
    Kind::Schedule.all()
}

/// The name in the key of a periodic schedule.
pub fn parse_schedule(key: &[u8]) -> Option<String> {
    text(Kind::Schedule.strip(key)?).filter(|name| !name.is_empty())
}

/// All checkpoints of a queue.
pub fn low_watermarks(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::LowWatermark, &[queue.as_bytes()])))
}

/// `copied:{queue}:{uuid}`: that an earlier event was copied into a group, while its others are being copied.
pub fn copied_event(queue: &str, id: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Copied, &[queue.as_bytes()]));
    key.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    key
}

/// All marks of copied events of a queue.
pub fn copied_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Copied, &[queue.as_bytes()])))
}

/// `!moved:{queue}:{uuid}`: where an event lies that was moved.
pub fn moved_event(queue: &str, id: Uuid) -> Vec<u8> {
    let mut key = with_separator(key(Kind::Moved, &[queue.as_bytes()]));
    key.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    key
}

/// All notes of moved events of a queue.
pub fn moved_events(queue: &str) -> KeyRange {
    KeyRange::prefix(with_separator(key(Kind::Moved, &[queue.as_bytes()])))
}

/// The id in the key of a note of a moved event.
pub fn parse_moved_event_id(key: &[u8]) -> Option<Uuid> {
    uuid(key.rsplit(|&byte| byte == SEPARATOR).next().filter(|_| Kind::Moved.strip(key).is_some())?)
}

/// `txn:{key}`: the marker of a transaction with an idempotency key.
pub fn idempotency_marker(idempotency_key: &str) -> Vec<u8> {
    key(Kind::Transaction, &[idempotency_key.as_bytes()])
}

/// All idempotency markers.
pub fn idempotency_markers() -> KeyRange {
    Kind::Transaction.all()
}

/// The partition of an entity: `xxh3_64(entity) % partitions`.
///
/// # Panics
/// If there is no partition.
pub fn partition_of(entity: &str, partitions: u16) -> u16 {
    assert!(partitions > 0, "a topic has a partition at least, which is checked wherever one is made or read");
    (xxh3_64(entity.as_bytes()) % u64::from(partitions)) as u16
}
