//! What only one of several services on a lake may do at a time: a right that is lent for a while and must be renewed.

use super::catalog::{CatalogError, Lake};
use trailhound_datasets::layout::CatalogLocation;

/// A right that one service holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is the right to.
    pub name: String,
    /// Who holds it: a name of its own for each run of a service.
    pub holder: String,
}

impl Lease {
    /// The right `name`, for this run.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), holder: uuid::Uuid::now_v7().to_string() }
    }
}

impl Lake {
    /// Several services may write it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.place(), CatalogLocation::Postgresql(_))
    }

    /// Takes or renews `lease` until `until` (microseconds UTC); false while somebody else holds it. On a lake with one
    /// writer there is nobody else.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn lease(&self, lease: &Lease, now: i64, until: i64) -> Result<bool, CatalogError> {
        if !self.is_shared() {
            return Ok(true);
        }
        let taken = sqlx::query(
            "INSERT INTO trailhound_lease VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE trailhound_lease.holder = excluded.holder OR trailhound_lease.until < $4",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(until)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives `lease` back, if it is held.
    ///
    /// # Errors
    /// [`CatalogError::Sql`].
    pub async fn give_back(&self, lease: &Lease) -> Result<(), CatalogError> {
        sqlx::query("DELETE FROM trailhound_lease WHERE name = $1 AND holder = $2")
            .bind(&lease.name)
            .bind(&lease.holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
