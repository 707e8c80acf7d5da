//! Which column of `events` a Sigma field stands for, in the field names of ActionTrail and in those of AWS CloudTrail.

/// Whose field names and values a rule uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// ActionTrail's own.
    ActionTrail,
    /// AWS CloudTrail's: field names, event names and values are carried over where there is a counterpart.
    CloudTrail,
}

/// A field as SQL.
#[derive(Debug, Clone)]
pub(super) struct FieldSql {
    /// The value, as text.
    pub(super) text: String,
    /// The value in lower case, where a column or a shorter expression holds that.
    pub(super) lower: String,
    /// What its values are.
    pub(super) kind: Kind,
}

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, numbers and truth values as text.
    Text,
    /// The source address, which is kept as an address too.
    Address,
    /// The event's time.
    Time,
    /// Yes, no or unknown, which the trail says by `true` and `false` or not at all.
    Mfa,
    /// CloudTrail's name of the service.
    AwsService,
    /// CloudTrail's name of the call.
    AwsEvent,
    /// CloudTrail's kind of identity.
    AwsIdentity,
    /// CloudTrail's outcome of a sign-in.
    AwsOutcome,
    /// CloudTrail's error codes.
    AwsError,
    /// Values that cannot be carried over; whether there is one can.
    AwsOpaque,
}

/// ActionTrail's field and the column that holds it.
const COLUMNS: [(&str, &str); 27] = [
    ("eventId", "event_id"),
    ("eventName", "event_name"),
    ("eventType", "event_type"),
    ("eventCategory", "event_category"),
    ("eventRW", "event_rw"),
    ("eventSource", "event_source"),
    ("serviceName", "service_name"),
    ("apiVersion", "api_version"),
    ("requestId", "request_id"),
    ("acsRegion", "acs_region"),
    ("recipientAccountId", "recipient_account_id"),
    ("vpcId", "vpc_id"),
    ("userAgent", "user_agent"),
    ("errorCode", "error_code"),
    ("errorMessage", "error_message"),
    ("resourceType", "resource_type"),
    ("resourceName", "resource_name"),
    ("requestParameters", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_event_data"),
    ("referencedResources", "referenced_resources"),
    ("userIdentity.type", "user_type"),
    ("userIdentity.principalId", "principal_id"),
    ("userIdentity.accountId", "account_id"),
    ("userIdentity.userName", "user_name"),
    ("userIdentity.accessKeyId", "access_key_id"),
    ("sourceIpAddress", "source_ip_address"),
];

/// CloudTrail's fields that stand for the same as one of ActionTrail's.
const SAME: [(&str, &str); 7] = [
    ("sourceIPAddress", "sourceIpAddress"),
    ("userAgent", "userAgent"),
    ("userIdentity.accountId", "userIdentity.accountId"),
    ("recipientAccountId", "recipientAccountId"),
    ("userIdentity.principalId", "userIdentity.principalId"),
    ("userIdentity.userName", "userIdentity.userName"),
    ("errorMessage", "errorMessage"),
];

/// Objects inside of an event whose members any field may name.
const OBJECTS: [(&str, &str); 3] = [
    ("requestParameters.", "request_parameters"),
    ("responseElements.", "response_elements"),
    ("additionalEventData.", "additional_event_data"),
];

impl Dialect {
    /// The field `name` as SQL.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn field(self, name: &str) -> Result<FieldSql, String> {
        match self {
            Self::ActionTrail => action_trail(name),
            Self::CloudTrail => cloud_trail(name),
        }
    }
}

fn of(text: impl Into<String>, kind: Kind) -> FieldSql {
    let text = text.into();
    FieldSql { lower: format!("lower({text})"), text, kind }
}

fn action_trail(name: &str) -> Result<FieldSql, String> {
    if name.eq_ignore_ascii_case("eventName") {
        // Kept in lower case too, by which files and pages are skipped.
        return Ok(FieldSql {
            text: "event_name".to_owned(),
            lower: "event_action".to_owned(),
            kind: Kind::Text,
        });
    }
    if name.eq_ignore_ascii_case("eventTime") {
        return Ok(of("event_time", Kind::Time));
    }
    if name.eq_ignore_ascii_case("userIdentity.sessionContext.attributes.mfaAuthenticated") {
        return Ok(of("session_mfa", Kind::Mfa));
    }
    if let Some((field, column)) =
        COLUMNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        let kind = if *field == "sourceIpAddress" { Kind::Address } else { Kind::Text };
        return Ok(of(*column, kind));
    }
    for (object, column) in OBJECTS {
        if let Some(member) =
            name.get(object.len()..).filter(|_| name[..object.len()].eq_ignore_ascii_case(object))
        {
            return Ok(of(format!("param({column}, {})", quoted(member)), Kind::Text));
        }
    }
    let nearest = COLUMNS
        .iter()
        .map(|(known, _)| *known)
        .min_by_key(|known| strsim::levenshtein(known, name));
    Err(format!(
        "ActionTrail has no field `{name}`; the nearest is `{}`",
        nearest.unwrap_or_default()
    ))
}

fn cloud_trail(name: &str) -> Result<FieldSql, String> {
    if let Some((_, same)) = SAME.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return action_trail(same);
    }
    Ok(match name.to_lowercase().as_str() {
        "eventsource" => FieldSql {
            text: "service_name".to_owned(),
            lower: "lower(service_name)".to_owned(),
            kind: Kind::AwsService,
        },
        "eventname" => FieldSql {
            text: "event_name".to_owned(),
            lower: "event_action".to_owned(),
            kind: Kind::AwsEvent,
        },
        "useridentity.type" => FieldSql {
            text: "user_type".to_owned(),
            lower: "lower(trim(user_type))".to_owned(),
            kind: Kind::AwsIdentity,
        },
        "errorcode" => of("error_code", Kind::AwsError),
        "responseelements.consolelogin" => of("outcome", Kind::AwsOutcome),
        "additionaleventdata.mfaused" => of("mfa", Kind::Mfa),
        "awsregion" => of("acs_region", Kind::AwsOpaque),
        "useridentity.accesskeyid" => of("access_key_id", Kind::AwsOpaque),
        _ => {
            return Err(format!(
                "nothing in ActionTrail is known to stand for CloudTrail's field `{name}`"
            ));
        }
    })
}

/// A text as SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What a plain value of CloudTrail is in ActionTrail, each a text or, ending in `*`, the beginning of one.
///
/// # Errors
/// Why there is none.
pub(super) fn carried_over(kind: Kind, value: &str) -> Result<Vec<&'static str>, String> {
    let table: &[(&str, &[&'static str])] = match kind {
        Kind::AwsService => AWS_SERVICES,
        Kind::AwsEvent => AWS_EVENTS,
        Kind::AwsIdentity => AWS_IDENTITIES,
        Kind::AwsOutcome => AWS_OUTCOMES,
        Kind::AwsError => AWS_ERRORS,
        _ => return Err(format!("the value `{value}` means nothing outside of AWS")),
    };
    let found = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(value))
        .map(|(_, values)| values.to_vec());
    found.ok_or_else(|| format!("nothing in ActionTrail is known to stand for `{value}`"))
}

type Pairs = &'static [(&'static str, &'static [&'static str])];

const AWS_SERVICES: Pairs = &[
    ("signin.amazonaws.com", &["aassub", "aascustomer"]),
    ("iam.amazonaws.com", &["ram", "ims"]),
    ("sts.amazonaws.com", &["sts"]),
    ("ec2.amazonaws.com", &["ecs", "vpc"]),
    ("s3.amazonaws.com", &["oss"]),
    ("kms.amazonaws.com", &["kms"]),
    ("secretsmanager.amazonaws.com", &["kms"]),
    ("cloudtrail.amazonaws.com", &["actiontrail"]),
    ("rds.amazonaws.com", &["rds", "polardb"]),
    ("ssm.amazonaws.com", &["ecs"]),
    ("organizations.amazonaws.com", &["resourcemanager"]),
    ("sso.amazonaws.com", &["cloudsso"]),
];

const AWS_EVENTS: Pairs = &[
    ("ConsoleLogin", &["consolesignin"]),
    ("StopLogging", &["stoplogging"]),
    ("StartLogging", &["startlogging"]),
    ("CreateTrail", &["createtrail"]),
    ("UpdateTrail", &["updatetrail"]),
    ("DeleteTrail", &["deletetrail"]),
    ("CreateUser", &["createuser"]),
    ("DeleteUser", &["deleteuser"]),
    ("CreateGroup", &["creategroup"]),
    ("AddUserToGroup", &["addusertogroup"]),
    ("CreateAccessKey", &["createaccesskey"]),
    ("UpdateAccessKey", &["updateaccesskey"]),
    ("DeleteAccessKey", &["deleteaccesskey"]),
    ("CreateLoginProfile", &["createloginprofile"]),
    ("UpdateLoginProfile", &["updateloginprofile"]),
    ("DeleteLoginProfile", &["deleteloginprofile"]),
    ("CreateVirtualMFADevice", &["createvirtualmfadevice"]),
    ("DeleteVirtualMFADevice", &["deletevirtualmfadevice"]),
    ("EnableMFADevice", &["bindmfadevice"]),
    ("DeactivateMFADevice", &["unbindmfadevice", "disablevirtualmfa"]),
    ("AttachUserPolicy", &["attachpolicytouser"]),
    ("AttachGroupPolicy", &["attachpolicytogroup"]),
    ("AttachRolePolicy", &["attachpolicytorole"]),
    ("DetachUserPolicy", &["detachpolicyfromuser"]),
    ("DetachGroupPolicy", &["detachpolicyfromgroup"]),
    ("DetachRolePolicy", &["detachpolicyfromrole"]),
    ("CreatePolicy", &["createpolicy"]),
    ("DeletePolicy", &["deletepolicy"]),
    ("CreatePolicyVersion", &["createpolicyversion"]),
    ("SetDefaultPolicyVersion", &["setdefaultpolicyversion"]),
    ("DeletePolicyVersion", &["deletepolicyversion"]),
    ("CreateRole", &["createrole"]),
    ("DeleteRole", &["deleterole"]),
    ("UpdateAssumeRolePolicy", &["updaterole"]),
    ("CreateSAMLProvider", &["createsamlprovider"]),
    ("UpdateSAMLProvider", &["updatesamlprovider"]),
    ("DeleteSAMLProvider", &["deletesamlprovider"]),
    ("CreateOpenIDConnectProvider", &["createoidcprovider"]),
    ("AssumeRole", &["assumerole"]),
    ("AssumeRoleWithSAML", &["assumerolewithsaml"]),
    ("AssumeRoleWithWebIdentity", &["assumerolewithoidc"]),
    ("GetCallerIdentity", &["getcalleridentity"]),
    ("GenerateCredentialReport", &["generatecredentialreport"]),
    ("UpdateAccountPasswordPolicy", &["setpasswordpolicy"]),
    ("DeleteAccountPasswordPolicy", &["setpasswordpolicy"]),
    ("GetSecretValue", &["getsecretvalue"]),
    ("ScheduleKeyDeletion", &["schedulekeydeletion"]),
    ("CancelKeyDeletion", &["cancelkeydeletion"]),
    ("DisableKey", &["disablekey"]),
    ("RunInstances", &["runinstances", "createinstance"]),
    ("StartInstances", &["startinstance", "startinstances"]),
    ("StopInstances", &["stopinstance", "stopinstances"]),
    ("RebootInstances", &["rebootinstance", "rebootinstances"]),
    ("TerminateInstances", &["deleteinstance", "deleteinstances"]),
    ("CreateKeyPair", &["createkeypair"]),
    ("ImportKeyPair", &["importkeypair"]),
    ("CreateSecurityGroup", &["createsecuritygroup"]),
    ("DeleteSecurityGroup", &["deletesecuritygroup"]),
    ("AuthorizeSecurityGroupIngress", &["authorizesecuritygroup"]),
    ("AuthorizeSecurityGroupEgress", &["authorizesecuritygroupegress"]),
    ("RevokeSecurityGroupIngress", &["revokesecuritygroup"]),
    ("RevokeSecurityGroupEgress", &["revokesecuritygroupegress"]),
    ("CreateSnapshot", &["createsnapshot"]),
    ("DeleteSnapshot", &["deletesnapshot"]),
    ("ModifyImageAttribute", &["modifyimagesharepermission"]),
    ("DeleteFlowLogs", &["deleteflowlog"]),
    ("CreateTrafficMirrorSession", &["createtrafficmirrorsession"]),
    ("CreateRoute", &["createrouteentry"]),
    ("DeleteRoute", &["deleterouteentry"]),
    ("CreateVpc", &["createvpc"]),
    ("DeleteVpc", &["deletevpc"]),
    ("DeleteDBInstance", &["deletedbinstance"]),
    ("DeleteDBCluster", &["deletedbcluster"]),
    ("SendCommand", &["runcommand", "invokecommand"]),
    ("StartSession", &["startterminalsession"]),
    ("PutBucketAcl", &["putbucketacl"]),
    ("PutBucketPolicy", &["putbucketpolicy"]),
    ("PutBucketReplication", &["putbucketreplication"]),
    ("PutBucketLifecycle", &["putbucketlifecycle"]),
    ("DeleteBucket", &["deletebucket"]),
    ("GetObject", &["getobject"]),
    ("DeleteObject", &["deleteobject"]),
];

const AWS_IDENTITIES: Pairs = &[
    ("Root", &["root-account"]),
    ("IAMUser", &["ram-user"]),
    ("AssumedRole", &["assumed-role"]),
    ("SAMLUser", &["saml-user"]),
    ("WebIdentityUser", &["oidc-user"]),
    ("IdentityCenterUser", &["cloudsso-user"]),
    ("AWSService", &["system"]),
];

const AWS_OUTCOMES: Pairs = &[("Success", &["success"]), ("Failure", &["failure"])];

const AWS_ERRORS: Pairs = &[
    ("AccessDenied", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    ("AccessDeniedException", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    ("UnauthorizedOperation", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    (
        "Client.UnauthorizedOperation",
        &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"],
    ),
];
