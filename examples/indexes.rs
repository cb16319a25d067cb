//! Indexes by the derive, and what can be asked of them. Every index has a typed handle, so that a query over an index
//! that does not exist, or by a value of another type, does not compile.
//!
//! `cargo run -p tito-examples --example indexes`; in memory, leaves nothing behind.
#![allow(clippy::print_stdout)]

use serde::{Deserialize, Serialize};
use tito_core::BoxError;
use tito_core::model::Cursor;
use tito_core::prelude::*;

#[derive(Clone, Serialize, Deserialize, TitoModel)]
#[tito(index(name = "by_author_and_year", fields(author, year)))]
#[tito(index(name = "by_isbn", fields(isbn), unique))]
struct Book {
    id: String,
    title: String,
    #[tito(index)] // equality: "by_author"
    author: String,
    year: i32,
    isbn: String,
    #[tito(index)] // one entry for each element: "by_subjects"
    subjects: Vec<String>,
    #[tito(index(name = "by_copies_lent", when = self.lent > 0))] // no entry for books that are all there
    lent: u32,
}

fn book(id: &str, title: &str, author: &str, year: i32, subjects: &[&str], lent: u32) -> Book {
    Book {
        id: id.to_string(),
        title: title.to_string(),
        author: author.to_string(),
        year,
        isbn: format!("isbn-{id}"),
        subjects: subjects.iter().map(ToString::to_string).collect(),
        lent,
    }
}

fn show(question: &str, books: &[Book]) {
    println!("{question}");
    for book in books {
        println!(
            "    {:>5}  {:<13} {:<26} lent {}  {}",
            book.year,
            book.author,
            book.title,
            book.lent,
            book.subjects.join(", ")
        );
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let db = Database::open("memory:").await?;
    let books = db.model::<Book>();
    let shelf = [
        book("1", "The Dispossessed", "Le Guin", 1974, &["utopia", "physics"], 2),
        book("2", "A Wizard of Earthsea", "Le Guin", 1968, &["magic"], 0),
        book("3", "The Left Hand of Darkness", "Le Guin", 1969, &["winter", "politics"], 1),
        book("4", "Solaris", "Lem", 1961, &["oceans"], 3),
        book("5", "The Cyberiad", "Lem", 1965, &["robots", "physics"], 0),
        book("6", "The Odyssey", "Homer", -700, &["oceans", "magic"], 1),
    ];
    let insert = db.transaction(|tx| {
        let (books, shelf) = (books.clone(), shelf.clone());
        async move {
            for book in &shelf {
                books.insert(book, &tx).await?;
            }
            Ok(())
        }
    });
    insert.await?;

    // One transaction, so all queries see one state of the data.
    let tx = db.begin().await?;
    show("Equality: by Lem", &books.query(Book::BY_AUTHOR).equals("Lem").all(&tx).await?);
    show(
        "Prefix of a composite index: by Le Guin, in the order of the years",
        &books.query(Book::BY_AUTHOR_AND_YEAR).prefix("Le Guin").all(&tx).await?,
    );
    show(
        "Range, backwards: by Le Guin from 1969 on, the latest first",
        &books.query(Book::BY_AUTHOR_AND_YEAR).prefix("Le Guin").range(("Le Guin", 1969)..).reverse().all(&tx).await?,
    );
    show("Text that begins with: authors with Le", &books.query(Book::BY_AUTHOR).starts_with("Le").all(&tx).await?);
    show("Many values a row: about physics", &books.query(Book::BY_SUBJECTS).equals("physics").all(&tx).await?);
    show(
        "Conditional: of the books that are lent, the one lent most",
        &books.query(Book::BY_COPIES_LENT).reverse().limit(1).all(&tx).await?,
    );

    println!("Pages of two, by id; a cursor is a text that a client can hand back later");
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = books.rows().limit(2).after(cursor).page(&tx).await?;
        let titles = page.rows.into_iter().map(|book| Ok(book?.title)).collect::<Result<Vec<_>, TitoError>>()?;
        println!("    {}", titles.join(", "));
        match page.next {
            Some(next) => cursor = Some(next.to_string().parse()?),
            None => break,
        }
    }
    tx.rollback().await;

    println!("Unique: another book with the ISBN of Solaris");
    let copy = Book { isbn: "isbn-4".to_string(), ..book("7", "Solaris, again", "Lem", 1961, &[], 0) };
    let refused = db.transaction(|tx| async move { books.insert(&copy, &tx).await }).await;
    match refused {
        Err(error) => println!("    refused by {:?}: {error}", error.violated_index()),
        Ok(()) => return Err("a second book with one ISBN was taken".into()),
    }
    Ok(())
}
