//! What the libraries below warn of, on standard error.

use std::fmt::{self, Write as _};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::output::{note, visible, visible_json};

/// Whose warnings this program tells itself, as the reason why a command has failed.
const TOLD: &str = "tito::audit";

/// Writes warnings and errors.
#[derive(Debug)]
pub(crate) struct Warnings {
    /// As lines of JSON.
    pub(crate) is_json: bool,
}

impl Warnings {
    /// From now on, of all of this process.
    pub(crate) fn install(self) {
        tracing::subscriber::set_global_default(self).expect("nothing else of this program installs one");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_told = metadata.target() == TOLD && *metadata.level() == Level::WARN;
        metadata.is_event() && *metadata.level() <= Level::WARN && !is_told
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let text = format!("{}{}", text.message, text.fields);
        if self.is_json {
            let level = event.metadata().level().as_str().to_ascii_lowercase();
            let warning = json!({"warning": {"level": level, "of": event.metadata().target(), "message": text}});
            note(visible_json(&warning.to_string()));
        } else {
            note(format!("tito: warning: {}", visible(&text)));
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        // None is enabled; spans that are made nevertheless need some number.
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}: {value:?}"),
        };
    }
}
