//! Leases for tasks that only one service on a lake may run at a time. A service holds the lease of
//! a task for a limited time and must renew it.

use super::catalog::Lake;
use super::error::CatalogError;
use super::schema::LAKE_TABLES;
use trailhound_datasets::layout::CatalogLocation;

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

    /// Acquires or renews `lease` until `until`; both times are microseconds UTC. False while another holder has it. A lake
    /// on SQLite has one writer, who always gets it.
    ///
    /// # Errors
    /// [`CatalogError::Sql`]; [`CatalogError::VersionMismatch`] where another version has migrated the lake.
    pub async fn acquire_lease(
        &self,
        lease: &Lease,
        now: i64,
        until: i64,
    ) -> Result<bool, CatalogError> {
        if !self.is_shared() {
            return Ok(true);
        }
        let mut connection = self.pool.acquire().await?;
        let mut transaction = self.begin_write(&mut connection, &LAKE_TABLES).await?;
        let acquired = sqlx::query(
            "INSERT INTO trailhound_leader_lease VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE trailhound_leader_lease.holder = excluded.holder OR trailhound_leader_lease.until < $4",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(until)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(acquired.rows_affected() == 1)
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
