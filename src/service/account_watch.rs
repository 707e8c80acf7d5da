//! Looks at intervals for accounts of the configuration of which no event comes, and makes findings of them.

use crate::exit::Failure;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trailhound_detect::finding::health::{
    SILENT_ACCOUNT_RULE, UnheardAccount, unheard_account_finding,
};
use trailhound_detect::{
    EvaluatedScope, Finding, TimeRange, account_days, open_finding_ids, silent_accounts,
};
use trailhound_ingest::lake::Lake;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// The query reads two columns of the lake.
const LIMITS: QueryLimits = QueryLimits::for_service(128 << 20);
/// The first look comes when a source must have been read, the others this many times later. Each reads the whole lake.
const LATER: u32 = 12;

/// When to look next.
pub(super) struct AccountWatch {
    next: Instant,
    interval: Duration,
}

/// The findings of a look.
pub(super) struct AccountFindings {
    /// Those that are not stored yet.
    pub(super) new: Vec<Finding>,
    /// What was looked at: a stored finding that does not hold any more is withdrawn.
    pub(super) scope: EvaluatedScope,
}

impl AccountWatch {
    /// The first look comes after `first`.
    pub(super) fn new(first: Duration) -> Self {
        Self { next: Instant::now() + first, interval: first * LATER }
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Looks, if it is time. `now` is in microseconds since 1970 UTC.
    pub(super) async fn look(
        &mut self,
        lake: &Lake,
        parameters: &Arc<Parameters>,
        now: i64,
    ) -> Result<Option<AccountFindings>, Failure> {
        if Instant::now() < self.next {
            return Ok(None);
        }
        self.next = Instant::now() + self.interval;
        let session = Session::over_lake(lake.location(), Arc::clone(parameters), &LIMITS).await?;
        let days = account_days(&session, now).await?;
        let folder = lake.folder().display().to_string();
        let open = open_finding_ids(lake.catalog(), SILENT_ACCOUNT_RULE).await;
        let open = open.map_err(Failure::internal)?;
        let silent = silent_accounts(&days, &parameters.accounts);
        let findings = silent.iter().map(|account| {
            let account = UnheardAccount {
                account_id: &account.account_id,
                name: &account.name,
                last_seen: account.last_seen.as_deref(),
                others_seen: &account.others_seen,
                lake: &folder,
            };
            unheard_account_finding(account, now)
        });
        let (known, new): (Vec<Finding>, Vec<Finding>) =
            findings.partition(|finding| open.contains(&finding.finding_id));
        let scope = EvaluatedScope {
            rule_id: SILENT_ACCOUNT_RULE.to_owned(),
            range: TimeRange { include_untimed: true, ..TimeRange::default() },
            dependency_micros: 0,
            is_undetermined: false,
            unchanged_ids: known.into_iter().map(|finding| finding.finding_id).collect(),
        };
        Ok(Some(AccountFindings { new, scope }))
    }
}
