//! A bank on an event store: commands in, events out, balances projected to rows, letters sent by a reactor, and
//! deposits added up by another in the transaction that moves it on.
//!
//! `cargo run -p tito-examples --example bank`
#![allow(clippy::print_stdout)]

use serde::{Deserialize, Serialize};
use tito_core::prelude::*;
use tito_core::{BoxError, TitoModel, Transaction};
use tito_eventstore::{
    Command, Decider, Decision, Envelope, Event, EventStore, EventStoreConfig, EventStoreError, Evolver, Manager,
    Model, NewEvent, Projection, Projector, ReactFrom,
};
use tito_worker::prelude::*;

/// What can happen to an account.
#[derive(tito_eventstore::TitoEventType)]
enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

/// What somebody may want.
struct Open<'a> {
    owner: &'a str,
}

struct Deposit {
    cents: u64,
}

#[derive(Clone)]
struct Withdraw {
    cents: u64,
}

impl Command for Open<'_> {}
impl Command for Deposit {
    fn validate(&self) -> Result<(), BoxError> {
        if self.cents == 0 { Err("a deposit of nothing".into()) } else { Ok(()) }
    }
}
impl Command for Withdraw {}

/// An account as it has become, by which commands are decided.
struct Account {
    entity: String,
    is_open: bool,
    cents: u64,
}

impl Account {
    fn new(number: u32) -> Model<Self> {
        Model::new(Self { entity: format!("account.{number}"), is_open: false, cents: 0 })
    }

    fn event(&self, event: AccountEvent) -> Result<Vec<NewEvent>, BoxError> {
        Ok(vec![NewEvent::new(self.entity.as_str(), event)])
    }
}

impl Evolver for Account {
    fn evolve(&mut self, event: &Event) -> Result<(), BoxError> {
        match event.data()? {
            AccountEvent::Opened { .. } => self.is_open = true,
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => self.cents -= cents,
        }
        Ok(())
    }
}

impl Decider<Open<'_>> for Account {
    fn decide(&self, command: &Open<'_>) -> Result<Vec<NewEvent>, BoxError> {
        if self.is_open {
            return Err("the account is open already".into());
        }
        self.event(AccountEvent::Opened { owner: command.owner.to_string() })
    }
}

impl Decider<Deposit> for Account {
    fn decide(&self, command: &Deposit) -> Result<Vec<NewEvent>, BoxError> {
        if !self.is_open {
            return Err("there is no such account".into());
        }
        self.event(AccountEvent::Deposited { cents: command.cents })
    }
}

impl Decider<Withdraw> for Account {
    fn decide(&self, command: &Withdraw) -> Result<Vec<NewEvent>, BoxError> {
        if command.cents > self.cents {
            return Err(format!("there are {} cents, not {}", self.cents, command.cents).into());
        }
        self.event(AccountEvent::Withdrawn { cents: command.cents })
    }
}

/// A row that is folded from the events.
#[derive(Clone, Serialize, Deserialize, TitoModel)]
struct Balance {
    id: String,
    owner: String,
    #[tito(index)]
    cents: u64,
}

struct Balances(TitoTable<Balance>);

impl Projector for Balances {
    fn name(&self) -> &str {
        "balances"
    }

    async fn project(&self, event: &Event, tx: &Transaction) -> Result<(), BoxError> {
        let id = event.entity_id();
        let change = match event.data()? {
            AccountEvent::Opened { owner } => {
                self.0.insert(&Balance { id: id.to_string(), owner, cents: 0 }, tx).await?;
                return Ok(());
            }
            AccountEvent::Deposited { cents } => cents.cast_signed(),
            AccountEvent::Withdrawn { cents } => -cents.cast_signed(),
        };
        let mut balance = self.0.get(id, tx).await?.ok_or("an account that was not opened")?;
        balance.cents = balance.cents.saturating_add_signed(change);
        self.0.update(&balance, tx).await?;
        Ok(())
    }
}

/// Carries a command out: by an account folded anew, and again if another command was quicker. One that comes a second
/// time under the id of its request is answered with what it came to.
async fn carry_out<C>(bank: &EventStore, number: u32, command: Envelope<C>) -> Result<Decision, EventStoreError>
where
    C: Command + Send + Sync,
    Account: Decider<C>,
{
    loop {
        let mut account = Account::new(number);
        bank.evolve(&mut account, format!("account.{number}")).await?;
        match bank.decide(&account, &command).await {
            Err(EventStoreError::SequenceConflict { .. }) => {}
            outcome => return outcome,
        }
    }
}

/// Tells the owner of large withdrawals.
async fn write_letter(event: Event) -> Result<(), BoxError> {
    if let AccountEvent::Withdrawn { cents: cents @ 10_000.. } = event.data()? {
        let asked_by = event.asked_by().unwrap_or("?");
        println!("letter: {cents} cents were withdrawn from {}, as {asked_by} has asked", event.entity());
    }
    Ok(())
}

/// Counts what was ever deposited, each deposit once.
async fn add_up(event: Event, tx: Transaction) -> Result<(), BoxError> {
    let AccountEvent::Deposited { cents } = event.data()? else { return Ok(()) };
    let key = b"deposited".to_vec();
    let before = tx.get(&key).await?.map_or(Ok(0), |text| String::from_utf8_lossy(&text).parse::<u64>())?;
    tx.put(key, (before + cents).to_string().into_bytes()).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let db = Database::open("memory:").await?;
    let manager = Manager::new(db.clone());
    let bank = manager.create_event_store(EventStoreConfig::new("bank")).await?;
    let view = bank.view("balances");
    let balances = Projection::new(&bank, Balances(view.model())).await?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let letters = bank.react("letters", "account.*.withdrawn", ReactFrom::First).await?;
    let deposits = bank.react("deposits", "account.*.deposited", ReactFrom::First).await?;
    let worker = Worker::builder(TitoQueue::new(db.clone()));
    let worker = deposits.subscribe(letters.subscribe(worker, write_letter), add_up);
    let worker = balances.subscribe(worker).build();
    let serving = worker.clone();
    let running = tokio::spawn(async move { serving.run(async { drop(stopped.await) }).await });

    for (number, owner) in [(1, "ada"), (2, "grace")] {
        carry_out(&bank, number, Envelope::new(Open { owner }).asked_by(owner)).await?;
    }
    // Deposits by many tasks at once: each is decided by the account as it is.
    let deposits = (0..50).map(|deposit| {
        let bank = bank.clone();
        tokio::spawn(async move { carry_out(&bank, 1 + deposit % 2, Envelope::new(Deposit { cents: 1_000 })).await })
    });
    for deposit in deposits.collect::<Vec<_>>() {
        deposit.await??;
    }
    let withdraw = || Envelope::new(Withdraw { cents: 20_000 });
    let once = withdraw().id("request-1").asked_by("ada");
    let decision = carry_out(&bank, 1, once.clone()).await?;
    // The answer was lost, say, and the request is sent again.
    let again = carry_out(&bank, 1, once).await?;
    assert!(again.is_repeated() && again.events() == decision.events());
    for event in decision.events() {
        println!("event {}: {}, asked for by {}", event.sequence(), event.subject(), event.asked_by().unwrap_or("?"));
    }
    for refused in
        [carry_out(&bank, 1, withdraw()).await, carry_out(&bank, 3, Envelope::new(Deposit { cents: 1 })).await]
    {
        match refused {
            Err(EventStoreError::Decider { source }) => println!("refused: {source}"),
            other => return Err(format!("this should have been refused: {other:?}").into()),
        }
    }

    // What the worker has not folded yet.
    balances.catch_up().await?;
    let rows = view.model::<Balance>();
    let all = view.transaction(|tx| async move { rows.query(Balance::BY_CENTS).reverse().all(&tx).await }).await?;
    for balance in &all {
        println!("{}: {} cents", balance.owner, balance.cents);
    }
    drop(stop);
    let report = running.await??;
    // What it had no time for.
    let rest = worker.drain().await?;
    let deposited = db.transaction(|tx| async move { tx.get(b"deposited").await }).await?.unwrap_or_default();
    println!("{} events handled, {} cents deposited", report.done + rest.done, String::from_utf8_lossy(&deposited));
    assert_eq!(deposited, b"50000");
    let events = bank.last_sequence().await?;
    println!("{events} events, {} accounts, {} cents", all.len(), all.iter().map(|balance| balance.cents).sum::<u64>());
    manager.close().await;
    Ok(())
}
