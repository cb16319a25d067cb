//! Which events are published to the outbox, to which topic, and as what.

use serde::{Deserialize, Serialize};
use tito_core::keeps_unknown_members;
use tito_core::row::UnknownMembers;

use crate::error::{EventStoreError, Result};
use crate::pattern::Pattern;

/// A rule by which events of a store are published to the outbox, in the transactions that append them. A store can
/// have several; each publishes its own events.
///
/// ```
/// use tito_eventstore::{EventStoreConfig, Republish};
///
/// let bank = EventStoreConfig::new("bank")
///     .republish_by(Republish::to("{type}-events").filter("account").or("card").entity("{type}:{id}"))
///     .republish_by(Republish::to("audit").headers_only().after(0));
/// ```
///
/// Topic and entity may contain `{type}` and `{id}`, the tokens of the event's entity, and `{event}`, its type. In the
/// name of a topic, `-` replaces the characters that it can't have, `:` and `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Republish {
    topic: String,
    entity: String,
    patterns: Vec<String>,
    content: Content,
    after: Option<u64>,
    owned: bool,
}

/// What a published event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    /// Everything is in the payload.
    Payload,
    /// The payload is the data, and everything else is in headers.
    Data,
    /// Everything but the data is in headers.
    Headers,
}

impl Republish {
    /// All events from the time when the rule is given to the store on: to this topic, each about its own entity,
    /// `type.id`, and with the payload of [`EventStoreConfig::republish`](crate::EventStoreConfig::republish).
    pub fn to(topic: impl Into<String>) -> Self {
        let entity = "{type}.{id}".to_string();
        Self { topic: topic.into(), entity, patterns: Vec::new(), content: Content::Payload, after: None, owned: false }
    }

    /// Only events that a [`Pattern`](crate::Pattern) selects.
    pub fn filter(self, pattern: impl Into<String>) -> Self {
        self.or(pattern)
    }

    /// And those that another pattern selects.
    pub fn or(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// What published events are about.
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entity = entity.into();
        self
    }

    /// The payload is the event's data, if that is JSON. Headers have the rest: `tito-store`, `tito-sequence`,
    /// `tito-id`, `tito-subject`, `tito-time` (RFC 3339), `tito-event-version`, and the event's metadata under their
    /// own names.
    pub fn data_with_headers(mut self) -> Self {
        self.content = Content::Data;
        self
    }

    /// The published events belong to the entity, `type.id`: `TitoQueue::erase_owner("customer.17")` of `tito-worker`
    /// erases them, as `erase` does not. Costs one more small row for each published event.
    pub fn owned(mut self) -> Self {
        self.owned = true;
        self
    }

    /// The headers of [`data_with_headers`](Republish::data_with_headers), and no payload.
    pub fn headers_only(mut self) -> Self {
        self.content = Content::Headers;
        self
    }

    /// Only events after this sequence. Events appended before the rule are published too, in order and in steps: by
    /// the call that gives the rule to the store, or by the manager in the background if that call does not finish.
    /// Until then later events wait their turn: an event that can't be published stops the rule there, and
    /// [`RepublishInfo::failure`] says why. Other rules go on.
    pub fn after(mut self, sequence: u64) -> Self {
        self.after = Some(sequence);
        self
    }
}

/// A rule of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepublishInfo {
    /// The rule.
    pub rule: Republish,
    /// While events from before the rule are being published: the sequence up to which they are.
    pub catching_up_from: Option<u64>,
    /// Why the event behind that can't be published, if it could not when it was last tried. It is tried again every few
    /// seconds, and nothing is published by the rule until it can be, is erased or dropped, or the rule is another.
    pub failure: Option<String>,
}

/// A rule, as it is stored in the definition of its store. `docs/format.md` specifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    topic: String,
    entity: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patterns: Vec<String>,
    content: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    /// Whether what is published belongs to the event's entity.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    owned: bool,
    /// Up to which sequence events are published while it catches up. Without it, appends publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    /// Why the event behind `position` could not be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    #[serde(skip)]
    unknown: UnknownMembers,
}

keeps_unknown_members!(Rule);

impl Rule {
    /// A rule that is given to a store with a last sequence.
    ///
    /// # Errors
    /// [`EventStoreError::OptionNotHonoured`] for a text with another name in braces; those of topics and of patterns.
    pub(crate) fn new(store: &str, rule: &Republish, last: u64) -> Result<Self> {
        let Republish { topic, entity, patterns, content, after, owned } = rule.clone();
        let position = after.filter(|after| *after < last);
        let unknown = UnknownMembers::default();
        let rule = Self { topic, entity, patterns, content, after, owned, position, failure: None, unknown };
        let (topic, _) = rule.followed()?.names(store, &["a", "a", "a"])?;
        tito_core::check_event_type(&topic)?;
        Ok(rule)
    }

    pub(crate) fn info(&self) -> RepublishInfo {
        let Self { topic, entity, patterns, content, after, owned, position, failure, .. } = self.clone();
        let rule = Republish { topic, entity, patterns, content, after, owned };
        RepublishInfo { rule, catching_up_from: position, failure }
    }

    /// Whether it is the rule that somebody asks for.
    pub(crate) fn is(&self, rule: &Republish) -> bool {
        self.info().rule == *rule
    }

    /// Whether appends publish by it.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.position.is_none()
    }

    /// The rule as it is followed, with its patterns read once for all events.
    ///
    /// # Errors
    /// Those of its patterns.
    pub(crate) fn followed(&self) -> Result<Followed<'_>> {
        let patterns = self.patterns.iter().map(|pattern| pattern.parse()).collect::<Result<_>>()?;
        Ok(Followed { rule: self, patterns })
    }
}

/// A rule that is being followed.
pub(crate) struct Followed<'a> {
    rule: &'a Rule,
    patterns: Vec<Pattern>,
}

impl Followed<'_> {
    pub(super) fn content(&self) -> Content {
        self.rule.content
    }

    /// To whom what is published of an event belongs.
    pub(super) fn owner(&self, [entity_type, id, _]: &[&str; 3]) -> Option<String> {
        self.rule.owned.then(|| format!("{entity_type}.{id}"))
    }

    pub(super) fn selects(&self, sequence: u64, [entity_type, id, event_type]: &[&str; 3]) -> bool {
        let is_within = self.rule.after.is_none_or(|after| sequence > after);
        let matches = |pattern: &Pattern| pattern.matches(entity_type, id, event_type);
        is_within && (self.patterns.is_empty() || self.patterns.iter().any(matches))
    }

    /// The topic and the entity of what is published of an event.
    ///
    /// # Errors
    /// [`EventStoreError::OptionNotHonoured`] for a text with another name in braces.
    pub(super) fn names(&self, store: &str, tokens: &[&str; 3]) -> Result<(String, String)> {
        let topic = fill(store, &self.rule.topic, tokens)?;
        Ok((topic.replace([':', '@'], "-"), fill(store, &self.rule.entity, tokens)?))
    }
}

fn fill(store: &str, text: &str, tokens: &[&str; 3]) -> Result<String> {
    filled(text, tokens).map_err(|reason| EventStoreError::OptionNotHonoured {
        name: store.to_string(),
        option: format!("republishing to {text:?}"),
        reason,
    })
}

/// A text with the tokens of a subject in it. What a token has in braces is left as it is.
fn filled(text: &str, [entity_type, id, event]: &[&str; 3]) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or_else(|| "a brace is not closed".to_string())?;
        filled.push_str(before);
        filled.push_str(match name {
            "type" => entity_type,
            "id" => id,
            "event" => event,
            other => return Err(format!("{{{other}}} is none of {{type}}, {{id}} and {{event}}")),
        });
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_with_tokens_and_nothing_else() {
        let tokens = ["account", "{id}", "opened"];
        assert_eq!(filled("{type}-{event}", &tokens).as_deref(), Ok("account-opened"));
        assert_eq!(filled("{id}{id}", &tokens).as_deref(), Ok("{id}{id}"));
        assert_eq!(filled("plain }", &tokens).as_deref(), Ok("plain }"));
        for bad in ["{", "a{b}", "{type", "{}", "{{type}}"] {
            assert!(filled(bad, &tokens).is_err(), "{bad}");
        }
    }
}
