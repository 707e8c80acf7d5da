//! The tables and views that clients can see, with their OIDs and columns.

use super::super::settings::{PG_CATALOG, SCHEMA};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::error::Result;
use datafusion::logical_expr::TableType;
use datafusion_postgres::arrow_pg::datatypes::field_into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// OIDs of the schemas.
pub(super) const SCHEMAS: [(&str, i32); 3] =
    [("information_schema", 13_000), ("pg_catalog", 11), ("public", 2_200)];
/// The first OID of a table of users.
const USER_OIDS: i32 = 16_384;
/// The first OID of those tables of the catalogue that have no well-known one.
const SYSTEM_OIDS: i32 = 12_000;
/// OID of the user who owns everything.
pub(super) const OWNER: i32 = 10;
/// OIDs by which PostgreSQL's clients know tables of the catalogue.
const WELL_KNOWN: [(&str, i32); 9] = [
    ("pg_attribute", 1_249),
    ("pg_class", 1_259),
    ("pg_constraint", 2_606),
    ("pg_database", 1_262),
    ("pg_description", 2_609),
    ("pg_index", 2_610),
    ("pg_namespace", 2_615),
    ("pg_proc", 1_255),
    ("pg_type", 1_247),
];

/// A table or view.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    pub(super) oid: i32,
    pub(super) schema: &'static str,
    pub(super) name: String,
    pub(super) is_view: bool,
    pub(super) columns: SchemaRef,
}

/// The tables and views, which are looked up once for each connection: their columns do not change.
#[derive(Debug)]
pub(super) struct Relations {
    schemas: Vec<(&'static str, Arc<dyn SchemaProvider>)>,
    all: OnceCell<Vec<Relation>>,
    /// OIDs by schema and name, which need no look-up of columns.
    names: BTreeMap<(&'static str, String), i32>,
}

impl Relations {
    /// The relations of the schemas of `catalog`.
    pub(super) fn new(catalog: &dyn CatalogProvider) -> Self {
        let schemas: Vec<_> = SCHEMAS
            .into_iter()
            .filter_map(|(name, _)| catalog.schema(name).map(|schema| (name, schema)))
            .collect();
        let mut names = BTreeMap::new();
        let (mut user, mut system) = (USER_OIDS, SYSTEM_OIDS);
        for (schema, provider) in &schemas {
            let mut tables = provider.table_names();
            tables.sort();
            for table in tables {
                let well_known = WELL_KNOWN.iter().find(|(name, _)| *name == table);
                let next = if *schema == "public" { &mut user } else { &mut system };
                let oid = match well_known {
                    Some((_, oid)) if *schema == "pg_catalog" => *oid,
                    _ => {
                        *next += 1;
                        *next
                    }
                };
                names.insert((*schema, table), oid);
            }
        }
        Self { schemas, all: OnceCell::new(), names }
    }

    /// Every relation with its columns, by schema and name.
    ///
    /// # Errors
    /// A view cannot be planned.
    pub(super) async fn all(&self) -> Result<&[Relation]> {
        let look_up = async {
            let mut all = Vec::new();
            for (schema, provider) in &self.schemas {
                for ((_, name), oid) in self.names.iter().filter(|((of, _), _)| of == schema) {
                    // The columns of the catalogue's own tables are not listed.
                    let columns = match *schema {
                        SCHEMA => provider.table(name).await?.map(|table| table.schema()),
                        _ => None,
                    };
                    let is_view = match *schema {
                        SCHEMA => provider.table_type(name).await? == Some(TableType::View),
                        schema => schema != PG_CATALOG,
                    };
                    let (name, columns) = (name.clone(), columns.unwrap_or_else(no_columns));
                    all.push(Relation { oid: *oid, schema, name, is_view, columns });
                }
            }
            Ok(all)
        };
        self.all.get_or_try_init(|| look_up).await.map(Vec::as_slice)
    }

    /// The OID of a relation.
    pub(super) fn oid(&self, schema: &str, name: &str) -> Option<i32> {
        let found = self.names.iter().find(|((of, known), _)| *of == schema && known == name);
        found.map(|(_, oid)| *oid)
    }

    /// Schema and name of the relation with this OID.
    pub(super) fn name(&self, oid: i32) -> Option<(&'static str, &str)> {
        let found = self.names.iter().find(|(_, known)| **known == oid);
        found.map(|((schema, name), _)| (*schema, name.as_str()))
    }
}

fn no_columns() -> SchemaRef {
    Arc::new(Schema::empty())
}

/// The OID of a schema.
pub(super) fn schema_oid(schema: &str) -> i32 {
    SCHEMAS.iter().find(|(name, _)| *name == schema).map_or(0, |(_, oid)| *oid)
}

/// The type of a column.
pub(super) fn column_type(field: &FieldRef) -> Type {
    // Unsigned numbers are sent as signed ones.
    match field.data_type() {
        DataType::UInt64 | DataType::UInt32 => Type::INT8,
        _ => field_into_pg_type(field).unwrap_or(Type::TEXT),
    }
}
