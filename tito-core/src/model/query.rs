//! Queries: rows by index or by id, in order.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound;

use futures::future;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};

use super::cursor::Cursor;
use super::damage::Damaged;
use super::index::{Index, IndexDefinition};
use super::query_args::{IndexArgs, IndexPrefix, IndexRange};
use super::repository::TitoTable;
use super::schema::TitoSchema;
use super::walk::{Found, FoundRow, Source, Walk};
use crate::database::Transaction;
use crate::error::{Result, TitoError};
use crate::keys::{self, InvalidIndexValue, KeyRange};

/// How many rows a page has by default.
const ROWS_OF_A_PAGE: usize = 100;

/// In the place of an index's kinds: a query by id.
#[derive(Debug)]
pub enum ById {}

/// One page of a query's rows.
#[derive(Debug)]
pub struct Page<M> {
    /// The rows. A row that can't be read is an error in its place: [`TitoError::Malformed`], which names its key.
    pub rows: Vec<Result<M>>,
    /// Where the next page begins, if there is more: pass it to [`Query::after`] of the same query.
    pub next: Option<Cursor>,
}

impl<M> Page<M> {
    /// The rows, if all of them can be read.
    ///
    /// # Errors
    /// [`TitoError::DamagedRows`], which names the others.
    pub fn into_rows(self) -> Result<Vec<M>> {
        let mut damaged = Damaged::default();
        let rows = self.rows.into_iter().filter_map(|row| damaged.sort_out(row)).collect();
        damaged.none().map(|()| rows)
    }
}

/// A query over the rows of `M`, in the order of an index of fields of kinds `K`, or [by id](ById).
///
/// Narrowing calls can be combined; a row has to satisfy all of them. Nothing is read before one of
/// [`all`](Query::all), [`first`](Query::first), [`page`](Query::page), [`stream`](Query::stream), [`ids`](Query::ids)
/// and [`count`](Query::count) is called, and then in requests of bounded size. All of them read the rows themselves,
/// so an index entry that belongs to no row is ignored. A row with several values in an index appears once for each
/// that is in the range.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tito_core::model::Index;
/// # use tito_core::prelude::*;
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct User { id: String, org: String, age: u32 }
/// # impl TitoModelTrait for User {
/// #     fn id(&self) -> String { self.id.clone() }
/// #     fn table(&self) -> String { "user".to_string() }
/// # }
/// const BY_ORG_AND_AGE: Index<User, (String, u32)> = Index::new("by_org_and_age", false);
///
/// # async fn example(users: TitoTable<User>, tx: tito_core::Transaction) -> Result<(), TitoError> {
/// let eldest = users.query(BY_ORG_AND_AGE).prefix("acme").reverse().first(&tx).await?;
/// let adults = users.query(BY_ORG_AND_AGE).prefix("acme").range(("acme", 18)..).limit(50).page(&tx).await?;
/// let twins = users.query(BY_ORG_AND_AGE).equals(("acme", 40)).all(&tx).await?;
/// # Ok(())
/// # }
/// ```
///
/// A value of a different type than the index's does not compile:
///
/// ```compile_fail,E0277
/// # use serde::{Deserialize, Serialize};
/// # use tito_core::prelude::*;
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct User { id: String, age: u32 }
/// # impl TitoModelTrait for User {
/// #     fn id(&self) -> String { self.id.clone() }
/// #     fn table(&self) -> String { "user".to_string() }
/// # }
/// const BY_AGE: Index<User, (u32,)> = Index::new("by_age", false);
///
/// # fn example(users: TitoTable<User>) {
/// let _ = users.query(BY_AGE).equals("forty");
/// # }
/// ```
#[must_use = "a query reads nothing by itself"]
pub struct Query<M, K> {
    table: Cow<'static, str>,
    source: Source,
    /// An error of a narrowing call is kept until the query is run.
    range: Result<KeyRange>,
    reverse: bool,
    limit: Option<usize>,
    after: Option<Cursor>,
    of: PhantomData<fn() -> (M, K)>,
}

impl<M: TitoSchema> TitoTable<M> {
    /// The rows in the order of an index.
    pub fn query<K>(&self, index: Index<M, K>) -> Query<M, K> {
        let name = index.name();
        let source = Source::Index { name: Cow::Borrowed(name), unique: index.is_unique() };
        let range = check_index::<M>(&self.table, name, Some(index.is_unique()))
            .map(|_| keys::index_entries(&self.table, name));
        Query::new(self.table.clone(), source, range)
    }

    /// The rows of the table in the order of their ids, which are compared as text.
    pub fn rows(&self) -> Query<M, ById> {
        Query::new(self.table.clone(), Source::Rows, Ok(keys::rows(&self.table)))
    }
}

/// The model's index with this name; an error if there is none, or if its uniqueness is not as `expected`.
pub(super) fn check_index<M: TitoSchema>(table: &str, name: &str, expected: Option<bool>) -> Result<IndexDefinition> {
    let invalid = |reason| TitoError::InvalidIndex { table: table.to_string(), index: name.to_string(), reason };
    let definitions = M::index_definitions();
    let Some(definition) = definitions.into_iter().find(|definition| definition.name == name) else {
        return Err(invalid("the model does not define it"));
    };
    match (expected, definition.unique) {
        (Some(false), true) => Err(invalid("the model defines it as unique, the handle does not")),
        (Some(true), false) => Err(invalid("the handle says that it is unique, the model does not")),
        _ => Ok(definition),
    }
}

impl<M: TitoSchema, K> Query<M, K> {
    fn new(table: Cow<'static, str>, source: Source, range: Result<KeyRange>) -> Self {
        Self { table, source, range, reverse: false, limit: None, after: None, of: PhantomData }
    }

    /// Only rows with these values in all fields: a value for an index of one field, else a tuple.
    pub fn equals<A: IndexArgs<K>>(self, values: A) -> Self {
        self.prefix(values)
    }

    /// Only rows with these values in the leading fields: a value for one, or a tuple.
    pub fn prefix<A: IndexPrefix<K>>(self, values: A) -> Self {
        self.narrow(|table, index| {
            let mut fields = Vec::new();
            values.encode_fields(&mut fields)?;
            let bound = Bound::Included(fields.as_slice());
            Ok(keys::index_range(table, index, bound, bound))
        })
    }

    /// Only rows whose leading fields, as many as the bounds have, are between the bounds: values for the first field
    /// or tuples, in any form of range (`a..b`, `a..=b`, `a..`, or a pair of [`Bound`]s).
    pub fn range<R: IndexRange<K>>(self, range: R) -> Self {
        self.narrow(|table, index| {
            let (start, end) = range.encode_bounds()?;
            Ok(keys::index_range(table, index, start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice)))
        })
    }

    fn narrow(mut self, range: impl FnOnce(&str, &str) -> Result<KeyRange, InvalidIndexValue>) -> Self {
        if let Source::Index { name, .. } = &self.source {
            let invalid = |invalid: InvalidIndexValue| TitoError::InvalidIndexValue {
                table: self.table.to_string(),
                index: name.to_string(),
                reason: invalid.to_string(),
            };
            self.range = self
                .range
                .and_then(|whole| range(&self.table, name).map(|range| whole.intersection(range)).map_err(invalid));
        }
        self
    }

    /// The last rows first.
    pub fn reverse(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    /// At most this many rows; for [`page`](Query::page), the size of the page.
    pub fn limit(mut self, rows: usize) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Only rows past the place of a cursor: [`Page::next`] of the same query. `None` is the beginning. Rows inserted
    /// or deleted before that place meanwhile make no difference.
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }

    fn walk(self, limit: Option<usize>) -> Result<Walk<M>> {
        let mut walk = Walk::new(self.table, self.source, self.range?, self.reverse, limit);
        if let Some(cursor) = &self.after {
            walk.start_after(cursor)?;
        }
        Ok(walk)
    }

    /// The rows.
    ///
    /// # Errors
    /// [`TitoError::InvalidIndex`] if the model has no such index; [`TitoError::IndexNotBuilt`] if it lacks entries of
    /// some rows; [`TitoError::InvalidIndexValue`] for a value that has no place in an order;
    /// [`TitoError::InvalidCursor`] for a cursor of another query; [`TitoError::DamagedRows`], which names the keys, if
    /// there are rows that can't be read; those of the engine.
    pub async fn all(self, tx: &Transaction) -> Result<Vec<M>> {
        let mut rows = Vec::new();
        self.see_all(tx, |found| rows.push(found.row)).await?;
        Ok(rows)
    }

    /// Shows `see` every row; an error if there are some that can't be read.
    async fn see_all(self, tx: &Transaction, mut see: impl FnMut(FoundRow<M>) + Send) -> Result<()> {
        let limit = self.limit;
        let mut walk = self.walk(limit)?;
        let mut damaged = Damaged::default();
        while let Some(found) = walk.next(tx).await? {
            found.into_iter().filter_map(|found| damaged.sort_out(found)).for_each(&mut see);
        }
        damaged.none()
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// Those of [`all`](Query::all), but [`TitoError::Malformed`] if the first row is one that can't be read.
    pub async fn first(self, tx: &Transaction) -> Result<Option<M>> {
        self.limit(1).page(tx).await?.rows.pop().transpose()
    }

    /// One page of rows: as many as the limit says, 100 without one. Rows that can't be read are errors in their
    /// places.
    ///
    /// # Errors
    /// Those of [`all`](Query::all), without [`TitoError::DamagedRows`].
    pub async fn page(self, tx: &Transaction) -> Result<Page<M>> {
        let limit = self.limit.unwrap_or(ROWS_OF_A_PAGE);
        let mut walk = self.walk(Some(limit))?;
        let mut rows = Vec::new();
        while let Some(found) = walk.next(tx).await? {
            rows.extend(found.into_iter().map(|found| found.map(|found| found.row)));
        }
        Ok(Page { rows, next: walk.cursor() })
    }

    /// The rows one by one, read in requests of bounded size as the stream is polled. It holds a handle to the
    /// transaction, so it sees what is written in it meanwhile, and ends with an error once the transaction has ended.
    ///
    /// A row that can't be read is an error in its place, [`TitoError::Malformed`], which names its key, and the stream goes
    /// on. Other errors are those of [`all`](Query::all); the stream ends after one.
    pub fn stream(self, tx: &Transaction) -> impl Stream<Item = Result<M>> + Send + Unpin + use<M, K> {
        let (limit, tx) = (self.limit, tx.clone());
        let walk = self.walk(limit);
        stream::once(future::ready(walk)).map_ok(move |walk| pages(walk, tx.clone())).try_flatten().boxed()
    }

    /// The ids of the rows.
    ///
    /// # Errors
    /// Those of [`all`](Query::all).
    pub async fn ids(self, tx: &Transaction) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        self.see_all(tx, |found| ids.push(found.id)).await?;
        Ok(ids)
    }

    /// How many rows there are. Reads them all.
    ///
    /// # Errors
    /// Those of [`all`](Query::all).
    pub async fn count(self, tx: &Transaction) -> Result<u64> {
        let mut count = 0;
        self.see_all(tx, |_| count += 1).await?;
        Ok(count)
    }
}

fn pages<M: TitoSchema>(walk: Walk<M>, tx: Transaction) -> impl Stream<Item = Result<M>> + Send {
    stream::try_unfold((walk, tx), async move |(mut walk, tx)| {
        let page = walk.next(&tx).await?;
        Ok::<_, TitoError>(page.map(|found| (found, (walk, tx))))
    })
    .map_ok(|page: Vec<Found<M>>| stream::iter(page.into_iter().map(|found| found.map(|found| found.row))))
    .try_flatten()
}

impl<M: TitoSchema> Query<M, (String,)> {
    /// Only rows whose value begins with `text`.
    pub fn starts_with(self, text: &str) -> Self {
        self.narrow(|table, index| Ok(keys::index_text_range(table, index, text)))
    }
}

impl<M: TitoSchema> Query<M, ById> {
    /// Only rows whose id begins with `text`.
    pub fn starts_with(mut self, text: &str) -> Self {
        let range = keys::rows_with_prefix(&self.table, text);
        self.range = self.range.map(|whole| whole.intersection(range));
        self
    }
}

impl<M, K> fmt::Debug for Query<M, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("table", &self.table)
            .field("source", &self.source)
            .field("range", &self.range)
            .field("reverse", &self.reverse)
            .field("limit", &self.limit)
            .field("after", &self.after)
            .finish()
    }
}
