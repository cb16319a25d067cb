//! Keywords as names.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

use serde::{Deserialize, Serialize};
use tito_core::model::Index;
use tito_core::model::TitoSchema;
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize)]
struct ModelTarget {
    r#in: String,
}

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[allow(non_camel_case_types)]
#[tito(index(name = "type", fields(r#type, r#where.r#in: String)))]
struct r#struct {
    #[tito(id)]
    r#match: String,
    #[tito(index, event = "type_changed", when = self.r#type > 0)]
    r#type: u32,
    r#where: ModelTarget,
}

fn main() {
    assert_eq!(r#struct::table(), "struct");
    let _: Index<r#struct, (u32,)> = r#struct::BY_TYPE;
    let _: Index<r#struct, (u32, String)> = r#struct::TYPE;
}
