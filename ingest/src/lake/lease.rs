//! Leases for tasks that only one service on a lake may run at a time. A service holds the lease of
//! a task for a limited time and must renew it.

use super::catalog::Lake;
use super::error::CatalogError;
use super::schema::LAKE_TABLES;
use trailhound_datasets::layout::CatalogLocation;

/// The present by PostgreSQL, in microseconds since 1970 UTC.
const DATABASE_NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";
/// Longest lease that a member asks for, in microseconds.
const LENGTH_MAX: i64 = 600_000_000;

/// A lease of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Name of the task.
    pub name: String,
    /// Id of the service run that holds or requests the lease.
    pub holder: String,
}

impl Lease {
    /// A lease on the task `name` with a new holder.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), holder: uuid::Uuid::now_v7().to_string() }
    }
}

impl Lake {
    /// True where several services may write the lake: its catalog is in PostgreSQL.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.location(), CatalogLocation::Postgresql(_))
    }

    /// Acquires or renews `lease` for `length` (microseconds) by the clock of the database, which all members share. False while
    /// another holder has it. A lease that ends later than any member can have asked for is one of a clock that was wrong, and is
    /// free. A lake on SQLite has one writer, who always gets it.
    ///
    /// # Errors
    /// [`CatalogError::Sql`]; [`CatalogError::VersionMismatch`] where another version has migrated the lake.
    pub async fn acquire_lease(&self, lease: &Lease, length: i64) -> Result<bool, CatalogError> {
        if !self.is_shared() {
            return Ok(true);
        }
        let mut connection = self.pool.acquire().await?;
        let mut transaction = self.begin_write(&mut connection, &LAKE_TABLES).await?;
        let text = format!(
            "INSERT INTO trailhound_leader_lease VALUES ($1, $2, {DATABASE_NOW} + $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE trailhound_leader_lease.holder = excluded.holder OR trailhound_leader_lease.until < {DATABASE_NOW} \
             OR trailhound_leader_lease.until > {DATABASE_NOW} + {LENGTH_MAX}"
        );
        let acquired = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(&lease.name)
            .bind(&lease.holder)
            .bind(length.min(LENGTH_MAX))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(acquired.rows_affected() == 1)
    }

    /// The present by the clock of the catalog's database, in microseconds since 1970 UTC. `None` on SQLite, which has no clock of
    /// its own.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn database_time(&self) -> Result<Option<i64>, CatalogError> {
        if !self.is_shared() {
            return Ok(None);
        }
        let text = format!("SELECT {DATABASE_NOW}");
        let now = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&self.pool).await?;
        Ok(Some(now))
    }

    /// Releases `lease`, if its holder has it.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM trailhound_leader_lease WHERE name = $1 AND holder = $2")
            .bind(&lease.name)
            .bind(&lease.holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
