//! What there is, as it goes over the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tito_core::KeyText;
use tito_core::event::{EventReference, QueueLimits, TitoEvent, queue_name, topic_of};

use crate::api;
use crate::redact::{Part, Redact, Redacted, owner_of_key};

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
            fingerprint: failure.fingerprint,
            worker: failure.worker,
            duration_millis: failure.duration_millis,
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
            causation_id: event.causation_id,
            done: event.done.map(|done| api::Completion {
                outcome: done.outcome.into_owned(),
                worker: done.worker,
                duration_millis: done.duration_millis,
            }),
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
            later_version: pending.later_version,
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

    /// Why an event is not handled. What handlers said of failures is in it, as text and by name.
    pub(crate) fn explanation(self, explanation: tito_worker::Explanation) -> api::Explanation {
        let topic = topic_of(&explanation.queue).0.to_string();
        let because = explanation.because.iter().map(|because| self.reason(&topic, because)).collect();
        api::Explanation {
            id: explanation.id,
            as_of: explanation.as_of.timestamp(),
            because,
            key: explanation.key.as_ref().map(key),
            event: explanation.event.map(|event| self.event(event)),
            rows_read: explanation.rows_read,
            queue: explanation.queue,
        }
    }

    fn reason(self, topic: &str, because: &tito_worker::Because) -> api::Reason {
        let mut text = because.to_string();
        let mut details = serde_json::to_value(because).unwrap_or_default();
        let name = details.as_object_mut().and_then(|members| members.remove("because"));
        self.errors_within(topic, &mut details, &mut text);
        let because = name.and_then(|name| name.as_str().map(str::to_string)).unwrap_or_default();
        api::Reason { because, text, details }
    }

    /// Redacts every member `error`, and the same text where it is said in words.
    fn errors_within(self, topic: &str, details: &mut Value, text: &mut String) {
        match details {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(error) if name == "error" => {
                            let shown = self.text(topic, Part::Error, error.clone());
                            if !error.is_empty() && shown != *error {
                                *text = text.replace(error.as_str(), &shown);
                            }
                            *error = shown;
                        }
                        member => self.errors_within(topic, member, text),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.errors_within(topic, item, text)),
            _ => {}
        }
    }

    pub(crate) fn dead_groups(self, queue: &str, groups: tito_worker::DeadLetterGroups) -> api::DeadGroups {
        let topic = topic_of(queue).0;
        let items = groups.groups.into_iter().map(|group| api::DeadGroup {
            fingerprint: group.fingerprint,
            count: group.count,
            newest: group.newest.timestamp(),
            oldest: group.oldest.timestamp(),
            error: group.error.map(|error| self.text(topic, Part::Error, error)),
            example: key(&group.example),
        });
        api::DeadGroups {
            items: items.collect(),
            others: groups.others,
            searched: groups.searched,
            at_least: groups.at_least,
            next: groups.after.as_ref().map(key),
        }
    }

    /// An event of a store.
    pub(crate) fn of_store(self, store: &str, event: &tito_eventstore::Event) -> api::StoreEvent {
        let what = |part| Redacted { of: store, event_type: event.event_type(), part };
        let is_json = event.codec() == tito_eventstore::types::Codec::Json;
        let data = is_json.then(|| serde_json::from_slice::<Box<RawValue>>(event.bytes()).ok()).flatten();
        let header = |(name, value)| (name, self.0.text(&what(Part::Header), value));
        api::StoreEvent {
            sequence: event.sequence(),
            id: event.id().to_string(),
            entity: event.entity().to_string(),
            event_type: event.event_type().to_string(),
            version: event.version(),
            codec: event.codec().to_string(),
            time_millis: event.time().timestamp_millis(),
            metadata: event.metadata().into_iter().map(header).collect(),
            data: self.0.raw(&what(Part::Payload), data),
            data_bytes: event.bytes().len() as u64,
        }
    }

    /// How far a projection is. What keeps it from going on is its projector's own to say.
    pub(crate) fn projection(self, store: &str, info: tito_eventstore::ProjectionInfo) -> api::Projection {
        let failure = |of: tito_eventstore::ProjectionFailure| api::ProjectionFailure {
            sequence: of.sequence,
            error: self.text(store, Part::Error, of.error),
        };
        let (rebuilt_to, rebuild_failure) =
            info.rebuild.map_or((None, None), |rebuild| (Some(rebuild.checkpoint), rebuild.failure.map(failure)));
        api::Projection {
            name: info.name,
            checkpoint: info.checkpoint,
            last_sequence: info.last_sequence,
            failure: info.failure.map(failure),
            rebuilt_to,
            rebuild_failure,
        }
    }

    /// What is wrong with a row. What a codec said of its bytes may tell some of them.
    pub(crate) fn wrong(self, found: &tito_backup::Difference) -> String {
        let tito_backup::Wrong::Value { expected, reason } = &found.wrong else { return found.wrong.to_string() };
        let of = owner_of_key(found.key.as_bytes()).unwrap_or_default();
        let reason = self.text(&of, Part::Error, reason.clone());
        tito_backup::Wrong::Value { expected, reason }.to_string()
    }

    pub(crate) fn dead(self, queue: &str, letter: tito_worker::DeadLetter) -> api::DeadLetter {
        let given_up_at = letter.given_up_at().map(|time| time.timestamp());
        let bytes = letter.event.is_none().then(|| self.bytes(queue, &letter.bytes));
        api::DeadLetter {
            key: key(&letter.key),
            given_up_at,
            fingerprint: letter.fingerprint(),
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
        history_events: topic.history_events,
        dead_letter_seconds: topic.dead_letter_seconds,
        dead_letter_events: topic.dead_letter_events,
        revision: topic.revision,
        name,
    }
}

pub(crate) fn stats(stats: tito_worker::QueueStats, backlog: tito_worker::Backlog) -> api::QueueStats {
    let partition =
        |of: tito_worker::PartitionStats| api::PartitionStats { partition: of.partition, counts: counts(of.counts) };
    api::QueueStats {
        queue: stats.queue,
        counted_at: stats.counted_at.timestamp(),
        is_paused: stats.is_paused,
        paused_until: stats.paused_until.map(|time| time.timestamp()),
        limits: limits(&stats.limits),
        is_published_to: stats.is_published_to,
        in_flight: stats.in_flight,
        backlog: api::Backlog {
            count: backlog.count,
            at_least: backlog.at_least,
            oldest_due_seconds: backlog.oldest_due.map(|age| age.as_secs()),
            as_of: backlog.as_of.timestamp(),
            by_owners: backlog.by_owners,
        },
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

fn limits(limits: &QueueLimits) -> api::Limits {
    let rate = limits.rate.map(|rate| api::Rate { events: rate.events, seconds: rate.seconds });
    api::Limits { rate, concurrency: limits.concurrency }
}

fn recurrence(recurrence: tito_worker::Recurrence) -> api::Recurrence {
    match recurrence {
        tito_worker::Recurrence::Cron { expression, time_zone } => api::Recurrence::Cron { expression, time_zone },
        tito_worker::Recurrence::Every { seconds } => api::Recurrence::Every { seconds },
        other => api::Recurrence::Other(other.to_string()),
    }
}

pub(crate) fn schedule(schedule: tito_worker::ScheduleInfo) -> api::Schedule {
    let missed = match schedule.missed {
        tito_worker::Missed::Skip => api::Missed::Skip,
        tito_worker::Missed::Latest => api::Missed::Latest,
        tito_worker::Missed::All => api::Missed::All,
        _ => api::Missed::Unknown,
    };
    api::Schedule {
        name: schedule.name,
        recurrence: recurrence(schedule.recurrence),
        starts_at: schedule.starts_at.timestamp(),
        missed,
        missed_firings: schedule.missed_firings,
        overridden_since: schedule.overridden.as_ref().map(|by_hand| by_hand.since.timestamp()),
        declared: schedule.overridden.map(|by_hand| self::recurrence(by_hand.declared)),
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn worker(worker: tito_worker::WorkerInfo) -> api::Worker {
    let running = |handler: tito_worker::RunningHandler| api::Running {
        queue: handler.queue,
        partition: handler.partition,
        event: handler.event,
        entity: handler.entity,
        attempt: handler.attempt,
        since_millis: handler.since.timestamp_millis(),
    };
    api::Worker {
        id: worker.id,
        name: worker.name,
        version: worker.version,
        host: worker.host,
        process_id: worker.process_id,
        started_millis: worker.started_at.timestamp_millis(),
        heartbeat_age_millis: millis(worker.heartbeat_age),
        lease_millis: millis(worker.lease),
        is_live: worker.live,
        is_retiring: worker.retiring,
        fleet: worker.fleet,
        queues: worker.queues,
        in_flight: worker.in_flight,
        running: worker.running.into_iter().map(running).collect(),
    }
}

pub(crate) fn fleet(fleet: tito_worker::FleetInfo) -> api::Fleet {
    api::Fleet { name: fleet.name, live: fleet.live as u64, dead: fleet.dead as u64, queues: fleet.queues }
}

pub(crate) fn member(member: tito_worker::MemberInfo) -> api::Member {
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
