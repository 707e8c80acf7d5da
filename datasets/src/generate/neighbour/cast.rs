//! Who works at the everyday company, and how each person and program shows in the trail.

use super::routine::{Account, Actor, Team};
use crate::generate::event::{time_text, token};
use crate::generate::names::{BROWSERS, FAMILY, GIVEN};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};

/// Number of people in each team.
pub(super) const TEAMS: [(Team, usize); 5] = [
    (Team::Developers, 30),
    (Team::Data, 8),
    (Team::Finance, 4),
    (Team::Operations, 6),
    (Team::Security, 3),
];

/// The share of people who work on a working day, in percent.
const PRESENT_PERCENT: u64 = 85;

/// Number of instances that run a workload; each is a session of its role.
const INSTANCES_OF_A_WORKLOAD: u64 = 4;

/// Number of people of the operations team who take turns on call, a week each.
const ON_CALL_TURNS: i32 = 3;

/// One of the staff.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) team: Team,
    pub(super) name: String,
    /// Number of the person, counted from 0.
    number: u64,
    /// Address at the desk: the office's NAT, or IPv6 for every third person.
    pub(super) address: String,
    pub(super) browser: &'static str,
}

/// How somebody shows in an event.
#[derive(Debug, Clone)]
pub(super) struct Face {
    /// The member `userIdentity`.
    pub(super) identity: Value,
    /// The member `sourceIpAddress`; `None` where the event has none.
    pub(super) source: Option<String>,
    pub(super) agent: String,
    /// The calls are clicks in the console.
    pub(super) is_console: bool,
}

/// A session that begins with `AssumeRole` in another account: the caller of that call, and the role.
#[derive(Debug, Clone)]
pub(super) struct Assumption {
    pub(super) caller: Face,
    pub(super) role: &'static str,
    pub(super) session: String,
}

/// The people of one company.
pub(super) struct Cast {
    company: u64,
    pub(super) people: Vec<Person>,
}

impl Cast {
    /// The people of the company with the seed `company`.
    pub(super) fn new(company: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(company);
        let mut people: Vec<Person> = Vec::new();
        for (team, size) in TEAMS {
            for _ in 0..size {
                let number = people.len();
                let name = format!(
                    "{}.{}",
                    GIVEN[number % GIVEN.len()],
                    FAMILY[(number / GIVEN.len() + number) % FAMILY.len()]
                );
                let address = if number % 3 == 2 {
                    format!("2001:db8:10:{:x}::{:x}", number % 4 + 1, rng.random_range(16..0xffff))
                } else {
                    format!("203.0.113.{}", 10 + number % 40)
                };
                let browser = BROWSERS[rng.random_range(0..BROWSERS.len())];
                people.push(Person { team, name, number: number as u64, address, browser });
            }
        }
        Self { company, people }
    }

    /// True where `person` works on `day`. Days count from 1970; nobody works at weekends.
    pub(super) fn works(&self, person: &Person, day: i32) -> bool {
        let hash = self.number(&format!("{}/{day}", person.name));
        (day + 3).rem_euclid(7) < 5 && hash % 100 < PRESENT_PERCENT
    }

    /// True where `person` signs in to `account` on `day`: to the one in which the team works, and on two days of five to the other.
    pub(super) fn opens(&self, person: &Person, account: Account, day: i32) -> bool {
        let own = match person.team {
            Team::Developers => Account::Dev,
            _ => Account::Prod,
        };
        let hash = self.number(&format!("{}/{}/{day}", person.name, account.id()));
        account != Account::Hub && self.works(person, day) && (own == account || hash % 5 < 2)
    }

    /// Somebody of `team` who has signed in to `account` on `day`; the first of the team where nobody has.
    fn somebody(&self, team: Team, account: Account, day: i32, rng: &mut Pcg64) -> &Person {
        let members: Vec<&Person> = self.people.iter().filter(|p| p.team == team).collect();
        let present: Vec<&Person> =
            members.iter().copied().filter(|p| self.opens(p, account, day)).collect();
        if present.is_empty() { members[0] } else { present[rng.random_range(0..present.len())] }
    }

    /// The engineer who is on call in the week of `day`.
    pub(super) fn on_call(&self, day: i32) -> &Person {
        let turn = usize::try_from((day + 3).div_euclid(7).rem_euclid(ON_CALL_TURNS)).unwrap_or(0);
        let operations: Vec<&Person> =
            self.people.iter().filter(|p| p.team == Team::Operations).collect();
        operations[turn]
    }

    /// The id of a RAM user or role in `account`; the same for the same `name`.
    fn id(&self, leading: char, name: &str, account: Account) -> String {
        let hash = self.number(&format!("{name}/{}", account.id()));
        format!("{leading}{:017}", hash % 100_000_000_000_000_000)
    }

    /// A number that follows from the company and `text` alone.
    fn number(&self, text: &str) -> u64 {
        let hash = text
            .bytes()
            .fold(self.company, |h, b| h.wrapping_mul(1_099_511_628_211) ^ u64::from(b));
        Pcg64::seed_from_u64(hash).random()
    }

    /// The RAM user of `person` in `account`, without a session.
    pub(super) fn user(&self, person: &Person, account: Account) -> Value {
        json!({
            "type": "ram-user", "accountId": account.id(), "principalId": self.id('2', &person.name, account),
            "userName": person.name,
        })
    }

    /// The console session of `person` in `account`; `mfa` is its `mfaAuthenticated`.
    pub(super) fn console(&self, person: &Person, account: Account, mfa: &str, time: i64) -> Face {
        let mut identity = self.user(person, account);
        identity["sessionContext"] =
            json!({ "attributes": { "mfaAuthenticated": mfa, "creationDate": time_text(time) } });
        Face {
            identity,
            source: Some(person.address.clone()),
            agent: person.browser.to_owned(),
            is_console: true,
        }
    }

    /// A session of `role` in `account`.
    fn role(
        &self,
        role: &str,
        session: &str,
        account: Account,
        time: i64,
        rng: &mut Pcg64,
    ) -> Value {
        json!({
            "type": "assumed-role", "accountId": account.id(),
            "principalId": format!("{}:{session}", self.id('3', role, account)),
            "userName": format!("{role}:{session}"), "accessKeyId": format!("STS.NT{}", token(rng, 24)),
            "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(time) } },
        })
    }

    /// A program on an instance of `account`, by the role of the instance. Its session is the vendor's for the instance.
    fn workload(&self, role: &str, account: Account, time: i64, rng: &mut Pcg64) -> Face {
        let instance = rng.random_range(0..INSTANCES_OF_A_WORKLOAD);
        let hash = self.number(&format!("{role}/{instance}/{}", account.id()));
        let session = format!("vm-ram-i-bp1{}", token(&mut Pcg64::seed_from_u64(hash), 17));
        Face {
            identity: self.role(role, &session, account, time, rng),
            source: Some(account.nat_address().to_owned()),
            agent: "AlibabaCloud (linux; amd64) Golang/1.22.5 Core/0.0.1 TeaDSL/1 credential/ecs_ram_role".to_owned(),
            is_console: false,
        }
    }

    /// How `actor` shows in `account` at `time`, and the session that it begins first, if it does.
    pub(super) fn face(
        &self,
        actor: Actor,
        account: Account,
        (day, time): (i32, i64),
        rng: &mut Pcg64,
    ) -> (Face, Option<Assumption>) {
        let plain = |face| (face, None);
        match actor {
            Actor::Staff(team) => {
                plain(self.console(self.somebody(team, account, day, rng), account, "false", time))
            }
            Actor::OnCall => self.on_call_session(account, day, time, rng),
            Actor::Pipeline => {
                let session = format!("pipeline-{}", rng.random_range(10_000..99_999));
                self.runner_session(
                    ("terraform-ci", "HashiCorp-Terraform/1.9.8 Provider/1.250.0"),
                    session,
                    account,
                    time,
                    rng,
                )
            }
            Actor::Deployment => {
                let session = format!("deploy-{}", rng.random_range(10_000..99_999));
                self.runner_session(
                    ("deploy-ci", "aliyun-cli/3.0.210 (linux; amd64)"),
                    session,
                    account,
                    time,
                    rng,
                )
            }
            Actor::Inventory => self.runner_session(
                (
                    "inventory-reader",
                    "AlibabaCloud (linux; amd64) Python/3.11.9 Core/0.3.12 TeaDSL/1",
                ),
                "inventory".to_owned(),
                account,
                time,
                rng,
            ),
            Actor::Service(role, host) => plain(self.service(role, host, account, time, rng)),
            Actor::Platform => plain(Face {
                identity: json!({ "type": "system" }),
                source: None,
                agent: "ecs.aliyuncs.com".to_owned(),
                is_console: false,
            }),
            Actor::WorkerNode => {
                let mut face = self.workload("KubernetesWorkerRole-4f3c2a61", account, time, rng);
                face.source =
                    Some(format!("10.1.{}.{}", rng.random_range(0..4), rng.random_range(2..250)));
                plain(face)
            }
            Actor::Workload(role) => plain(self.workload(role, account, time, rng)),
            Actor::Pod(role) => plain(self.pod(role, account)),
            Actor::Program(user) => plain(self.program(user, account)),
        }
    }

    /// A service of the vendor at its own address.
    fn service(
        &self,
        role: &str,
        host: &str,
        account: Account,
        time: i64,
        rng: &mut Pcg64,
    ) -> Face {
        let session = host.split('.').next().unwrap_or(host);
        let mut identity = self.role(role, session, account, time, rng);
        identity["accessKeyId"] = Value::from(format!("STS.NU{}", token(rng, 24)));
        Face { identity, source: Some(host.to_owned()), agent: host.to_owned(), is_console: false }
    }

    /// A program with a long-term key.
    fn program(&self, user: &str, account: Account) -> Face {
        let hash = self.number(&format!("key/{user}/{}", account.id()));
        let mut identity = json!({
            "type": "ram-user", "accountId": account.id(), "principalId": self.id('2', user, account), "userName": user,
        });
        identity["accessKeyId"] =
            Value::from(format!("LTAI5t{}", token(&mut Pcg64::seed_from_u64(hash), 18)));
        Face {
            identity,
            source: Some(account.nat_address().to_owned()),
            agent: "AlibabaCloud (Linux; amd64) Java/1.8.0_402-b06 Core/4.6.3 HTTPClient/ApacheHttpClient".to_owned(),
            is_console: false,
        }
    }

    /// A pod before it has a role: the identity of its token.
    fn pod(&self, role: &str, account: Account) -> Face {
        Face {
            identity: json!({
                "type": "oidc-user", "accountId": account.id(),
                "principalId": format!("system:serviceaccount:apps:{role}"),
                "userName": format!("system:serviceaccount:apps:{role}"),
            }),
            source: Some(account.nat_address().to_owned()),
            agent: "AlibabaCloud (linux; amd64) Golang/1.22.5 Core/0.0.1 TeaDSL/1 credential/oidc_role_arn".to_owned(),
            is_console: false,
        }
    }

    /// A program of `hub` assumes a role in `account`. `agent` is the user agent of the session.
    fn runner_session(
        &self,
        (role, agent): (&'static str, &str),
        session: String,
        account: Account,
        time: i64,
        rng: &mut Pcg64,
    ) -> (Face, Option<Assumption>) {
        let caller = self.workload("gitlab-runner", Account::Hub, time, rng);
        let face = Face {
            identity: self.role(role, &session, account, time, rng),
            source: caller.source.clone(),
            agent: agent.to_owned(),
            is_console: false,
        };
        (face, Some(Assumption { caller, role, session }))
    }

    /// The engineer on call takes the role of operators in `account`.
    fn on_call_session(
        &self,
        account: Account,
        day: i32,
        time: i64,
        rng: &mut Pcg64,
    ) -> (Face, Option<Assumption>) {
        let person = self.on_call(day);
        let caller = self.console(person, Account::Hub, "true", time);
        let face = Face {
            identity: self.role("oncall-operator", &person.name, account, time, rng),
            is_console: true,
            ..caller.clone()
        };
        (face, Some(Assumption { caller, role: "oncall-operator", session: person.name.clone() }))
    }

    /// The people who have a password and MFA in `hub`: operations and security.
    pub(super) fn hub_users(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| matches!(person.team, Team::Operations | Team::Security))
    }

    /// The day of the week, counted from Monday 0, on which `person` is asked for the second factor again.
    pub(super) fn mfa_day(person: &Person) -> i32 {
        i32::try_from(person.number % 5).unwrap_or(0)
    }
}
