//! The engine below, backups, and verification.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json as object;
use tito_backup::{BackupOptions, VerifyOptions, backup, verify};
use tito_core::embedded::EmbeddedBackend;
use tito_core::keys::build::{Kind, text};
use tito_core::model::{Catalogue, CataloguedIndex};
use tito_core::row::StoredRow;
use tokio::io::AsyncReadExt;

use crate::api::{
    Affected, Code, Difference, Engine, PaceQuery, PageQuery, Role, Sizes, Table, Verified, VerifyQuery, encode_key,
};
use crate::app::App;
use crate::call::{Call, Destroy, Operate, Read};
use crate::failure::{Answer, Failure, json};
use crate::input::{self, Asked, Nothing, Sent};
use crate::lines::{self, Lines};
use crate::pages::Filling;
use crate::shown::{self, Shown};
use crate::timely;

/// How many bytes of a backup are handed on at once.
const PIECE: usize = 64 << 10;

/// How fast everything is read, unless asked otherwise.
const BYTES_PER_SECOND: u64 = 100 << 20;

/// How fast everything is read at the least.
const LEAST_BYTES_PER_SECOND: u64 = 1 << 20;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/engine", get(engine))
        .route("/tables", get(tables))
        .route("/backup", get(take))
        .route("/verify", post(check))
        .route("/restore/resume", post(resume))
}

async fn engine(call: Call<Read>) -> Answer<Response> {
    let database = &call.queue().engine;
    let sizes = match database.backend::<EmbeddedBackend>() {
        None => None,
        Some(embedded) => {
            let sizes = embedded.sizes().await?;
            let (database_bytes, log_bytes) = (sizes.database_bytes, sizes.log_bytes);
            Some(Sizes { database_bytes, log_bytes, unflushed_bytes: sizes.unflushed_bytes })
        }
    };
    Ok(json(&Engine {
        database: database.identity().map(|identity| identity.id),
        format: database.identity().map(|identity| identity.format),
        now_millis: database.now().await?.millis(),
        is_only_writer: database.is_only_writer(),
        is_durable: database.is_durable(),
        sizes,
    }))
}

/// The tables that have a catalogue, with what becomes of their indexes.
async fn tables(call: Call<Read>, Asked(query): Asked<PageQuery>) -> Answer<Response> {
    let limit = input::limit(query.limit)?;
    let all = Kind::Catalogue.all();
    let after = query.after.as_deref().map(input::key).transpose()?;
    let range = after.as_ref().map_or(all.clone(), |key| all.after(key.as_bytes()));
    let rows = call.queue().engine.transaction(|tx| async move { tx.scan(range, limit).await }).await?;
    let mut page = Filling::new(limit);
    for (key, bytes) in rows {
        if page.is_full() {
            break;
        }
        let catalogue = Catalogue::decode(&key, &bytes)?;
        let name = Kind::Catalogue.strip(&key).and_then(text).unwrap_or_else(|| encode_key(&key));
        let state = |index: &CataloguedIndex| {
            serde_json::to_value(index.state).ok().and_then(|state| state.as_str().map(str::to_string))
        };
        let indexes = catalogue.indexes.iter().map(|(name, index)| (name.clone(), state(index).unwrap_or_default()));
        let table = Table { name, indexes: indexes.collect(), is_dropping: catalogue.dropping };
        page.add(&table, || encode_key(&key))?;
    }
    Ok(json(&page.page()))
}

/// All that the database has, as it is: whoever takes it may look at it without redaction, so it takes the highest role.
async fn take(call: Call<Destroy, PaceQuery>) -> Answer<Response> {
    let database = call.queue().engine.clone();
    let time = call.walk_time();
    let options = BackupOptions::default().bytes_per_second(pace(call.asked.bytes_per_second)?);
    let place = lines::place(call.backups())?;
    let noted = call.begin("backup", "the database").await?;
    Ok(lines::bits(place, call.heartbeat(), |lines| async move {
        let (mut reader, writer) = tokio::io::duplex(PIECE);
        let writing = async {
            let made = timely::within(&database, time, backup(&database, writer, &options)).await;
            made.ok_or_else(|| too_long(time))?.map(drop).map_err(Failure::from)
        };
        let reading = async {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                match reader.read_buf(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {
                        if lines.bits().send(Ok(Bytes::from(piece))).await.is_err() {
                            break;
                        }
                    }
                }
            }
            // Its other end meets an error, if it still writes.
            drop(reader);
        };
        let (made, ()) = futures::future::join(writing, reading).await;
        call.ended(noted, made.as_ref().err()).await;
        if let Err(failure) = made {
            // Nobody may take what was sent for a whole one.
            let _ = lines.bits().send(Err(failure)).await;
        }
    }))
}

/// How fast everything is to be read. Whoever reads too slowly keeps a snapshot for too long.
fn pace(asked: Option<u64>) -> Answer<u64> {
    match asked.unwrap_or(BYTES_PER_SECOND) {
        pace @ LEAST_BYTES_PER_SECOND.. => Ok(pace),
        pace => Err(Failure::invalid(format!(
            "{pace} bytes per second can't be used: expected {LEAST_BYTES_PER_SECOND} at least"
        ))),
    }
}

fn too_long(time: Duration) -> Failure {
    Failure::new(Code::TimedOut, format!("it took longer than {time:?}"))
}

/// As lines: how far it is, and at last what was found. What is put right is a change, which takes the highest role: by some
/// rules rows are deleted.
async fn check(call: Call<Operate, VerifyQuery>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let repairs = call.asked.repair;
    if repairs && call.who().role < Role::Destroy {
        return Err(Failure::new(Code::Forbidden, "a repair needs the role destroy"));
    }
    // What a rehearsal of a repair would find is what a verification finds.
    let is_change = repairs && !call.is_rehearsal();
    let database = call.queue().engine.clone();
    let (pace, time) = (pace(call.asked.bytes_per_second)?, call.walk_time());
    let place = lines::place(call.verifications())?;
    let noted = if is_change { Some(call.begin("repair", "the database").await?) } else { None };
    Ok(lines::stream(place, call.heartbeat(), |lines: Lines| async move {
        let told = lines.clone();
        let options = VerifyOptions::default().bytes_per_second(pace).on_progress(move |progress| {
            told.try_say(&object!({ "progress": { "entries": progress.entries, "bytes": progress.bytes } }));
        });
        let options = if noted.is_some() { options.repair() } else { options };
        let verified = match timely::within(&database, time, verify(&database, &options)).await {
            Some(verified) => verified.map_err(Failure::from),
            None => Err(too_long(time)),
        };
        if let Some(noted) = noted {
            call.ended(noted, verified.as_ref().err()).await;
        }
        match verified {
            Ok(verified) => _ = lines.say(&object!({ "verified": shown_verified(call.shown(), verified) })).await,
            Err(failure) => lines.fail(failure.redacted(call.redact(), "")).await,
        }
    }))
}

fn shown_verified(shown: Shown<'_>, verified: tito_backup::Verified) -> Verified {
    let is_sound = verified.is_sound();
    let difference = |found: &tito_backup::Difference| Difference {
        key: shown::key(&found.key),
        wrong: shown.wrong(found),
        is_repaired: found.is_repaired,
    };
    Verified {
        entries: verified.entries,
        bytes: verified.bytes,
        differences: verified.differences.iter().map(difference).collect(),
        total: verified.total,
        repaired: verified.repaired,
        repairable: verified.repairable,
        unknown: verified.unknown,
        is_sound,
        tables_without_model: verified.tables_without_model,
        stores_without_types: verified.stores_without_types,
    }
}

/// Resumes what a restore has paused.
async fn resume(call: Call<Operate>, Sent(Nothing {}): Sent<Nothing>) -> Answer<Response> {
    let resuming = async { Ok(tito_backup::resume(&call.queue().engine).await?) };
    let resumed = call.change("resume_restore", "the database", resuming).await?;
    let affected = (resumed.queues.len() + resumed.schedules.len()) as u64;
    Ok(json(&Affected { affected, ..Affected::default() }))
}
