//! Transfers between accounts while regions split, merge and move, and PD's look-ups fail: nothing is lost, nothing
//! made up, nothing done twice.
//!
//! `TITO_SEED` repeats a run. `TITO_BANK=large` makes 200,000 transfers over 200 regions in each of the two, in ten
//! minutes; with `TITO_BANK_SEEDS` so many seeds are gone through, from `TITO_SEED` on.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tito_mock_tikv::{Fault, FaultRule, MockCluster, Rpc};
use tito_tikv::{Client, Outcome, Reason, Transaction};

use crate::support::{client, cluster, quiet, settings};

const BEGINNING: i64 = 1_000;
const TASKS: usize = 32;

/// How large a run is.
#[derive(Clone, Copy, Debug)]
struct Size {
    transfers: usize,
    accounts: usize,
    regions: usize,
}

fn size(transfers: usize) -> Size {
    match std::env::var("TITO_BANK").as_deref() {
        Ok("large") => Size { transfers: 200_000, accounts: 2_000, regions: 200 },
        _ => Size { transfers, accounts: 200, regions: 20 },
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let first = number("TITO_SEED").unwrap_or(1);
    first..first + number("TITO_BANK_SEEDS").unwrap_or(1)
}

fn account(number: usize) -> String {
    format!("account/{number:06}")
}

fn note(number: usize) -> String {
    format!("note/{:02}/{number:08}", number % 97)
}

/// What became of the transfers, by the number of their note.
#[derive(Debug, Default)]
struct Book {
    begun: usize,
    audits: usize,
    committed: BTreeSet<usize>,
    not_committed: BTreeSet<usize>,
    unknown: BTreeSet<usize>,
}

async fn balance(transaction: &Transaction, number: usize) -> tito_tikv::Result<i64> {
    let value = transaction.get(account(number)).await?.expect("accounts are never deleted");
    Ok(String::from_utf8(value).unwrap().parse().unwrap())
}

/// One transfer; `None` if it could not be read.
async fn transfer(client: &Client, number: usize, from: usize, to: usize, amount: i64) -> Option<Outcome> {
    let mut transaction = client.begin().await.ok()?;
    let (left, right) = (balance(&transaction, from).await.ok()?, balance(&transaction, to).await.ok()?);
    transaction.put(account(from), (left - amount).to_string());
    transaction.put(account(to), (right + amount).to_string());
    transaction.insert(note(number), format!("{from} {to} {amount}"));
    Some(transaction.commit().await)
}

/// Reads all accounts of one snapshot, in one of three ways: whoever reads while money moves finds all of it. Whether
/// they could be read.
async fn audit(client: &Client, size: Size, number: usize) -> bool {
    let Ok(at) = client.timestamp().await else { return false };
    let snapshot = client.snapshot(at);
    let range = "account/".."account0";
    let found = match number / 50 % 3 {
        0 => snapshot.scan(range, usize::MAX).await,
        1 => snapshot.scan_reverse(range, usize::MAX).await,
        _ => snapshot.batch_get((0..size.accounts).map(account)).await,
    };
    let Ok(found) = found else { return false };
    assert_eq!(found.len(), size.accounts, "at {at}");
    let sum: i64 = found.iter().map(|(_, value)| String::from_utf8_lossy(value).parse::<i64>().unwrap()).sum();
    assert_eq!(sum, BEGINNING * size.accounts as i64, "at {at}");
    true
}

/// Moves, merges and splits regions, and keeps their number up: they go on splitting.
fn change(cluster: &MockCluster, size: Size, random: &mut fastrand::Rng) {
    cluster.shuffle(random);
    if cluster.regions().len() < size.regions {
        let key = if random.bool() { account(random.usize(0..size.accounts)) } else { note(random.usize(0..97)) };
        // Somebody else may have split there.
        let _ = cluster.split(key);
    }
}

async fn work(cluster: MockCluster, client: Client, book: Rc<RefCell<Book>>, size: Size, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    loop {
        let number = {
            let mut book = book.borrow_mut();
            if book.committed.len() >= size.transfers || book.begun > 50 * size.transfers {
                return;
            }
            book.begun += 1;
            book.begun
        };
        if number.is_multiple_of(20) {
            change(&cluster, size, &mut random);
        }
        if number.is_multiple_of(50) && audit(&client, size, number).await {
            book.borrow_mut().audits += 1;
        }
        let from = random.usize(0..size.accounts);
        let to = (from + random.usize(1..size.accounts)) % size.accounts;
        let outcome = transfer(&client, number, from, to, random.i64(1..10)).await;
        let mut book = book.borrow_mut();
        match outcome {
            Some(Outcome::Committed(_)) => book.committed.insert(number),
            Some(Outcome::Unknown(_)) => book.unknown.insert(number),
            Some(Outcome::NotCommitted(reason)) => {
                // Of a transfer without locks, no other reason is one.
                assert!(!matches!(reason, Reason::TooOld { .. }), "{reason:?}");
                book.not_committed.insert(number)
            }
            None => book.not_committed.insert(number),
        };
    }
}

/// Whatever is wrong with what is stored, by what was reported.
async fn wrong(client: &Client, book: &Book, size: Size) -> Vec<String> {
    let snapshot = client.snapshot(client.timestamp().await.unwrap());
    let notes: BTreeMap<usize, String> = (snapshot.scan("note/".."note0", usize::MAX).await.unwrap().into_iter())
        .map(|(key, value)| {
            let number = String::from_utf8_lossy(&key).rsplit('/').next().unwrap().parse().unwrap();
            (number, String::from_utf8(value).unwrap())
        })
        .collect();
    let mut wrong = Vec::new();
    for number in &book.committed {
        if !notes.contains_key(number) {
            wrong.push(format!("the note of {number} is lost, which was committed"));
        }
    }
    for number in &book.not_committed {
        if notes.contains_key(number) {
            wrong.push(format!("{number} was done, which was not committed"));
        }
    }
    let mut expected = vec![BEGINNING; size.accounts];
    for note in notes.values() {
        let parts: Vec<i64> = note.split(' ').map(|part| part.parse().unwrap()).collect();
        expected[parts[0] as usize] -= parts[2];
        expected[parts[1] as usize] += parts[2];
    }
    let stored = snapshot.scan("account/".."account0", usize::MAX).await.unwrap();
    assert_eq!(stored.len(), size.accounts);
    for (number, (key, value)) in stored.iter().enumerate() {
        assert_eq!(key, account(number).as_bytes());
        let found: i64 = String::from_utf8_lossy(value).parse().unwrap();
        if found != expected[number] {
            wrong.push(format!("account {number}: expected {} by its notes, found {found}", expected[number]));
        }
    }
    wrong
}

async fn open(size: Size) -> (MockCluster, Client) {
    let each = size.accounts.div_ceil(size.regions / 2);
    let boundaries = (1..size.accounts).filter(|number| number % each == 0).map(account);
    let of_notes = (1..size.regions / 2).map(|number| format!("note/{:02}", number * 97 / (size.regions / 2)));
    let all: Vec<String> = boundaries.chain(["note/".to_owned()]).chain(of_notes).collect();
    let cluster = cluster(MockCluster::builder().stores(3).split_at(all)).await;
    let first = client(&cluster).await;
    for chunk in (0..size.accounts).collect::<Vec<_>>().chunks(500) {
        let mut transaction = first.begin().await.unwrap();
        for number in chunk {
            transaction.put(account(*number), BEGINNING.to_string());
        }
        transaction.commit().await.committed().unwrap();
    }
    (cluster, first)
}

/// Makes transfers while so many of PD's look-ups fail.
async fn run(size: Size, failing: f64, seed: u64) -> Book {
    let (cluster, checker) = open(size).await;
    let client = settings(&cluster).seed(seed).connect().await.unwrap();
    for (rpc, fault) in [
        (Rpc::GetRegion, Fault::PdError),
        (Rpc::GetPrevRegion, Fault::PdError),
        (Rpc::GetRegionById, Fault::PdError),
        (Rpc::ScanRegions, Fault::PdError),
        (Rpc::GetStore, Fault::DropRequest),
    ] {
        cluster.faults().add(FaultRule::on(rpc, fault).with_probability(failing, seed));
    }
    // Regions have to be looked up often, and answers get lost.
    for (fault, probability) in [
        (Fault::RegionNotFound, 0.02),
        (Fault::NotLeader, 0.02),
        (Fault::DropRequest, 0.002),
        (Fault::DropResponse, 0.002),
    ] {
        for rpc in [
            Rpc::KvGet,
            Rpc::KvScan,
            Rpc::KvBatchGet,
            Rpc::KvPrewrite,
            Rpc::KvCommit,
            Rpc::KvCheckTxnStatus,
            Rpc::KvResolveLock,
        ] {
            cluster.faults().add(FaultRule::on(rpc, fault.clone()).with_probability(probability, seed));
        }
    }
    let book = Rc::new(RefCell::new(Book::default()));
    let tasks = tokio::task::LocalSet::new();
    for task in 0..TASKS as u64 {
        tasks.spawn_local(work(cluster.clone(), client.clone(), book.clone(), size, seed * 1_000 + task));
    }
    tasks.await;
    cluster.faults().clear();
    quiet().await;
    let book = Rc::into_inner(book).unwrap().into_inner();
    println!(
        "seed {seed}: {} committed, {} not, {} unknown, {} audits, {} regions, {} faults",
        book.committed.len(),
        book.not_committed.len(),
        book.unknown.len(),
        book.audits,
        cluster.regions().len(),
        cluster.faults().injected().total()
    );
    let wrong = wrong(&checker, &book, size).await;
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    assert!(book.committed.len() >= size.transfers, "seed {seed}: only {} were committed", book.committed.len());
    assert!(book.audits > 0, "seed {seed}: nobody could read all");
    assert!(cluster.faults().injected().of(&Fault::PdError) > size.transfers as u64 / 20, "look-ups failed");
    book
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_made_up_or_done_twice_while_a_third_of_the_look_ups_fail() {
    for seed in seeds() {
        run(size(1_000), 0.3, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_made_up_or_done_twice_while_nine_of_ten_look_ups_fail() {
    for seed in seeds() {
        run(size(300), 0.9, seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_made_up_or_torn_would_be_found() {
    let size = Size { transfers: 20, accounts: 20, regions: 4 };
    for (what, expected) in [("lost", "is lost"), ("made up", "was done"), ("torn", "by its notes")] {
        let (cluster, client) = open(size).await;
        let book = Rc::new(RefCell::new(Book::default()));
        work(cluster.clone(), client.clone(), book.clone(), size, 1).await;
        let mut book = Rc::into_inner(book).unwrap().into_inner();
        assert_eq!(wrong(&client, &book, size).await, [""; 0]);
        let number = *book.committed.first().unwrap();
        let mut vandal = client.begin().await.unwrap();
        match what {
            // As a client does that drops a region in a commit: the note is not there, or an account is not written.
            "lost" => vandal.delete(note(number)),
            "torn" => vandal.put(account(3), "7"),
            _ => {
                book.committed.remove(&number);
                book.not_committed.insert(number);
            }
        }
        let _ = vandal.commit().await;
        assert!(wrong(&client, &book, size).await.iter().any(|wrong| wrong.contains(expected)), "{what}");
    }
}
