//! Every public asynchronous function can be called in a spawned task: all of them are listed here, and the list is held to
//! the sources.

#![allow(clippy::unwrap_used, unreachable_code, reason = "the futures are made for the compiler, and never run")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tito_backup::Place;
use tito_core::database::{Walk, drop_expired_markers, prune_idempotency_markers, walk_in_steps};
use tito_core::embedded::EmbeddedBuilder;
use tito_core::engine::{DatabaseIdentity, Filling, Listener, PublishedEvents};
use tito_core::event::{Cause, EventReference, Topic, delete_pending, note_owner, settle_topics, write_event};
use tito_core::keys::KeyRange;
use tito_core::model::{Catalogue, Check, Migration, Query, Reindex, ReindexSteps, RowVersion, TitoTable};
use tito_core::prelude::*;
use tito_core::trace::TraceContext;
use tito_core::{BoxError, DatabaseSnapshot, KeyText, Timestamp, Transaction, TxOptions};
use tito_eventstore::{
    Command, Decider, EntityErasure, EntitySearch, Event, EventStore, EventStoreConfig, EventStoreError, Evolver,
    Evolving, Manager, NewEvent, Projection, Projector, Select, StoreCheck, StoreChecking, View, Watch, Watcher,
};
use tito_worker::feed::{Fed, FeedControls, FeedRun};
use tito_worker::prelude::*;
use tito_worker::{Erasure, GroupStart, Operations, OwnerSearch, Replay, Schedule, Unique};

#[derive(Clone, Default, Serialize, Deserialize, TitoModel)]
struct User {
    id: String,
    #[tito(index)]
    email: String,
}

struct Account;
struct Close;

impl Evolver for Account {
    fn evolve(&mut self, _: &Event) -> Result<(), BoxError> {
        Ok(())
    }
}

impl Command for Close {}

impl Decider<Close> for Account {
    fn decide(&self, _: &Close) -> Result<Vec<NewEvent>, BoxError> {
        Ok(Vec::new())
    }
}

struct Rows;

impl Projector for Rows {
    fn name(&self) -> &str {
        "rows"
    }

    async fn project(&self, _: &Event, _: &Transaction) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A value that nobody needs: what asks for it is never run.
fn any<T>() -> T {
    unreachable!("the futures are not polled")
}

type Text = String;

fn spawnable(_: impl Future<Output = ()> + Send + 'static) {}

/// Checks each call in a task of its own, which owns what the call borrows, and gives their names.
macro_rules! spawnables {
    ($crate_name:ident: $($(#[$condition:meta])? $name:ident = $call:expr;)*) => {
        mod $crate_name {
            use super::*;

            #[allow(dead_code, reason = "it is compiled, which is the test")]
            fn all() {
                $($(#[$condition])? spawnable(async move { let _ = $call.await; });)*
            }

            pub(super) const NAMES: &[&str] = &[$(stringify!($name)),*];
        }
    };
}

spawnables! { core:
    begin = any::<Database>().begin();
    begin_again = any::<Database>().begin_again(&any());
    transaction = any::<Database>().transaction(|tx| async move { tx.get(b"").await });
    transaction_with = any::<Database>().transaction_with(
        any::<TxOptions>(),
        |tx: Transaction| async move { tx.get(b"").await },
    );
    snapshot = any::<Database>().snapshot();
    get = any::<DatabaseSnapshot>().get(&any::<Vec<u8>>());
    batch_get = any::<DatabaseSnapshot>().batch_get(any());
    scan = any::<DatabaseSnapshot>().scan(any::<KeyRange>(), 1);
    scan_reverse = any::<DatabaseSnapshot>().scan_reverse(any::<KeyRange>(), 1);
    next_page = any::<DatabaseSnapshot>().next_page(any(), any(), any());
    next_packed = any::<DatabaseSnapshot>().next_packed(any(), any());
    release = any::<DatabaseSnapshot>().release();
    timestamp = any::<Database>().timestamp();
    now = any::<Database>().now();
    close = any::<Database>().close();
    closed = any::<Database>().closed();
    prune_idempotency_markers = prune_idempotency_markers(&any(), any::<Timestamp>());
    drop_expired_markers = drop_expired_markers(&any(), &mut any());
    keep_result = any::<Transaction>().keep_result(any::<&u8>());
    get = any::<Transaction>().get(&any::<Vec<u8>>());
    batch_get = any::<Transaction>().batch_get(any());
    scan = any::<Transaction>().scan(any::<KeyRange>(), 1);
    scan_reverse = any::<Transaction>().scan_reverse(any::<KeyRange>(), 1);
    put = any::<Transaction>().put(any(), any());
    insert = any::<Transaction>().insert(any(), any());
    delete = any::<Transaction>().delete(any());
    lock_keys = any::<Transaction>().lock_keys(any());
    put = any::<Transaction>().system_keys().put(any(), any());
    insert = any::<Transaction>().system_keys().insert(any(), any());
    delete = any::<Transaction>().system_keys().delete(any());
    put_pending = any::<Transaction>().system_keys().put_pending(any(), any(), 1, None);
    delete_pending = any::<Transaction>().system_keys().delete_pending(any(), 1);
    delete_pending = delete_pending(&any(), any(), any());
    commit = any::<Transaction>().commit();
    rollback = any::<Transaction>().rollback();
    next_in = any::<Walk>().next_in(&any());
    next = any::<Walk>().next(&any());
    rest_in = any::<Walk>().rest_in(&any());
    walk_in_steps = walk_in_steps(&any(), any::<KeyRange>(), |tx, rows| async move {
        tx.batch_get(rows.into_iter().map(|(key, _)| key).collect()).await.map(|found| found.len())
    });
    open = any::<EmbeddedBuilder>().open(any::<Text>());
    open_existing = any::<EmbeddedBuilder>().open_existing(any::<Text>());
    open_read_only = any::<EmbeddedBuilder>().open_read_only(any::<Text>());
    open_to_fill = any::<EmbeddedBuilder>().open_to_fill(any::<Text>(), &any());
    in_memory = any::<EmbeddedBuilder>().in_memory();
    open = EmbeddedBackend::open(any::<Text>());
    in_memory = EmbeddedBackend::in_memory();
    compact = EmbeddedBackend::compact(any::<Text>());
    sizes = any::<&EmbeddedBackend>().sizes();
    woken = any::<Listener>().woken();
    next = any::<PublishedEvents>().next();
    ensure = Topic::ensure(&any(), &any::<Text>(), 1);
    cached = Topic::cached(&any(), &any::<Text>());
    find = Topic::find(&any(), &any::<Text>());
    find_cached = Topic::find_cached(&any(), &any::<Text>());
    change = Topic::change(&any(), &any::<Text>(), |topic, _| async move { Ok(Some(topic)) });
    raise_revision = Topic::raise_revision(&any(), &any::<Text>());
    read = Topic::read(&any(), &any::<Text>());
    settle_topics = settle_topics(&any());
    write_event = write_event(&any(), any());
    model = any::<TitoEvent>().model::<User>(&any());
    model_in = any::<TitoEvent>().model_in::<User>(&any());
    all = any::<Query<User, ()>>().all(&any());
    first = any::<Query<User, ()>>().first(&any());
    page = any::<Query<User, ()>>().page(&any());
    ids = any::<Query<User, ()>>().ids(&any());
    count = any::<Query<User, ()>>().count(&any());
    run = any::<Reindex<User>>().run();
    begin = any::<ReindexSteps<User>>().begin();
    step = any::<ReindexSteps<User>>().step(&any(), &any());
    finish = any::<ReindexSteps<User>>().finish();
    run = any::<Check<User>>().run();
    run = any::<Migration>().run();
    drop_index = any::<Database>().drop_index(&any::<Text>(), &any::<Text>());
    drop_table = any::<Database>().drop_table(&any::<Text>());
    read = Catalogue::read(&any(), &any::<Text>());
    delete_damaged = any::<TitoTable<User>>().delete_damaged(&any::<Text>(), &any());
    get = any::<TitoTable<User>>().get(&any::<Text>(), &any());
    batch_get = any::<TitoTable<User>>().batch_get(any::<Vec<Text>>(), &any());
    get_with_version = any::<TitoTable<User>>().get_with_version(&any::<Text>(), &any());
    assert_current = any::<TitoTable<User>>().assert_current(&any::<Text>(), &any());
    assert_version = any::<TitoTable<User>>().assert_version(&any::<Text>(), any::<RowVersion>(), &any());
    insert = any::<TitoTable<User>>().insert(&any(), &any());
    create = any::<TitoTable<User>>().create(&any(), &any());
    update = any::<TitoTable<User>>().update(&any(), &any());
    upsert = any::<TitoTable<User>>().upsert(&any(), &any());
    delete = any::<TitoTable<User>>().delete(&any::<Text>(), &any());
    build_with_options = any::<TitoTable<User>>().build_with_options(any(), any(), &any());
    open = Database::open(any::<Text>());
    open_existing = Database::open_existing(any::<Text>());
    open_read_only = Database::open_read_only(any::<Text>());
    open_to_fill = Database::open_to_fill(any::<Text>(), &any());
    #[cfg(feature = "tikv")] connect = any::<tito_core::tikv::TiKVBuilder>().connect();
    #[cfg(feature = "tikv")] connect_existing = any::<tito_core::tikv::TiKVBuilder>().connect_existing();
    #[cfg(feature = "tikv")] connect_to_fill = any::<tito_core::tikv::TiKVBuilder>().connect_to_fill(&any());
    #[cfg(feature = "tikv")] gc = any::<&TiKVBackend>().gc(any());
    #[cfg(feature = "tikv")] delete_range = any::<&TiKVBackend>().delete_range(any());
    #[cfg(feature = "tikv")] clear = any::<&TiKVBackend>().clear();
    #[cfg(feature = "tikv")] set_service_safe_point = any::<&TiKVBackend>().set_service_safe_point(&any::<Text>(), any(), any());
    #[cfg(feature = "tikv")] remove_service_safe_point = any::<&TiKVBackend>().remove_service_safe_point(&any::<Text>());
    of_engine = DatabaseIdentity::of_engine(&**any::<Database>().engine());
    of_existing = DatabaseIdentity::of_existing(&**any::<Database>().engine());
    prepare = any::<Filling>().prepare(&**any::<Database>().engine());
    #[cfg(feature = "tikv")] connect = TiKVBackend::connect(any::<Vec<Text>>());
    note_owner = note_owner(&any(), &any::<Text>(), b"");
    scope = any::<TraceContext>().scope(any::<Pin<Box<dyn Future<Output = ()> + Send>>>());
    scope = any::<Cause>().scope(any::<Pin<Box<dyn Future<Output = ()> + Send>>>());
}

spawnables! { worker:
    cancel = any::<TitoQueue>().cancel(&any(), &any());
    cancel_unique = any::<TitoQueue>().cancel_unique(&any::<Text>(), &any::<Text>(), &any());
    reschedule = any::<TitoQueue>().reschedule(&any(), any(), &any());
    reschedule_unique = any::<TitoQueue>().reschedule_unique(&any::<Text>(), &any::<Text>(), any(), &any());
    dead_letters = any::<TitoQueue>().dead_letters(&any::<Text>(), 1, Some(&any::<KeyText>()));
    dead_letters_of_partition = any::<TitoQueue>().dead_letters_of_partition(&any::<Text>(), 1, 1, Some(&any()));
    dead_letters_where = any::<TitoQueue>().dead_letters_where(&any::<Text>(), 1, Some(&any()), |_| true);
    dead_letter_groups = any::<TitoQueue>().dead_letter_groups(&any::<Text>(), any(), Some(&any()));
    purge_letter = any::<TitoQueue>().purge_letter(&any::<Text>(), &any());
    purge_dead_letters = any::<TitoQueue>().purge_dead_letters(&any::<Text>());
    purge_dead_letters_where = any::<TitoQueue>().purge_dead_letters_where(&any::<Text>(), |_| true);
    redrive_letter = any::<TitoQueue>().redrive_letter(&any::<Text>(), &any());
    redrive = any::<TitoQueue>().redrive(&any::<Text>(), any());
    redrive_all = any::<TitoQueue>().redrive_all(&any::<Text>());
    redrive_where = any::<TitoQueue>().redrive_where(&any::<Text>(), |_| true);
    history = any::<TitoQueue>().history(&any::<Text>(), any(), 1, Some(&any()));
    replay = any::<TitoQueue>().replay(&any::<Text>(), any(), &any::<Text>());
    replaying = any::<TitoQueue>().replaying(&any::<Text>(), any(), &any::<Text>());
    step = any::<Replay>().step();
    find = any::<TitoQueue>().find(&any::<EventReference>());
    explain = any::<TitoQueue>().explain(&any::<Text>(), any::<EventReference>());
    find_by_entity = any::<TitoQueue>().find_by_entity(&any::<Text>(), &any::<Text>(), 1);
    caused_by = any::<TitoQueue>().caused_by(&any(), any(), Some(&any()));
    find_pending = any::<TitoQueue>().find_pending(&any::<Text>(), any());
    find_by_id = any::<TitoQueue>().find_by_id(&any::<Text>(), any());
    peek = any::<TitoQueue>().peek(&any::<Text>(), 1, Some(&any()));
    purge = any::<TitoQueue>().purge(&any::<Text>());
    purge_where = any::<TitoQueue>().purge_where(&any::<Text>(), |_| true);
    stats = any::<TitoQueue>().stats(&any::<Text>());
    write_activity = any::<TitoQueue>().write_activity();
    sweep_facts = any::<TitoQueue>().sweep_facts();
    letter = any::<TitoQueue>().letter(&any::<Text>(), &any());
    stats_of_rows = any::<TitoQueue>().stats_of_rows(&any::<Text>(), 1);
    stats_up_to = any::<TitoQueue>().stats_up_to(&any::<Text>(), 1);
    sweep_once = any::<TitoQueue>().sweep_once(&any::<Text>());
    members = any::<TitoQueue>().members(&any::<Text>());
    leases = any::<TitoQueue>().leases(&any::<Text>());
    page_of_members = any::<TitoQueue>().page_of_members(&any::<Text>(), 1, any());
    page_of_leases = any::<TitoQueue>().page_of_leases(&any::<Text>(), 1, any());
    record_progress = any::<TitoQueue>().record_progress(&any(), &any::<Text>());
    create_topic = any::<TitoQueue>().create_topic(&any::<Text>(), 1);
    publish = any::<TitoQueue>().publish(any(), &any());
    run_worker = run_worker(
        any::<Arc<TitoQueue>>(),
        any(),
        |_| any::<Pin<Box<dyn Future<Output = Result<(), TitoError>> + Send>>>(),
        any(),
        any(),
        any(),
    );
    erase_owner = any::<TitoQueue>().erase_owner(&any::<Text>());
    count_owned = any::<TitoQueue>().count_owned(&any::<Text>());
    step = any::<Erasure>().step();
    owned_by = any::<TitoQueue>().owned_by(&any::<Text>(), 1, Some(&any()));
    search_owner = any::<TitoQueue>().search_owner(&any::<Text>());
    step = any::<OwnerSearch>().step();
    sweep_owned = any::<TitoQueue>().sweep_owned();
    put_schedule = any::<TitoQueue>().put_schedule(any::<Schedule>());
    schedules = any::<TitoQueue>().schedules();
    page_of_schedules = any::<TitoQueue>().page_of_schedules(1, Some(&any::<Text>()));
    has_schedule = any::<TitoQueue>().has_schedule(&any::<Text>());
    pause_schedule = any::<TitoQueue>().pause_schedule(&any::<Text>());
    resume_schedule = any::<TitoQueue>().resume_schedule(&any::<Text>());
    remove_schedule = any::<TitoQueue>().remove_schedule(&any::<Text>());
    add_group = any::<TitoQueue>().add_group(&any::<Text>(), &any::<Text>(), any::<GroupStart>());
    groups = any::<TitoQueue>().groups(&any::<Text>());
    remove_group = any::<TitoQueue>().remove_group(&any::<Text>(), &any::<Text>());
    resize_topic = any::<TitoQueue>().resize_topic(&any::<Text>(), 1);
    topics = any::<TitoQueue>().topics(1, Some(&any::<Text>()));
    pause = any::<TitoQueue>().pause(&any::<Text>());
    resume = any::<TitoQueue>().resume(&any::<Text>());
    pause_until = any::<TitoQueue>().pause_until(&any::<Text>(), any());
    set_limits = any::<TitoQueue>().set_limits(&any::<Text>(), any());
    override_schedule = any::<TitoQueue>().override_schedule(&any::<Text>(), any());
    clear_schedule_override = any::<TitoQueue>().clear_schedule_override(&any::<Text>());
    fire_now = any::<TitoQueue>().fire_now(&any::<Text>());
    start = any::<Operations>().start(any());
    rehearse = any::<Operations>().rehearse(&any());
    list = any::<Operations>().list(1, any());
    get = any::<Operations>().get(any());
    stop = any::<Operations>().stop(any());
    wait = any::<Operations>().wait(any());
    run = any::<Operations>().run(any());
    set_groups_only = any::<TitoQueue>().set_groups_only(&any::<Text>(), true);
    set_history = any::<TitoQueue>().set_history(&any::<Text>(), any());
    set_history_limit = any::<TitoQueue>().set_history_limit(&any::<Text>(), any());
    set_dead_letter_retention = any::<TitoQueue>().set_dead_letter_retention(&any::<Text>(), any(), any());
    finish_changes = any::<TitoQueue>().finish_changes();
    publish_unique = any::<TitoQueue>().publish_unique(any(), any::<Unique>(), &any());
    run = any::<Worker>().run(any::<Pin<Box<dyn Future<Output = ()> + Send>>>());
    drain = any::<Worker>().drain();
    run_operation = any::<Worker>().run_operation(any());
    workers = any::<TitoQueue>().workers();
    page_of_workers = any::<TitoQueue>().page_of_workers(1, any());
    serving = any::<TitoQueue>().serving(&any::<Text>());
    in_hand = any::<TitoQueue>().in_hand(&any::<Text>(), any());
    fleets = any::<TitoQueue>().fleets();
    retire = any::<TitoQueue>().retire(any());
    backlog = any::<TitoQueue>().backlog(&any::<Text>());
    activity = any::<TitoQueue>().activity(&any::<Text>(), 1);
    changed = any::<&mut FeedControls>().changed();
    begin = any::<Fed>().begin();
    permit = any::<Fed>().permit();
    start = any::<Fed>().start(any(), any());
    attempt = any::<Fed>().attempt(any::<Pin<Box<dyn Future<Output = tito_worker::feed::HandlerResult> + Send>>>());
    check = any::<Fed>().check(&any(), any());
    moved = any::<Fed>().moved(&any(), any());
    put = any::<Fed>().put(&any(), &any(), &any(), &any());
    scope = any::<FeedRun>().scope(any::<Pin<Box<dyn Future<Output = ()> + Send>>>());
}

spawnables! { eventstore:
    decide = any::<EventStore>().decide(&Account, &Close);
    decide_and_evolve = any::<EventStore>().decide_and_evolve(&mut Account, &Close);
    create_event_store = any::<Manager>().create_event_store(any::<EventStoreConfig>());
    get_event_store = any::<Manager>().get_event_store(&any::<Text>());
    update_event_store = any::<Manager>().update_event_store(any());
    delete_event_store = any::<Manager>().delete_event_store(&any::<Text>());
    event_stores = any::<Manager>().event_stores(Some(&any::<Text>()), 1);
    sweep = any::<Manager>().sweep();
    info = any::<EventStore>().info();
    begin = any::<StoreCheck>().begin(&any());
    next = any::<StoreChecking<'static>>().next();
    close = any::<Manager>().close();
    add_projection = any::<EventStore>().add_projection(&any::<Text>());
    remove_projection = any::<EventStore>().remove_projection(&any::<Text>());
    rebuild_projection = any::<EventStore>().rebuild_projection(&any::<Text>());
    projection = any::<EventStore>().projection(&any::<Text>());
    projections = any::<EventStore>().projections();
    react = any::<EventStore>().react(&any::<Text>(), any::<Select>(), any());
    reactor = any::<EventStore>().reactor(&any::<Text>());
    reactors = any::<EventStore>().reactors();
    replay_reactor = any::<EventStore>().replay_reactor(&any::<Text>(), any());
    remove_reactor = any::<EventStore>().remove_reactor(&any::<Text>());
    new = Projection::new(&any(), Rows);
    catch_up = any::<Projection<Rows>>().catch_up();
    begin = any::<View>().begin();
    within = any::<View>().within(&any());
    evolve = any::<EventStore>().evolve(&mut Account, any::<Select>());
    evolve_all = any::<EventStore>().evolve_all([Evolving::new(&mut Account, "account")]);
    sequence_at = any::<EventStore>().sequence_at(any());
    snapshot = any::<EventStore>().snapshot(&mut Account, any::<Select>());
    event = any::<EventStore>().event(1);
    last_sequence = any::<EventStore>().last_sequence();
    erase = any::<EventStore>().erase(&any::<Text>());
    step = any::<EntityErasure>().step();
    step = any::<EntitySearch>().step();
    remains = any::<EventStore>().remains(&any::<Text>());
    append = any::<EventStore>().append(any::<Vec<NewEvent>>());
    append_in = any::<EventStore>().append_in(&any(), any::<Vec<NewEvent>>());
    transaction = any::<EventStore>().transaction(|_| async move { Ok::<_, EventStoreError>(()) });
    transaction = any::<View>().transaction(|tx| async move { tx.get(b"").await });
    transaction_with = any::<View>().transaction_with(
        any::<TxOptions>(),
        |tx: Transaction| async move { tx.get(b"").await },
    );
    watch = any::<EventStore>().watch(Account, any::<Watch>());
    reached = any::<Watcher<Account>>().reached(1);
    stop = any::<Watcher<Account>>().stop();
}

spawnables! { backups:
    backup = tito_backup::backup(&any(), any::<Vec<u8>>(), &any());
    check = tito_backup::check(&any::<Vec<u8>>()[..]);
    open = tito_backup::BackupReader::open(&any::<Vec<u8>>()[..]);
    next_block = any::<tito_backup::BackupReader<&[u8]>>().next_block();
    open = any::<Place>().open();
    open_read_only = any::<Place>().open_read_only();
    restore = tito_backup::restore(&any::<Vec<u8>>()[..], &any::<Place>());
    restore_with = tito_backup::restore_with(&any::<Vec<u8>>()[..], &any::<Place>(), |_| ());
    resume = tito_backup::resume(&any());
    copy = tito_backup::copy(&any(), &any(), &any());
    verify = tito_backup::verify(&any(), &any());
    verify_backup = tito_backup::verify_backup(&any::<Vec<u8>>()[..], any::<Text>(), &any());
}

spawnables! { consoles:
    serve_local = tito_console::serve_local(&any());
    serve_local = any::<tito_console::ConsoleBuilder>().serve_local();
    serve_loopback = any::<tito_console::ConsoleBuilder>().serve_loopback(0, tito_console::api::Role::Read, ["a"]);
    stop = any::<tito_console::Serving>().stop();
    change = any::<tito_console::Audit>().change(
        &any(),
        &any::<Text>(),
        &any::<Text>(),
        any::<Pin<Box<dyn Future<Output = Result<(), TitoError>> + Send>>>(),
        |_: &TitoError| any(),
    );
    asked = any::<tito_console::Audit>().asked(&any(), &any::<Text>(), &any::<Text>());
    ended = any::<tito_console::AuditedChange>().ended(None);
    close = any::<tito_console::Audit>().close();
}

/// The names of the public asynchronous functions in a folder of sources, those of tests aside, with how many there are.
fn in_the_sources(folder: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            in_the_sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for name in asynchronous(&source) {
                *found.entry(name).or_default() += 1;
            }
        }
    }
}

fn asynchronous(source: &str) -> Vec<String> {
    let code: Vec<_> = source.lines().take_while(|line| line.trim() != "mod tests {").collect();
    let code: Vec<_> = code.into_iter().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let name =
        |rest: &str| rest.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).next().map(str::to_string);
    let asynchronous = code.split("pub async fn ").skip(1).filter_map(name);
    let returning = code.split("pub fn ").skip(1).filter(|rest| {
        let signature = rest.split(['{', ';']).next().unwrap_or_default();
        let returned = signature.find(") -> impl Future").or_else(|| signature.find(") -> BoxFuture"));
        returned.is_some_and(|at| !signature[..at].contains("where"))
    });
    asynchronous.chain(returning.filter_map(name)).collect()
}

fn listed(names: &[&str]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for name in names {
        *found.entry(name.to_string()).or_default() += 1;
    }
    found
}

#[test]
fn every_public_asynchronous_function_is_listed_among_those_that_can_be_spawned() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = [
        ("tito-core", core::NAMES),
        ("tito-worker", worker::NAMES),
        ("tito-eventstore", eventstore::NAMES),
        ("tito-backup", backups::NAMES),
        ("tito-console", consoles::NAMES),
    ];
    for (name, names) in crates {
        let mut found = BTreeMap::new();
        in_the_sources(&workspace.join(name).join("src"), &mut found);
        assert_eq!(listed(names), found, "{name}: list each of its public asynchronous functions above");
    }
}

#[test]
fn asynchronous_functions_are_found_in_sources() {
    let source = "pub async fn one() {}\n    pub fn two<F>(f: F) -> impl Future<Output = ()> + Send\n where F: Fn() {}\n\
                  pub fn three() -> u8 { 1 }\n    /// pub async fn four() {}\npub(crate) async fn five() {}\n";
    assert_eq!(asynchronous(source), ["one", "two"]);
}
