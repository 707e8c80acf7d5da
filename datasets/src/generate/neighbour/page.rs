//! The page `docs/everyday-company.md`: prose, and the tables of routines.

use super::cast::TEAMS;
use super::company::{CONFIGURATION, DEPARTMENTS};
use super::operations::EVERYDAY_OPERATIONS;
use super::routine::{Account, Actor, Call, Home, Rhythm, Routine, Team};
use std::fmt::Write;

const INTRODUCTION: &str = "# An everyday company

Generated from `datasets/src/generate/neighbour/`; a test compares.

This company is the neighbour of whoever reads findings: nothing is wrong in it. It was written down before the rules were measured
against it, and it is not changed when a rule is too loud; then the rule is. `trailhound rules noise` generates five weeks of it, runs
the rules that are on by default, and prints what each rule costs. `trailhound generate --neighbour --out DIR` writes the events, and
the configuration below, to files.

The budget, for 100,000 events: at most 5 open findings of severity low or above, of which at most 1 has severity high or above, and none is critical. Findings of severity info ask nobody to look and have no budget.

## Who works there

";

const NETWORKS: &str = "
The engineer on call is one of operations, for a week each. On a working day 85 of 100 people work, from about 09:00 to 18:00
(Asia/Shanghai). At weekends only programs, the platform and the engineer on call do. Nobody uses the root accounts in these weeks.

## How people sign in

- The staff sign in through the company's identity provider, as RAM users of `prod` and `dev` (user SSO). The provider asks for a second factor
  at every sign-in. The trail does not show that: `mfaChecked` is `false`, and there is no `loginType`. Developers sign in to `dev` every day,
  the others to `prod`; two days of five also to the other one.
- Operations and security also have users with password and MFA in `hub`. The console asks for the second factor once a week and remembers it for
  seven days, which the sign-in settings of the account allow (`EnableSaveMFATicket`); in between `mfaChecked` is `false`. One sign-in in thirteen has a wrong password before.
- The engineer on call signs in to `hub` three times a day, on every day, and takes the role `oncall-operator` in `prod`.
- Analysts of the data team come to `dev` through the role `data-analyst` (`AssumeRoleWithSAML`).

## Networks

| network | addresses |
| --- | --- |
| office, VPN of the staff | 203.0.113.0/24, 2001:db8:10::/48 (every third desk) |
| NAT gateways of the VPCs | 192.0.2.20 (`prod`), 192.0.2.40 (`hub`), 192.0.2.50 (`dev`) |
| nodes of Kubernetes | 10.1.0.0/22, inside the VPC |
| services of the vendor | their host names, such as `ess.aliyuncs.com` |

Regions: cn-hangzhou, cn-shanghai and, for one call in twenty of `prod`, ap-southeast-1; all of them from the first day.

## Programs

- Pipelines run on instances of `hub` (role `gitlab-runner`) and assume a role in the account in which they work: `terraform-ci` or
  `deploy-ci`. Each pipeline has a session of its own.
- Programs on instances use the role of the instance (session `vm-ram-i-...`), four instances each. Pods exchange a token for a role
  (`AssumeRoleWithOIDC`). Some older programs have a user `svc-...` with a long-term key and call from one address.

";

/// The text of `docs/everyday-company.md`.
#[must_use]
pub fn everyday_company_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("| team | people |\n| --- | --- |\n");
    for (team, people) in TEAMS {
        // Writing to a text cannot fail.
        let _ = writeln!(page, "| {} | {people} |", team_name(team));
    }
    page.push_str("\nAccounts:\n\n| account | id |\n| --- | --- |\n");
    for account in Account::ALL {
        let _ = writeln!(page, "| `{}` | {} |", account.name(), account.id());
    }
    page.push_str(NETWORKS);
    page.push_str("## What happens\n\nA call marked with a number is made that often in a run.\n");
    for department in DEPARTMENTS {
        let _ = writeln!(
            page,
            "\n### {}\n\n| what | who, where | how often | calls |\n| --- | --- | --- | --- |",
            department.name
        );
        for routine in department.routines {
            let _ = writeln!(
                page,
                "| {} | {}, {} | {} | {} |",
                routine.what,
                who(routine),
                place(routine.home),
                how_often(routine.when),
                routine.calls.iter().map(call_text).collect::<Vec<_>>().join(", ")
            );
        }
    }
    let _ = writeln!(
        page,
        "\n## Its configuration\n\n```toml\n{CONFIGURATION}```\n\n## Operations that occur at least a hundred times in five weeks\n"
    );
    let _ = writeln!(
        page,
        "Rules look at them, and nothing is wrong about them here:\n{}.",
        EVERYDAY_OPERATIONS.map(|name| format!("`{name}`")).join(", ")
    );
    page
}

fn team_name(team: Team) -> &'static str {
    match team {
        Team::Developers => "developers",
        Team::Data => "data",
        Team::Finance => "finance",
        Team::Operations => "operations",
        Team::Security => "security",
    }
}

fn who(routine: &Routine) -> String {
    match routine.who {
        Actor::Staff(team) => format!("{} in the console", team_name(team)),
        Actor::OnCall => "the engineer on call".to_owned(),
        Actor::Pipeline => "role `terraform-ci`".to_owned(),
        Actor::Deployment => "role `deploy-ci`".to_owned(),
        Actor::Inventory => "role `inventory-reader`".to_owned(),
        Actor::Service(role, host) => format!("role `{role}` at `{host}`"),
        Actor::Platform => "`system`".to_owned(),
        Actor::WorkerNode => "the role of a node".to_owned(),
        Actor::Workload(role) => format!("instance role `{role}`"),
        Actor::Pod(name) => format!("pod `{name}`"),
        Actor::Program(user) => format!("key of `{user}`"),
    }
}

fn place(home: Home) -> &'static str {
    match home {
        Home::Prod => "`prod`",
        Home::Hub => "`hub`",
        Home::Dev => "`dev`",
        Home::ProdOrDev => "`prod` or `dev`",
    }
}

fn call_text(call: &Call) -> String {
    let times = if call.times > 1 { format!(" × {}", call.times) } else { String::new() };
    let refused = if call.error.is_empty() { "" } else { " (refused)" };
    format!("`{}:{}`{times}{refused}", call.service.to_lowercase(), call.name)
}

/// How often a routine runs in an ordinary week, for people.
fn how_often(when: Rhythm) -> String {
    match when {
        Rhythm::Always(n) => format!("{n} a week, at any time"),
        Rhythm::Office(n) => format!("{n} a week, in working hours"),
        Rhythm::Night(n) => format!("{n} a week, at night"),
        Rhythm::Morning(n) => format!("{n} a week, in the morning"),
        Rhythm::Evening(n) => format!("{n} a week, in the evening"),
        Rhythm::ChangeWindow(n) => format!("{n} a week, in the change window"),
        Rhythm::MonthEnd(n) => format!("{n} at the end of the month"),
        Rhythm::Hourly => "every hour".to_owned(),
    }
}
