//! Routing: which finding goes to which sink.

use crate::finding::{Finding, FindingStatus};
use globset::GlobSet;
use trailhound_queries::packs::rules::Severity;

/// Which revisions of a finding are sent to a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revisions {
    /// Every revision: for files and topics.
    All,
    /// Only the first revision, a higher severity and a change of status: for human readers.
    #[default]
    Essential,
}

/// The route to one sink: a finding must fulfil all of its conditions.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name of the sink.
    pub sink: String,
    /// The lowest severity that is sent.
    pub severity_min: Severity,
    /// The rules whose findings are sent, by id; `None`: all.
    pub rules: Option<GlobSet>,
    /// The accounts whose findings are sent; empty: all.
    pub accounts: Vec<String>,
    /// Suppressed findings are sent too.
    pub suppressed: bool,
    /// The revisions that are sent.
    pub revisions: Revisions,
}

/// The routes to all sinks.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// The table of these routes.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// Names of the sinks to which `finding` is sent; `before` is its previous revision.
    pub(crate) fn sinks_for<'r>(
        &'r self,
        finding: &Finding,
        before: Option<&Finding>,
    ) -> impl Iterator<Item = &'r str> {
        self.0
            .iter()
            .filter(move |route| route.sends(finding, before))
            .map(|route| route.sink.as_str())
    }
}

impl Route {
    fn sends(&self, finding: &Finding, before: Option<&Finding>) -> bool {
        // A sink that has got an earlier revision gets the end of the finding too, whatever its conditions say now.
        let sent_before = before.is_some_and(|before| self.matches(before));
        if finding.status != FindingStatus::Open
            && sent_before
            && before.is_some_and(|before| before.status != finding.status)
        {
            return true;
        }
        self.matches(finding)
            && match (self.revisions, before) {
                (Revisions::All, _) | (Revisions::Essential, None) => true,
                (Revisions::Essential, Some(before)) => {
                    !sent_before
                        || finding.severity > before.severity
                        || finding.status != before.status
                }
            }
    }

    fn matches(&self, finding: &Finding) -> bool {
        let wanted = match finding.status {
            FindingStatus::Open => true,
            FindingStatus::Suppressed => self.suppressed,
            FindingStatus::Withdrawn => false,
        };
        wanted
            && finding.severity >= self.severity_min
            && self.rules.as_ref().is_none_or(|rules| rules.is_match(&finding.rule_id))
            && (self.accounts.is_empty()
                || finding
                    .account_id
                    .as_ref()
                    .is_some_and(|account| self.accounts.contains(account)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::health::sample_finding;

    fn route(revisions: Revisions) -> Route {
        let rules = globset::GlobSetBuilder::new()
            .add(globset::Glob::new("AT-ROOT-*").expect("a glob"))
            .build()
            .expect("globs");
        Route {
            sink: "s".to_owned(),
            severity_min: Severity::Medium,
            rules: Some(rules),
            accounts: vec!["1".to_owned()],
            suppressed: false,
            revisions,
        }
    }

    fn finding(severity: Severity, status: FindingStatus) -> Finding {
        Finding {
            severity,
            status,
            rule_id: "AT-ROOT-001".to_owned(),
            account_id: Some("1".to_owned()),
            ..sample_finding(0)
        }
    }

    #[test]
    fn a_finding_goes_where_all_of_it_fits() {
        let goes = |finding: &Finding| {
            Routes::new(vec![route(Revisions::All)]).sinks_for(finding, None).count() == 1
        };
        let fits = finding(Severity::Medium, FindingStatus::Open);
        assert!(goes(&fits));
        assert!(!goes(&Finding { severity: Severity::Low, ..fits.clone() }));
        assert!(!goes(&Finding { rule_id: "AT-ECS-001".to_owned(), ..fits.clone() }));
        assert!(!goes(&Finding { account_id: Some("2".to_owned()), ..fits.clone() }));
        assert!(!goes(&Finding { account_id: None, ..fits.clone() }));
        assert!(!goes(&Finding { status: FindingStatus::Suppressed, ..fits }));
    }

    #[test]
    fn people_are_told_what_changes_matters_and_programs_all() {
        let (open, graver) = (
            finding(Severity::Medium, FindingStatus::Open),
            finding(Severity::High, FindingStatus::Open),
        );
        let (ended, hidden) = (
            finding(Severity::Medium, FindingStatus::Withdrawn),
            finding(Severity::Medium, FindingStatus::Suppressed),
        );
        for (now, before, all, essential) in [
            (&open, &open, true, false),
            (&graver, &open, true, true),
            (&open, &graver, true, false),
            (&ended, &open, true, true),
            (&hidden, &open, true, true),
            (&open, &ended, true, true),
            // A sink that has got no revision does not get the end.
            (&ended, &hidden, false, false),
        ] {
            let goes = |revisions| {
                Routes::new(vec![route(revisions)]).sinks_for(now, Some(before)).count() == 1
            };
            assert_eq!(
                (goes(Revisions::All), goes(Revisions::Essential)),
                (all, essential),
                "{:?} {:?}",
                before.status,
                now.status
            );
        }
    }
}
