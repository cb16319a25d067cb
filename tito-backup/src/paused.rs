//! Queues and schedules: paused by a restore, resumed by whoever has looked at them.

use tito_core::database::Walk;
use tito_core::engine::{KeyValue, Signal};
use tito_core::event::{queue_name, topic_channel};
use tito_core::{Database, KeyText};

use crate::error::Result;
use crate::fill::Row;
use crate::keys;
use crate::object::Object;

/// The member that says that a restore has paused what it is in, beside `paused`: what was paused before stays so.
const BY_RESTORE: &str = "paused_by_restore";

/// The member that says when what is paused goes on by itself.
const UNTIL: &str = "paused_until";

/// A row of a topic or a schedule with all of it paused, one of an operation stopped, any other as it is.
pub(crate) fn paused(key: &[u8], value: Vec<u8>) -> Row {
    if keys::parse_operation(key).is_some() {
        return match stop_operation(&value) {
            Ok(stopped) => Row::AsItIs(stopped.unwrap_or(value)),
            Err(_) => Row::Unreadable(value),
        };
    }
    let changed = match () {
        () if keys::parse_topic(key).is_some() => pause_topic(&value).map(|(value, queues)| (value, queues, 0)),
        () if keys::parse_schedule(key).is_some() => pause_schedule(&value).map(|(value, count)| (value, 0, count)),
        () => return Row::AsItIs(value),
    };
    match changed {
        Ok((value, queues, schedules)) => Row::Paused { value, queues, schedules },
        Err(_) => Row::Unreadable(value),
    }
}

/// What was begun before the backup may be what it is restored from: nobody goes on with it unasked. `None` of one that
/// has ended.
fn stop_operation(value: &[u8]) -> serde_json::Result<Option<Vec<u8>>> {
    let mut operation = Object::read(value)?;
    let has_ended = !matches!(operation.get::<String>("state")?.as_deref(), Some("waiting" | "running"));
    if has_ended {
        return Ok(None);
    }
    operation.set("state", &"stopped")?;
    operation.set("failure", &"a restore has stopped it")?;
    let changed_at = operation.get::<i64>("changed_at")?.unwrap_or(0);
    operation.set("ended_at", &changed_at)?;
    operation.written().map(Some)
}

fn pause_topic(value: &[u8]) -> serde_json::Result<(Vec<u8>, u64)> {
    let mut topic = Object::read(value)?;
    let mut count = u64::from(pause(&mut topic)?);
    if let Some(mut groups) = topic.get::<Object>("groups")? {
        for name in groups.names().map(str::to_string).collect::<Vec<_>>() {
            if let Some(mut group) = groups.get::<Object>(&name)? {
                count += u64::from(pause(&mut group)?);
                groups.set(&name, &group)?;
            }
        }
        topic.set("groups", &groups)?;
    }
    raise_revision(&mut topic)?;
    Ok((topic.written()?, count))
}

fn pause_schedule(value: &[u8]) -> serde_json::Result<(Vec<u8>, u64)> {
    let mut schedule = Object::read(value)?;
    let count = u64::from(pause(&mut schedule)?);
    Ok((schedule.written()?, count))
}

/// Whether it was not paused before, or only for a time: it would go on by itself.
fn pause(object: &mut Object) -> serde_json::Result<bool> {
    let ends_itself = object.get::<i64>(UNTIL)?.is_some();
    object.remove(UNTIL);
    // What an earlier restore has paused is to be resumed as well.
    let was_paused = object.get("paused")?.unwrap_or(false) && !ends_itself;
    if !was_paused {
        object.set("paused", &true)?;
        object.set(BY_RESTORE, &true)?;
    }
    Ok(!was_paused)
}

/// Whether something was resumed.
fn unpause(object: &mut Object) -> serde_json::Result<bool> {
    if object.get(BY_RESTORE)? != Some(true) {
        return Ok(false);
    }
    object.remove(BY_RESTORE);
    object.remove("paused");
    Ok(true)
}

fn raise_revision(topic: &mut Object) -> serde_json::Result<()> {
    let revision = topic.get::<u64>("revision")?.unwrap_or(0);
    topic.set("revision", &revision.saturating_add(1))
}

/// What was resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Names of queues.
    pub queues: Vec<String>,
    /// Names of schedules.
    pub schedules: Vec<String>,
    /// Topics and schedules whose rows can't be read, and were left as they are.
    pub unreadable: Vec<KeyText>,
}

/// Resumes all queues and schedules of a restored database that the restore has paused. Anything paused before the
/// backup, or paused or resumed by hand since, stays as it is. Workers notice within a second or so. A schedule then
/// has missed the firings since the backup, and makes up for them by its policy.
///
/// A single queue can be resumed earlier by `TitoQueue::resume`, and a schedule likewise. Can be called again: after an
/// error the rest is resumed.
///
/// # Errors
/// Those of the engine.
pub async fn resume(database: &Database) -> Result<Resumed> {
    let mut resumed = Resumed::default();
    for range in [keys::topics(), keys::schedules()] {
        let mut walk = Walk::over(range);
        while let Some((page, _)) = walk.next(database).await? {
            for (key, _) in page {
                resume_row(database, key, &mut resumed).await?;
            }
        }
    }
    Ok(resumed)
}

async fn resume_row(database: &Database, key: Vec<u8>, resumed: &mut Resumed) -> Result<()> {
    let stored_at = key.clone();
    let changed = database.transaction(|tx| async move {
        let Some(value) = tx.get(&key).await? else { return Ok(Ok(Vec::new())) };
        let changed = match keys::parse_topic(&key) {
            Some(topic) => resume_topic(&topic, &value),
            None => resume_schedule(&(key.clone(), value)),
        };
        let Ok(changed) = changed else { return Ok(Err(())) };
        if let Some(value) = changed.value {
            tx.system_keys().put(key, value).await?;
            if let Some(channel) = changed.channel {
                tx.signal(Signal { channel: channel.into(), number: 0, payload: Vec::new() });
            }
        }
        Ok(Ok(changed.names))
    });
    let names: std::result::Result<Vec<String>, ()> = Box::pin(changed).await?;
    match names {
        Ok(names) if keys::parse_topic(&stored_at).is_some() => resumed.queues.extend(names),
        Ok(names) => resumed.schedules.extend(names),
        Err(()) => resumed.unreadable.push(KeyText::from(stored_at)),
    }
    Ok(())
}

/// What becomes of a row when it is resumed.
#[derive(Default)]
struct Change {
    /// `None` where nothing changes.
    value: Option<Vec<u8>>,
    names: Vec<String>,
    channel: Option<String>,
}

fn resume_topic(name: &str, value: &[u8]) -> serde_json::Result<Change> {
    let mut topic = Object::read(value)?;
    let mut names = Vec::new();
    if unpause(&mut topic)? {
        names.push(name.to_string());
    }
    if let Some(mut groups) = topic.get::<Object>("groups")? {
        for group_name in groups.names().map(str::to_string).collect::<Vec<_>>() {
            if let Some(mut group) = groups.get::<Object>(&group_name)?
                && unpause(&mut group)?
            {
                groups.set(&group_name, &group)?;
                names.push(queue_name(name, Some(&group_name)));
            }
        }
        topic.set("groups", &groups)?;
    }
    if names.is_empty() {
        return Ok(Change::default());
    }
    raise_revision(&mut topic)?;
    Ok(Change { value: Some(topic.written()?), names, channel: Some(topic_channel(name)) })
}

fn resume_schedule((key, value): &KeyValue) -> serde_json::Result<Change> {
    let mut schedule = Object::read(value)?;
    if !unpause(&mut schedule)? {
        return Ok(Change::default());
    }
    let names = keys::parse_schedule(key).into_iter().collect();
    Ok(Change { value: Some(schedule.written()?), names, channel: None })
}
