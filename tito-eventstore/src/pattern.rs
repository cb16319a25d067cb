//! Patterns of subjects.

use std::fmt;
use std::str::FromStr;

use crate::error::{EventStoreError, Result};
use crate::event::Event;
use crate::token;

/// Selects events by their subject, `type.id.event_type`: each of up to three tokens is either the subject's token in
/// that place, or `*`. Omitted tokens are `*`.
///
/// ```
/// use tito_eventstore::Pattern;
///
/// let deposits: Pattern = "account.*.deposited".parse()?;
/// assert!(deposits.matches("account", "17", "deposited"));
/// assert!(!deposits.matches("account", "17", "opened"));
/// assert_eq!("account.17".parse::<Pattern>()?.to_string(), "account.17.*");
/// # Ok::<(), tito_eventstore::EventStoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    entity_type: Option<String>,
    id: Option<String>,
    event_type: Option<String>,
}

impl Pattern {
    /// Whether an event with this subject is selected.
    pub fn matches(&self, entity_type: &str, id: &str, event_type: &str) -> bool {
        let is = |wanted: &Option<String>, found| wanted.as_deref().is_none_or(|wanted| wanted == found);
        is(&self.entity_type, entity_type) && is(&self.id, id) && is(&self.event_type, event_type)
    }

    /// The pattern of all events.
    pub(crate) fn any() -> Self {
        Self { entity_type: None, id: None, event_type: None }
    }

    pub(crate) fn entity_type(&self) -> Option<&str> {
        self.entity_type.as_deref()
    }

    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    /// The one entity that all selected events are of, if the pattern names one.
    pub(crate) fn entity(&self) -> Option<(&str, &str)> {
        self.entity_type.as_deref().zip(self.id.as_deref())
    }
}

impl Event {
    /// Whether a pattern selects it.
    pub fn matches(&self, pattern: &Pattern) -> bool {
        pattern.matches(self.entity_type(), self.entity_id(), self.event_type())
    }
}

impl FromStr for Pattern {
    type Err = EventStoreError;

    /// # Errors
    /// [`EventStoreError::SubjectTooManyTokens`], [`EventStoreError::PatternInvalid`].
    fn from_str(text: &str) -> Result<Self> {
        let tokens = text.split('.').count();
        if tokens > 3 {
            return Err(EventStoreError::SubjectTooManyTokens { pattern: token::cut(text), tokens });
        }
        let mut parts = text.split('.').map(|part| match part {
            "*" => Ok(None),
            part => token::check(part).map(|()| Some(part.to_string())),
        });
        let mut next = || parts.next().unwrap_or(Ok(None));
        let mut parse = || Ok(Self { entity_type: next()?, id: next()?, event_type: next()? });
        parse().map_err(|reason| EventStoreError::PatternInvalid { pattern: token::cut(text), reason })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |token: &Option<String>| token.clone().unwrap_or_else(|| "*".to_string());
        write!(f, "{}.{}.{}", shown(&self.entity_type), shown(&self.id), shown(&self.event_type))
    }
}
