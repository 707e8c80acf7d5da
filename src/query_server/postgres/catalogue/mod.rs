//! The catalogue that clients of the PostgreSQL protocol read to find tables, columns, types and
//! settings: the schemas `pg_catalog` and `information_schema`, and the functions about them.

mod functions;
mod information_schema;
mod pg_catalog;
mod relations;
mod rows;

use super::cursors::OpenCursors;
use super::settings::{PG_CATALOG, SessionSettings};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use relations::Relations;
use std::fmt;
use std::sync::{Arc, OnceLock};
use trailhound_queries::session::Session;

/// Name of the engine's catalog.
const CATALOG: &str = "datafusion";
/// Schema of the tables that the SQL standard describes.
const INFORMATION_SCHEMA: &str = "information_schema";

/// True if an unqualified name can mean a table of the catalogue.
pub(super) fn is_catalogue_table(name: &str) -> bool {
    pg_catalog::has_table(name)
}

/// True if a table of `pg_catalog` never has rows: there is nothing of what it describes.
pub(super) fn is_always_empty(name: &str) -> bool {
    pg_catalog::NOTHING.contains(&name)
}

/// The objects that the tables of the catalogue describe.
#[derive(Clone)]
struct CatalogueSource {
    relations: Arc<OnceLock<Arc<Relations>>>,
    settings: Arc<SessionSettings>,
    cursors: OpenCursors,
}

impl CatalogueSource {
    fn relations(&self) -> Result<&Arc<Relations>> {
        let missing = || DataFusionError::Internal("the catalogue is not installed".to_owned());
        self.relations.get().ok_or_else(missing)
    }
}

/// Installs the catalogue in the context of `session`.
///
/// # Errors
/// The engine refuses a schema.
pub(super) fn install(
    session: &Session,
    settings: &Arc<SessionSettings>,
    cursors: &OpenCursors,
) -> Result<()> {
    let context = session.context();
    setup_pg_catalog(context, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    // Its `information_schema` has the engine's names of types.
    context.state_ref().write().config_mut().options_mut().catalog.information_schema = false;
    let catalog = context
        .catalog(CATALOG)
        .ok_or_else(|| DataFusionError::Internal("there is no catalog".to_owned()))?;
    let source = CatalogueSource {
        relations: Arc::default(),
        settings: Arc::clone(settings),
        cursors: Arc::clone(cursors),
    };
    let layer = catalog.schema(PG_CATALOG);
    let own = PgCatalogSchema { layer, source: source.clone() };
    catalog.register_schema(PG_CATALOG, Arc::new(own))?;
    catalog.register_schema(INFORMATION_SCHEMA, Arc::new(InformationSchema(source.clone())))?;
    let relations = Arc::new(Relations::new(catalog.as_ref()));
    source
        .relations
        .set(Arc::clone(&relations))
        .map_err(|_| DataFusionError::Internal("the catalogue is installed twice".to_owned()))?;
    functions::register(session, &relations, settings);
    Ok(())
}

/// The schema `pg_catalog`: tables that are built here, and those of the compatibility layer.
struct PgCatalogSchema {
    layer: Option<Arc<dyn SchemaProvider>>,
    source: CatalogueSource,
}

impl fmt::Debug for PgCatalogSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PG_CATALOG)
    }
}

#[async_trait]
impl SchemaProvider for PgCatalogSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layer.iter().flat_map(|l| l.table_names()).collect();
        names.extend(pg_catalog::table_names().map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let described = pg_catalog::Described {
            relations: self.source.relations()?.all().await?,
            settings: &self.source.settings,
            cursors: &self.source.cursors,
        };
        match (pg_catalog::table(name, &described)?, &self.layer) {
            (Some(table), _) => Ok(Some(table)),
            (None, Some(layer)) => {
                let table = layer.table(name).await?;
                match table.filter(|_| is_always_empty(name)) {
                    Some(full) => {
                        let empty = MemTable::try_new(full.schema(), vec![Vec::new()])?;
                        Ok(Some(Arc::new(empty)))
                    }
                    None => layer.table(name).await,
                }
            }
            (None, None) => Ok(None),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        pg_catalog::has_table(name)
    }
}

/// The schema `information_schema`.
struct InformationSchema(CatalogueSource);

impl fmt::Debug for InformationSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INFORMATION_SCHEMA)
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        information_schema::table_names().map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let described = information_schema::Described {
            relations: self.0.relations()?.all().await?,
            database: self.0.settings.database(),
            user: self.0.settings.user(),
        };
        information_schema::table(name, &described)
    }

    fn table_exist(&self, name: &str) -> bool {
        information_schema::table_names().any(|known| known == name)
    }
}
