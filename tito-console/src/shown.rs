//! What there is, as it goes over the wire.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use tito_core::KeyText;
use tito_core::event::{EventReference, TitoEvent, queue_name, topic_of};

use crate::api;
use crate::redact::{Part, Redact, Redacted};

/// Makes what is shown of what is stored, redacted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a>(&'a Redact);

impl<'a> Shown<'a> {
    pub(crate) fn by(redact: &'a Redact) -> Self {
        Self(redact)
    }

    fn raw(self, topic: &str, part: Part, value: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
        self.0.raw(&Redacted { of: topic, event_type: topic, part }, value)
    }

    fn text(self, topic: &str, part: Part, text: String) -> String {
        self.0.text(&Redacted { of: topic, event_type: topic, part }, text)
    }

    pub(crate) fn bytes(self, queue: &str, bytes: &[u8]) -> String {
        self.text(topic_of(queue).0, Part::Bytes, String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn event(self, event: TitoEvent) -> api::Event {
        let topic = event.event_type;
        let header = |(name, value)| (name, self.text(&topic, Part::Header, value));
        let headers = event.headers.into_iter().map(header).collect::<BTreeMap<_, _>>();
        let failures = event.failures.into_iter().map(|failure| api::FailedAttempt {
            attempt: failure.attempt,
            timestamp: failure.timestamp,
            error: self.text(&topic, Part::Error, failure.error),
        });
        let steps = event.steps.into_iter().map(|step| api::Step {
            attempt: step.attempt,
            timestamp: step.timestamp,
            payload: self.raw(&topic, Part::Payload, step.payload),
        });
        api::Event {
            id: event.id,
            entity: event.entity,
            owner: event.owner,
            action: event.action,
            timestamp: event.timestamp,
            not_before: event.not_before,
            failed_attempts: event.failed_attempts,
            headers,
            payload: self.raw(&topic, Part::Payload, event.payload),
            failures: failures.collect(),
            progress: self.raw(&topic, Part::Progress, event.progress),
            steps: steps.collect(),
            deaths: event.deaths,
            event_type: topic,
        }
    }

    pub(crate) fn pending(self, queue: &str, pending: tito_worker::PendingEvent) -> api::PendingEvent {
        api::PendingEvent {
            key: key(&pending.key),
            state: state(pending.state),
            due: pending.due.timestamp(),
            event: pending.event.map(|event| self.event(event)),
            bytes: pending.bytes.map(|bytes| self.bytes(queue, &bytes)),
        }
    }

    pub(crate) fn done(self, queue: &str, done: tito_worker::DoneEvent) -> api::DoneEvent {
        api::DoneEvent {
            key: key(&done.key),
            done_at: done.done_at.timestamp(),
            event: done.event.map(|event| self.event(event)),
            bytes: done.bytes.map(|bytes| self.bytes(queue, &bytes)),
        }
    }

    pub(crate) fn found(self, found: tito_worker::FoundEvent) -> api::FoundEvent {
        let (found_in, waits) = match found.found_in {
            tito_worker::FoundIn::Pending(waits) => (api::FoundIn::Pending, Some(state(waits))),
            tito_worker::FoundIn::Dead => (api::FoundIn::Dead, None),
            tito_worker::FoundIn::Done => (api::FoundIn::Done, None),
        };
        let (key, event) = (key(&found.key), found.event.map(|event| self.event(event)));
        api::FoundEvent { queue: found.queue, found_in, state: waits, key, event }
    }

    pub(crate) fn dead(self, queue: &str, letter: tito_worker::DeadLetter) -> api::DeadLetter {
        let given_up_at = letter.given_up_at().map(|time| time.timestamp());
        let bytes = letter.event.is_none().then(|| self.bytes(queue, &letter.bytes));
        api::DeadLetter {
            key: key(&letter.key),
            given_up_at,
            event: letter.event.map(|event| self.event(event)),
            bytes,
        }
    }
}

pub(crate) fn key(key: &KeyText) -> String {
    api::encode_key(key.as_bytes())
}

fn state(state: tito_worker::PendingState) -> api::PendingState {
    match state {
        tito_worker::PendingState::Due => api::PendingState::Due,
        tito_worker::PendingState::Scheduled => api::PendingState::Scheduled,
        tito_worker::PendingState::Retrying => api::PendingState::Retrying,
        tito_worker::PendingState::Malformed => api::PendingState::Malformed,
    }
}

pub(crate) fn published(event: EventReference) -> api::Published {
    api::Published { event_type: event.event_type, entity: event.entity, timestamp: event.timestamp, id: event.id }
}

pub(crate) fn topic(name: String, topic: &tito_core::event::Topic) -> api::Topic {
    let group = |(group, stored): (&String, &tito_core::event::Group)| {
        let shown = api::Group {
            queue: queue_name(&name, Some(group)),
            since: stored.since,
            is_paused: stored.paused,
            is_paused_by_restore: stored.paused_by_restore,
            is_copying: stored.copies_before.is_some(),
        };
        (group.clone(), shown)
    };
    api::Topic {
        partitions: topic.partitions,
        resized_from: topic.resized_from,
        groups: topic.groups.iter().map(group).collect(),
        removed_groups: topic.removed_groups.keys().cloned().collect(),
        is_paused: topic.paused,
        is_paused_by_restore: topic.paused_by_restore,
        groups_only: topic.groups_only,
        history_seconds: topic.history_seconds,
        revision: topic.revision,
        name,
    }
}

pub(crate) fn stats(stats: tito_worker::QueueStats) -> api::QueueStats {
    let partition =
        |of: tito_worker::PartitionStats| api::PartitionStats { partition: of.partition, counts: counts(of.counts) };
    api::QueueStats {
        queue: stats.queue,
        counted_at: stats.counted_at.timestamp(),
        is_paused: stats.is_paused,
        is_published_to: stats.is_published_to,
        in_flight: stats.in_flight,
        total: counts(stats.total),
        partitions: stats.partitions.into_iter().map(partition).collect(),
    }
}

fn counts(counts: tito_worker::Counts) -> api::Counts {
    api::Counts {
        pending: counts.pending,
        due: counts.due,
        scheduled: counts.scheduled,
        retrying: counts.retrying,
        malformed: counts.malformed,
        dead: counts.dead,
        done: counts.done,
        oldest_due_seconds: counts.oldest_due.map(|age| age.as_secs()),
        is_capped: counts.is_capped,
    }
}

pub(crate) fn schedule(schedule: tito_worker::ScheduleInfo) -> api::Schedule {
    let recurrence = match schedule.recurrence {
        tito_worker::Recurrence::Cron { expression, time_zone } => api::Recurrence::Cron { expression, time_zone },
        tito_worker::Recurrence::Every { seconds } => api::Recurrence::Every { seconds },
        other => api::Recurrence::Other(other.to_string()),
    };
    let missed = match schedule.missed {
        tito_worker::Missed::Skip => api::Missed::Skip,
        tito_worker::Missed::Latest => api::Missed::Latest,
        tito_worker::Missed::All => api::Missed::All,
        _ => api::Missed::Unknown,
    };
    api::Schedule {
        name: schedule.name,
        recurrence,
        starts_at: schedule.starts_at.timestamp(),
        missed,
        event_type: schedule.event_type,
        entity: schedule.entity,
        owner: schedule.owner,
        action: schedule.action,
        next: schedule.next.map(|time| time.timestamp()),
        last: schedule.last.map(|time| time.timestamp()),
        is_paused: schedule.paused,
        passed_over: schedule.passed_over,
    }
}

pub(crate) fn member(member: tito_worker::MemberInfo) -> api::Member {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    api::Member {
        id: member.id,
        name: member.name,
        queues: member.queues,
        started_millis: member.started_at.timestamp_millis(),
        heartbeat_age_millis: millis(member.heartbeat_age),
        lease_millis: millis(member.lease),
        is_live: member.live,
        in_flight: member.in_flight,
    }
}

pub(crate) fn lease(lease: tito_worker::LeaseInfo) -> api::Lease {
    api::Lease { partition: lease.partition, member: lease.member, fleet: lease.fleet, epoch: lease.epoch }
}
