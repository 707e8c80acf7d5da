//! Tables of SQL over what stands beside the lake's catalogue, read anew by each query that asks for them.

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, FromRow};
use std::fmt::Debug;
use std::sync::Arc;
use trailhound_datasets::layout::CatalogPlace;

/// What such a table is made of.
pub(crate) trait Beside: Debug + Send + Sync {
    /// A row of the catalogue.
    type Row: for<'r> FromRow<'r, AnyRow> + Send + Unpin;
    /// The statement that reads them all.
    const ALL: &'static str;

    /// The table's columns.
    fn schema() -> SchemaRef;

    /// The rows as the table shows them.
    ///
    /// # Errors
    /// Where a row is not what it should be.
    fn batch(rows: Vec<Self::Row>) -> Result<RecordBatch, DataFusionError>;
}

/// The table; empty without a catalogue.
#[derive(Debug)]
pub(crate) struct BesideTable<B> {
    place: Option<CatalogPlace>,
    of: std::marker::PhantomData<B>,
}

impl<B: Beside> BesideTable<B> {
    pub(crate) fn new(place: Option<CatalogPlace>) -> Self {
        Self { place, of: std::marker::PhantomData }
    }

    async fn rows(&self) -> Result<Vec<B::Row>, DataFusionError> {
        let external = |e: sqlx::Error| DataFusionError::External(Box::new(e));
        let Some(place) = &self.place else { return Ok(Vec::new()) };
        sqlx::any::install_default_drivers();
        let mut catalogue = AnyConnection::connect(&place.url()).await.map_err(external)?;
        sqlx::query_as(B::ALL).fetch_all(&mut catalogue).await.map_err(external)
    }
}

#[async_trait]
impl<B: Beside + 'static> TableProvider for BesideTable<B> {
    fn schema(&self) -> SchemaRef {
        B::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let batch = B::batch(self.rows().await?)?;
        MemTable::try_new(B::schema(), vec![vec![batch]])?.scan(state, projection, filters, limit).await
    }
}
