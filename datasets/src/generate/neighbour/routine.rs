//! What the everyday company does again and again: a routine says who makes which calls, and how often.

/// One of the company's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// Runs what customers use.
    Prod,
    /// Pipelines, audit and identities. It assumes roles in the others.
    Hub,
    /// Development and test.
    Dev,
}

impl Account {
    pub(super) const ALL: [Self; 3] = [Self::Prod, Self::Hub, Self::Dev];

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Prod => "1000000000000001",
            Self::Hub => "1000000000000002",
            Self::Dev => "1000000000000003",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prod => "prod",
            Self::Hub => "hub",
            Self::Dev => "dev",
        }
    }

    /// The public address of the account's NAT gateway.
    pub(super) fn nat_address(self) -> &'static str {
        match self {
            Self::Prod => "192.0.2.20",
            Self::Hub => "192.0.2.40",
            Self::Dev => "192.0.2.50",
        }
    }
}

/// Where a routine happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    Prod,
    Hub,
    Dev,
    /// Two times out of three in `prod`, else in `dev`.
    ProdOrDev,
}

/// A team whose people work in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Team {
    Developers,
    Data,
    Finance,
    Operations,
    Security,
}

/// Who makes the calls of a routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// Somebody of a team in the console: a RAM user who signed in through the identity provider.
    Staff(Team),
    /// The engineer on call: signs in to `hub` with password and MFA, takes the role `oncall-operator` in the console.
    OnCall,
    /// The pipeline that applies Terraform: role `terraform-ci`, assumed from `hub`.
    Pipeline,
    /// The pipeline that deploys applications: role `deploy-ci`, assumed from `hub`.
    Deployment,
    /// A program of `hub` that reads in the other accounts: role `inventory-reader`, assumed every hour.
    Inventory,
    /// A service of the vendor by its role, at its own address: role, session and host.
    Service(&'static str, &'static str),
    /// The platform itself, as `system`.
    Platform,
    /// A node of a Kubernetes cluster, by the role of its instance, inside the VPC.
    WorkerNode,
    /// A program on an instance, by the role of that instance, through the NAT gateway.
    Workload(&'static str),
    /// A pod that exchanges its token for a role, through the NAT gateway.
    Pod(&'static str),
    /// A program with a long-term AccessKey of a RAM user, through the NAT gateway.
    Program(&'static str),
}

/// When a routine runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rhythm {
    /// Times a week, at any time.
    Always(u32),
    /// Times a week, on working days between 09:30 and 18:00 (Asia/Shanghai).
    Office(u32),
    /// Times a week, every night between 02:00 and 04:00.
    Night(u32),
    /// Times a week, on working days at 08:30.
    Morning(u32),
    /// Times a week, on working days at 21:00.
    Evening(u32),
    /// Times a week, all in the change window: Wednesday, 22:00 to 24:00.
    ChangeWindow(u32),
    /// Times a month, on working days from the 28th to the 2nd between 09:30 and 18:00.
    MonthEnd(u32),
    /// Once an hour.
    Hourly,
}

/// One call. Texts hold placeholders such as `<i>`, which `fill.rs` replaces; within one run of the routine a placeholder
/// keeps its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Call {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    /// Parameters as JSON; empty where the event carries none.
    pub(super) parameters: &'static str,
    /// Type and ids of the resources that the event names; empty where it names none.
    pub(super) resource: (&'static str, &'static str),
    /// Error code; empty for a successful call.
    pub(super) error: &'static str,
    /// How often it is made in a run.
    pub(super) times: u32,
}

/// A successful call without resources.
pub(super) const fn call(
    service: &'static str,
    name: &'static str,
    parameters: &'static str,
) -> Call {
    Call { service, name, parameters, resource: ("", ""), error: "", times: 1 }
}

impl Call {
    /// The event names resources of type `kind`.
    pub(super) const fn on(mut self, kind: &'static str, ids: &'static str) -> Self {
        self.resource = (kind, ids);
        self
    }

    /// The call is refused.
    pub(super) const fn refused(mut self, error: &'static str) -> Self {
        self.error = error;
        self
    }

    /// The call is made `times` times in a run, each time with other values for the placeholders that start with `each-`.
    pub(super) const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// True for calls that only read.
    pub(super) fn is_read(&self) -> bool {
        const VERBS: [&str; 8] =
            ["Describe", "Get", "List", "Query", "Lookup", "Decrypt", "Check", "Head"];
        VERBS.iter().any(|verb| self.name.starts_with(verb))
    }
}

/// Calls that the company makes again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Routine {
    /// What happens, as a sentence.
    pub(super) what: &'static str,
    pub(super) who: Actor,
    pub(super) home: Home,
    pub(super) when: Rhythm,
    pub(super) calls: &'static [Call],
}

/// A part of the company.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Department {
    pub(super) name: &'static str,
    pub(super) routines: &'static [Routine],
}
