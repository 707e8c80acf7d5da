//! The SQL schema of a session: its tables and the views over them.
//!
//! A view is planned when a statement first names it: `SELECT count(*) FROM signins` plans
//! `signins` and none of the other views. A session for a single query, of which detection makes
//! many, then costs no view at all.

use crate::tables::views::VIEWS;
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

type TablesByName = BTreeMap<String, Arc<dyn TableProvider>>;
/// The state of the session's context; `None` once the context is dropped.
type CurrentState = Box<dyn Fn() -> Option<SessionState> + Send + Sync>;

/// The tables of a session, and those of its views that statements have named so far.
#[derive(Default)]
struct Relations {
    tables: TablesByName,
    /// Planned over `tables`: every change there empties it.
    planned_views: TablesByName,
    /// How often `tables` has changed.
    version: u64,
}

/// The schema `public` of a session's context.
#[derive(Default)]
pub(super) struct SessionSchema {
    relations: Mutex<Relations>,
    /// Plans the views. The context owns this schema, so the schema holds no strong reference to
    /// it.
    state: OnceLock<CurrentState>,
}

impl SessionSchema {
    /// Makes it the schema `public` of `context`.
    ///
    /// # Errors
    /// [`DataFusionError`] where the context has no default catalog.
    pub(super) fn install(context: &SessionContext) -> Result<(), DataFusionError> {
        let schema = Arc::new(Self::default());
        let weak_state = context.state_weak_ref();
        let _ = schema
            .state
            .set(Box::new(move || weak_state.upgrade().map(|state| state.read().clone())));
        let options = context.copied_config();
        let catalog = &options.options().catalog;
        context
            .catalog(&catalog.default_catalog)
            .ok_or_else(|| DataFusionError::Internal("there is no default catalog".to_owned()))?
            .register_schema(&catalog.default_schema, schema)?;
        Ok(())
    }

    fn relations(&self) -> MutexGuard<'_, Relations> {
        self.relations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn plan_view(&self, sql: &str) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let state = self.state.get().and_then(|state| state()).ok_or_else(|| {
            DataFusionError::Execution("the session of this view has ended".to_owned())
        })?;
        let plan = state.create_logical_plan(sql).await?;
        Ok(DataFrame::new(state, plan).into_view())
    }
}

impl fmt::Debug for SessionSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.table_names()).finish()
    }
}

#[async_trait]
impl SchemaProvider for SessionSchema {
    fn table_names(&self) -> Vec<String> {
        let views = VIEWS.iter().map(|(name, _)| (*name).to_owned());
        self.relations().tables.keys().cloned().chain(views).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let version = {
            let relations = self.relations();
            let known = relations.tables.get(name).or_else(|| relations.planned_views.get(name));
            if known.is_some() {
                return Ok(known.cloned());
            }
            relations.version
        };
        let Some(sql) = view(name) else { return Ok(None) };
        let planned = self.plan_view(sql).await?;
        let mut relations = self.relations();
        if relations.version == version {
            relations.planned_views.insert(name.to_owned(), Arc::clone(&planned));
        }
        Ok(Some(planned))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        let of_table = self.relations().tables.get(name).map(|table| table.table_type());
        Ok(of_table.or_else(|| view(name).map(|_| TableType::View)))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if self.table_exist(&name) {
            return Err(DataFusionError::Execution(format!("The table {name} already exists")));
        }
        let mut relations = self.relations();
        relations.changed();
        Ok(relations.tables.insert(name, table))
    }

    fn deregister_table(
        &self,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let mut relations = self.relations();
        relations.changed();
        Ok(relations.tables.remove(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.relations().tables.contains_key(name) || view(name).is_some()
    }
}

impl Relations {
    fn changed(&mut self) {
        self.planned_views.clear();
        self.version += 1;
    }
}

/// The query of the view `name`.
fn view(name: &str) -> Option<&'static str> {
    VIEWS.iter().find(|(view, _)| *view == name).map(|(_, sql)| *sql)
}
