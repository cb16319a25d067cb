//! The keys of event stores. Everything of one store lies in one range, `log:{store}:`, where `{store}` is the number
//! that the store got when it was created, so that a store that is deleted and created again begins empty.

use tito_core::keys::KeyRange;
use tito_core::keys::build::{Kind, SEPARATOR, digits, key, push_digits, push_escaped, text, with_separator};

/// The last sequence that an event of a store can have: the most that 16 digits hold.
pub const MAX_SEQUENCE: u64 = 9_999_999_999_999_999;

const SEQUENCE_DIGITS: usize = 16;

/// What a number of 64 bits has at most.
const MOST_DIGITS: usize = 20;

/// What a version of 32 bits has at most.
const VERSION_DIGITS: usize = 10;

/// `store:{name}`: the definition of an event store.
pub fn event_store(name: &str) -> Vec<u8> {
    key(Kind::Store, &[name.as_bytes()])
}

/// The definitions of all event stores.
pub fn event_stores() -> KeyRange {
    Kind::Store.all()
}

/// The name in the key of an event store's definition.
pub fn parse_event_store(key: &[u8]) -> Option<String> {
    text(Kind::Store.strip(key)?).filter(|name| !name.is_empty())
}

/// Everything that belongs to a store but its definition.
pub fn log(store: u64) -> KeyRange {
    KeyRange::prefix(with_separator(log_of(store)))
}

/// `log:{store}:head`: the last sequence of a store. Every append writes it.
pub fn log_head(store: u64) -> Vec<u8> {
    part(store, "head", &[])
}

/// `log:{store}:tail`: the first sequence that a store still has.
pub fn log_tail(store: u64) -> Vec<u8> {
    part(store, "tail", &[])
}

/// `log:{store}:event:{sequence}`: an event of a store.
pub fn log_event(store: u64, sequence: u64) -> Vec<u8> {
    with_sequence(part(store, "event", &[]), sequence)
}

/// The events of a store after one sequence and up to another.
pub fn log_events_between(store: u64, after: u64, up_to: u64) -> KeyRange {
    between(part(store, "event", &[]), after, up_to)
}

/// `log:{store}:entity:{type}:{id}:{sequence}`: the same event, among those of its entity.
pub fn log_entity_event(store: u64, entity_type: &str, id: &str, sequence: u64) -> Vec<u8> {
    with_sequence(part(store, "entity", &[entity_type, id]), sequence)
}

/// The events of one entity after one sequence and up to another.
pub fn log_entity_events_between(store: u64, entity_type: &str, id: &str, after: u64, up_to: u64) -> KeyRange {
    between(part(store, "entity", &[entity_type, id]), after, up_to)
}

/// All events of the entities of a type, or of one of them, among those of their entity.
pub fn log_entity_events(store: u64, entity_type: &str, id: Option<&str>) -> KeyRange {
    KeyRange::prefix(with_separator(part(store, "entity", &of_entity(entity_type, id))))
}

fn of_entity<'a>(entity_type: &'a str, id: Option<&'a str>) -> Vec<&'a str> {
    std::iter::once(entity_type).chain(id).collect()
}

/// The sequence at the end of the key of an event of a store.
pub fn parse_log_sequence(key: &[u8]) -> Option<u64> {
    let at = key.iter().rposition(|&byte| byte == SEPARATOR)?;
    digits(&key[at + 1..], SEQUENCE_DIGITS)
}

/// The sequence in the key of an event of a store, and in that of one among those of its entity the entity's type and id.
pub fn parse_log_event(key: &[u8]) -> Option<(u64, Option<(String, String)>)> {
    let mut parts = key.split(|&byte| byte == SEPARATOR);
    if parts.next()? != b"log" {
        return None;
    }
    let (_store, kind) = (parts.next()?, parts.next()?);
    let entity = match kind {
        b"event" => None,
        b"entity" => Some((text(parts.next()?)?, text(parts.next()?)?)),
        _ => return None,
    };
    let sequence = digits(parts.next()?, SEQUENCE_DIGITS)?;
    parts.next().is_none().then_some((sequence, entity))
}

/// `log:{store}:last:{type}:{id}`: the last sequences of an entity.
pub fn log_last_of_entity(store: u64, entity_type: &str, id: &str) -> Vec<u8> {
    part(store, "last", &[entity_type, id])
}

/// `log:{store}:type:{type}`: the last sequences of all entities of a type.
pub fn log_last_of_type(store: u64, entity_type: &str) -> Vec<u8> {
    part(store, "type", &[entity_type])
}

/// The last sequences of all types of entities.
pub fn log_last_of_types(store: u64) -> KeyRange {
    KeyRange::prefix(with_separator(part(store, "type", &[])))
}

/// The type in the key of its last sequences.
pub fn parse_log_type(key: &[u8]) -> Option<String> {
    let at = key.iter().rposition(|&byte| byte == SEPARATOR)?;
    text(&key[at + 1..])
}

/// What is known of the last sequences of the entities of a type, of what there is and of what was dropped.
pub fn log_lasts_of_entities(store: u64, entity_type: &str) -> [KeyRange; 2] {
    ["last", "gone"].map(|kind| KeyRange::prefix(with_separator(part(store, kind, &[entity_type]))))
}

/// `log:{store}:id:{id}`: the sequence of the event with this id.
pub fn log_id(store: u64, id: &str) -> Vec<u8> {
    part(store, "id", &[id])
}

/// `log:{store}:command:{id}`: what the command with this id came to.
pub fn log_command(store: u64, id: &str) -> Vec<u8> {
    part(store, "command", &[id])
}

/// `log:{store}:gone:{type}`: the last sequences of a type that were dropped.
pub fn log_gone_of_type(store: u64, entity_type: &str) -> Vec<u8> {
    part(store, "gone", &[entity_type])
}

/// `log:{store}:gone:{type}:{id}`: the last sequences of an entity that were dropped.
pub fn log_gone_of_entity(store: u64, entity_type: &str, id: &str) -> Vec<u8> {
    part(store, "gone", &[entity_type, id])
}

/// `log:{store}:snapshot:{model}:{filters}`: the state of a model, folded from what the filters select, as programs
/// wrote it that kept one version only.
pub fn log_snapshot(store: u64, model: &str, filters: &str) -> Vec<u8> {
    part(store, "snapshot", &[model, filters])
}

/// `log:{store}:snapshot:{model}:{filters}:{version}`: the same in one version of the model.
pub fn log_snapshot_version(store: u64, model: &str, filters: &str, version: u32) -> Vec<u8> {
    let mut key = with_separator(log_snapshot(store, model, filters));
    push_digits(&mut key, u64::from(version), VERSION_DIGITS);
    key
}

/// The snapshots of a model in all versions, the lowest first.
pub fn log_snapshot_versions(store: u64, model: &str, filters: &str) -> KeyRange {
    KeyRange::prefix(with_separator(log_snapshot(store, model, filters)))
}

/// All snapshots of a store.
pub fn log_snapshots(store: u64) -> KeyRange {
    KeyRange::prefix(with_separator(part(store, "snapshot", &[])))
}

/// The model and the filters in the key of a snapshot, with a version in it or not.
pub fn parse_log_snapshot(key: &[u8]) -> Option<(String, String)> {
    let mut parts = Kind::Log.strip(key)?.split(|&byte| byte == SEPARATOR).skip(1);
    if parts.next()? != b"snapshot" {
        return None;
    }
    Some((text(parts.next()?)?, text(parts.next()?)?))
}

/// The version at the end of the key of a snapshot.
pub fn parse_log_snapshot_version(key: &[u8]) -> Option<u32> {
    let at = key.iter().rposition(|&byte| byte == SEPARATOR)?;
    digits(&key[at + 1..], VERSION_DIGITS).and_then(|version| u32::try_from(version).ok())
}

/// `log:{store}:projection:{name}`: which generations a projection has, and which of them serves.
pub fn log_projection(store: u64, name: &str) -> Vec<u8> {
    part(store, "projection", &[name])
}

/// The projections of a store.
pub fn log_projections(store: u64) -> KeyRange {
    KeyRange::prefix(with_separator(part(store, "projection", &[])))
}

/// `log:{store}:view:{projection}:{generation}:`: what stands before the keys of the rows and index entries that a
/// generation of a projection has written.
pub fn log_view(store: u64, projection: &str, generation: u64) -> Vec<u8> {
    with_separator(with_sequence(part(store, "view", &[projection]), generation))
}

/// `log:{store}:view:{projection}:{generation}:checkpoint`: how far a generation of a projection is.
pub fn log_view_checkpoint(store: u64, projection: &str, generation: u64) -> Vec<u8> {
    let mut key = log_view(store, projection, generation);
    key.extend_from_slice(b"checkpoint");
    key
}

/// `log:{store}:reactor:{name}`: how far a reactor is.
pub fn log_reactor(store: u64, name: &str) -> Vec<u8> {
    part(store, "reactor", &[name])
}

/// The reactors of a store.
pub fn log_reactors(store: u64) -> KeyRange {
    KeyRange::prefix(with_separator(part(store, "reactor", &[])))
}

/// The name in the key of a reactor.
pub fn parse_log_reactor(key: &[u8]) -> Option<String> {
    let at = key.iter().rposition(|&byte| byte == SEPARATOR)?;
    text(&key[at + 1..])
}

/// `dropped:{store}`: that a store was deleted, until the last of its keys is.
pub fn dropped_log(store: u64) -> Vec<u8> {
    let mut key = Kind::Dropped.prefix().as_bytes().to_vec();
    push_store(&mut key, store);
    key
}

/// All stores that were deleted and have keys left.
pub fn dropped_logs() -> KeyRange {
    Kind::Dropped.all()
}

/// The store in the key that says that it was deleted.
pub fn parse_dropped_log(key: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(Kind::Dropped.strip(key)?).ok()?;
    // `from_str_radix` alone would take signs and upper case.
    let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| u64::from_str_radix(text, 16).ok())?
}

fn log_of(store: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(96);
    key.extend_from_slice(Kind::Log.prefix().as_bytes());
    push_store(&mut key, store);
    key
}

fn push_store(key: &mut Vec<u8>, store: u64) {
    key.extend((0..16).rev().map(|digit| b"0123456789abcdef"[(store >> (4 * digit)) as usize & 15]));
}

fn part(store: u64, kind: &str, components: &[&str]) -> Vec<u8> {
    let mut key = log_of(store);
    key.push(SEPARATOR);
    key.extend_from_slice(kind.as_bytes());
    for component in components {
        key.push(SEPARATOR);
        push_escaped(&mut key, component.as_bytes());
    }
    key
}

fn with_sequence(key: Vec<u8>, sequence: u64) -> Vec<u8> {
    let mut key = with_separator(key);
    // What a damaged row says may have more digits than any sequence. All of them: that is the key of no event.
    let width = if sequence <= MAX_SEQUENCE { SEQUENCE_DIGITS } else { MOST_DIGITS };
    push_digits(&mut key, sequence, width);
    key
}

fn between(prefix: Vec<u8>, after: u64, up_to: u64) -> KeyRange {
    if after >= MAX_SEQUENCE {
        return KeyRange::new(prefix.clone(), prefix);
    }
    let start = with_sequence(prefix.clone(), after + 1);
    // A reader may ask for all there will ever be.
    let mut end = with_sequence(prefix, up_to.min(MAX_SEQUENCE));
    // Past the last sequence itself, before everything that is longer or larger.
    end.push(0);
    KeyRange::new(start, end)
}
