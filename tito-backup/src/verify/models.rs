//! The application's own models, by which rows can be checked completely.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tito_core::Database;
use tito_core::model::{CheckReport, TitoSchema};

use crate::error::Result;

type Check = Arc<dyn Fn(&Database) -> BoxFuture<'static, tito_core::Result<CheckReport>> + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Models(Vec<(String, Check)>);

impl Models {
    pub(super) fn add<M: TitoSchema>(&mut self) {
        let check = |database: &Database| {
            let table = database.clone().model::<M>();
            async move { table.check().run().await }.boxed()
        };
        self.0.push((M::table().to_string(), Arc::new(check)));
    }

    /// What each check has found, by the table.
    pub(super) async fn checked(&self, database: &Database) -> Result<Vec<(String, CheckReport)>> {
        let mut reports = Vec::new();
        for (table, check) in &self.0 {
            reports.push((table.clone(), check(database).await?));
        }
        Ok(reports)
    }
}
