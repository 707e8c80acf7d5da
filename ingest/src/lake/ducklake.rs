//! The first snapshot of a new lake: schema `main` with all tables, partitioned by `day`, as DuckLake writes it.

use super::error::CatalogError;
use super::instant::time_text;
use super::table::Table;
use sqlx::{AnyConnection, AssertSqlSafe};

/// Adds the first snapshot, taken at `now` (microseconds UTC), to a catalog without rows.
pub(super) async fn create(db: &mut AnyConnection, now: i64) -> Result<(), CatalogError> {
    let (now, next_id) = (time_text(now), Table::NEXT_ID);
    execute(db, format!("INSERT INTO ducklake_snapshot VALUES (0, '{now}', 0, {next_id}, 0)"))
        .await?;
    sqlx::query("INSERT INTO ducklake_snapshot_changes VALUES (0, $1, 'trailhound', 'the lake is made', NULL)")
        .bind(format!(
            r#"created_schema:"main",{}"#,
            Table::ALL.map(|table| format!(r#"created_table:"main"."{}""#, table.name())).join(",")
        ))
        .execute(&mut *db)
        .await?;
    let uuid = uuid();
    execute(
        db,
        format!("INSERT INTO ducklake_schema VALUES (0, '{uuid}', 0, NULL, 'main', 'main/', TRUE)"),
    )
    .await?;
    sqlx::query("INSERT INTO ducklake_schema_versions VALUES (0, 0, NULL)")
        .execute(&mut *db)
        .await?;
    for table in Table::ALL {
        create_table(db, table).await?;
    }
    Ok(())
}

async fn create_table(db: &mut AnyConnection, table: Table) -> Result<(), CatalogError> {
    let (id, name, folder, uuid) = (table.id(), table.name(), table.folder(), uuid());
    execute(
        db,
        format!(
            "INSERT INTO ducklake_table VALUES ({id}, '{uuid}', 0, NULL, 0, '{name}', '{folder}/', TRUE)"
        ),
    )
    .await?;
    let schema = table.schema();
    for column in &schema.catalog_columns {
        let nested = matches!(column.lake_type, "list" | "struct");
        sqlx::query("INSERT INTO ducklake_column VALUES ($1, 0, NULL, $2, $3, $4, $5, NULL, 'NULL', TRUE, $6, $7, 'duckdb')")
            .bind(column.id)
            .bind(id)
            .bind(column.id)
            .bind(&column.name)
            .bind(column.lake_type)
            .bind(column.parent)
            .bind(if nested { "" } else { "literal" })
            .execute(&mut *db)
            .await?;
    }
    let day = schema
        .catalog_columns
        .iter()
        .find(|column| column.name == "day")
        .map_or(0, |column| column.id);
    sqlx::query("INSERT INTO ducklake_partition_info VALUES ($1, $2, 0, NULL)")
        .bind(table.partition_id())
        .bind(id)
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO ducklake_partition_column VALUES ($1, $2, 0, $3, 'identity')")
        .bind(table.partition_id())
        .bind(id)
        .bind(day)
        .execute(&mut *db)
        .await?;
    sqlx::query("INSERT INTO ducklake_table_stats VALUES ($1, 0, 0, 0)")
        .bind(id)
        .execute(&mut *db)
        .await?;
    Ok(())
}

/// Runs a statement made of the program's own text. Instants and identifiers stand in it as literals: no parameter type fits
/// what both databases take for them.
pub(super) async fn execute(db: &mut AnyConnection, statement: String) -> Result<(), CatalogError> {
    sqlx::query(AssertSqlSafe(statement)).execute(db).await?;
    Ok(())
}

fn uuid() -> String {
    uuid::Uuid::now_v7().to_string()
}
