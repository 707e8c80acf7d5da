//! Which finding goes to which sink.

use crate::finding::{Finding, FindingStatus};
use globset::GlobSet;
use trailhound_queries::packs::rules::Severity;

/// Which revisions of a finding a sink is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revisions {
    /// Every one: a file, a topic.
    All,
    /// That it is there, that it is graver than before, that it no longer holds.
    #[default]
    Essential,
}

/// The way to one sink: a finding must fulfil all of it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name of the sink.
    pub sink: String,
    /// Findings less severe stay away.
    pub severity_min: Severity,
    /// Rules by their ids; none: all.
    pub rules: Option<GlobSet>,
    /// Accounts; none: all.
    pub accounts: Vec<String>,
    /// Those that are suppressed go there too.
    pub suppressed: bool,
    /// Which revisions.
    pub revisions: Revisions,
}

/// The ways to all sinks.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// These.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// Names of the sinks that are told `finding`, of which `before` was kept until now.
    pub(crate) fn of<'r>(
        &'r self,
        finding: &Finding,
        before: Option<&Finding>,
    ) -> impl Iterator<Item = &'r str> {
        self.0
            .iter()
            .filter(move |route| route.takes(finding, before))
            .map(|route| route.sink.as_str())
    }
}

impl Route {
    fn takes(&self, finding: &Finding, before: Option<&Finding>) -> bool {
        // Who was told of it is told of its end, whatever it is now.
        let told = before.is_some_and(|before| self.concerns(before));
        if finding.status != FindingStatus::Open
            && told
            && before.is_some_and(|before| before.status != finding.status)
        {
            return true;
        }
        self.concerns(finding)
            && match (self.revisions, before) {
                (Revisions::All, _) | (Revisions::Essential, None) => true,
                (Revisions::Essential, Some(before)) => {
                    !told || finding.severity > before.severity || finding.status != before.status
                }
            }
    }

    fn concerns(&self, finding: &Finding) -> bool {
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
            Routes::new(vec![route(Revisions::All)]).of(finding, None).count() == 1
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
            // Who was never told is not told of the end.
            (&ended, &hidden, false, false),
        ] {
            let goes =
                |revisions| Routes::new(vec![route(revisions)]).of(now, Some(before)).count() == 1;
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
