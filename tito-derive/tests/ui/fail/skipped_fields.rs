use serde::{Deserialize, Serialize};
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(entity = self.team)]
#[tito(event = "user", when = self.is_new && !(self.cached > 3))]
#[tito(event = "expiry", at = self.expires)]
#[tito(index(name = "by_team_and_name", fields(team, name), when = self.cached > 3))]
struct User {
    #[serde(skip_serializing, default)]
    id: String,
    #[serde(skip)]
    #[tito(index)]
    email: String,
    #[serde(default, skip_deserializing)]
    #[tito(index(name = "by_age", unique), event = "aged")]
    age: u32,
    #[serde(skip)]
    team: String,
    name: String,
    #[serde(skip)]
    is_new: bool,
    #[serde(skip)]
    cached: u32,
    #[serde(skip)]
    expires: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[tito(index)]
    nick: Option<String>,
    /// Nobody asks for it.
    #[serde(skip)]
    draft: String,
}

fn main() {}
