//! Maps Sigma fields to columns of `events`, for field names of ActionTrail and of AWS CloudTrail.

use crate::suggestion::did_you_mean;

/// The log source whose field names and values a rule uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// ActionTrail.
    ActionTrail,
    /// AWS CloudTrail. Field names, event names and values are mapped to ActionTrail's where there
    /// is a counterpart.
    CloudTrail,
}

/// A field as SQL.
#[derive(Debug, Clone)]
pub(super) struct FieldSql {
    /// SQL of the value, as text.
    pub(super) text: String,
    /// SQL of the value in lower case: `event_action` for the event name, else `lower(...)`.
    pub(super) lower: String,
    /// What its values are.
    pub(super) kind: FieldKind,
}

/// The kind of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Text; numbers and booleans are compared as text.
    Text,
    /// The source address, which the lake also stores as an IP address.
    Address,
    /// The time of the event.
    Time,
    /// Whether MFA was used: yes, no or unknown.
    Mfa,
    /// A service name of CloudTrail.
    AwsService,
    /// An event name of CloudTrail.
    AwsEvent,
    /// An identity type of CloudTrail.
    AwsIdentity,
    /// The outcome of a sign-in in CloudTrail.
    AwsOutcome,
    /// An error code of CloudTrail.
    AwsError,
    /// Values that cannot be mapped; only `exists` and null can be tested.
    AwsOpaque,
}

/// Fields of ActionTrail and the columns that hold them.
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

/// Fields of CloudTrail with the same meaning as a field of ActionTrail.
const CLOUDTRAIL_FIELDS: [(&str, &str); 7] = [
    ("sourceIPAddress", "sourceIpAddress"),
    ("userAgent", "userAgent"),
    ("userIdentity.accountId", "userIdentity.accountId"),
    ("recipientAccountId", "recipientAccountId"),
    ("userIdentity.principalId", "userIdentity.principalId"),
    ("userIdentity.userName", "userIdentity.userName"),
    ("errorMessage", "errorMessage"),
];

/// JSON objects of an event. A rule may name any of their members.
const OBJECTS: [(&str, &str); 3] = [
    ("requestParameters.", "request_parameters"),
    ("responseElements.", "response_elements"),
    ("additionalEventData.", "additional_event_data"),
];

impl Dialect {
    /// The field `name` as SQL.
    ///
    /// # Errors
    /// The reason why the field has no column.
    pub(super) fn field(self, name: &str) -> Result<FieldSql, String> {
        match self {
            Self::ActionTrail => action_trail(name),
            Self::CloudTrail => cloud_trail(name),
        }
    }
}

/// A field whose lower case is computed.
fn field_sql(text: impl Into<String>, kind: FieldKind) -> FieldSql {
    let text = text.into();
    FieldSql { lower: format!("lower({text})"), text, kind }
}

fn action_trail(name: &str) -> Result<FieldSql, String> {
    if name.eq_ignore_ascii_case("eventName") {
        // The lake also stores the event name in lower case, in a column with Bloom filters and
        // statistics.
        return Ok(FieldSql {
            text: "event_name".to_owned(),
            lower: "event_action".to_owned(),
            kind: FieldKind::Text,
        });
    }
    if name.eq_ignore_ascii_case("eventTime") {
        return Ok(field_sql("event_time", FieldKind::Time));
    }
    if name.eq_ignore_ascii_case("userIdentity.sessionContext.attributes.mfaAuthenticated") {
        return Ok(field_sql("session_mfa", FieldKind::Mfa));
    }
    if let Some((field, column)) =
        COLUMNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        let kind = if *field == "sourceIpAddress" { FieldKind::Address } else { FieldKind::Text };
        return Ok(field_sql(*column, kind));
    }
    for (object, column) in OBJECTS {
        if let Some(member) =
            name.get(object.len()..).filter(|_| name[..object.len()].eq_ignore_ascii_case(object))
        {
            return Ok(field_sql(format!("param({column}, {})", quoted(member)), FieldKind::Text));
        }
    }
    let suggestion = did_you_mean(name, COLUMNS.iter().map(|(known, _)| *known), "");
    Err(format!("ActionTrail has no field `{name}`{suggestion}"))
}

fn cloud_trail(name: &str) -> Result<FieldSql, String> {
    if let Some((_, same)) =
        CLOUDTRAIL_FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        return action_trail(same);
    }
    Ok(match name.to_lowercase().as_str() {
        "eventsource" => FieldSql {
            text: "service_name".to_owned(),
            lower: "lower(service_name)".to_owned(),
            kind: FieldKind::AwsService,
        },
        "eventname" => FieldSql {
            text: "event_name".to_owned(),
            lower: "event_action".to_owned(),
            kind: FieldKind::AwsEvent,
        },
        "useridentity.type" => FieldSql {
            text: "user_type".to_owned(),
            lower: "lower(trim(user_type))".to_owned(),
            kind: FieldKind::AwsIdentity,
        },
        "errorcode" => field_sql("error_code", FieldKind::AwsError),
        "responseelements.consolelogin" => field_sql("outcome", FieldKind::AwsOutcome),
        "additionaleventdata.mfaused" => field_sql("mfa", FieldKind::Mfa),
        "awsregion" => field_sql("acs_region", FieldKind::AwsOpaque),
        "useridentity.accesskeyid" => field_sql("access_key_id", FieldKind::AwsOpaque),
        _ => {
            return Err(format!("ActionTrail has no counterpart of CloudTrail's field `{name}`"));
        }
    })
}

/// Quotes a text as an SQL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The values of ActionTrail for a value of CloudTrail. A value that ends in `*` is a prefix.
///
/// # Errors
/// The reason why the value cannot be mapped.
pub(super) fn map_value(kind: FieldKind, value: &str) -> Result<Vec<&'static str>, String> {
    let table: &[(&str, &[&'static str])] = match kind {
        FieldKind::AwsService => AWS_SERVICES,
        FieldKind::AwsEvent => AWS_EVENTS,
        FieldKind::AwsIdentity => AWS_IDENTITIES,
        FieldKind::AwsOutcome => AWS_OUTCOMES,
        FieldKind::AwsError => AWS_ERRORS,
        _ => return Err(format!("the value `{value}` has no meaning outside of AWS")),
    };
    let found = table
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(value))
        .map(|(_, values)| values.to_vec());
    found.ok_or_else(|| format!("ActionTrail has no counterpart of the value `{value}`"))
}

type ValueMap = &'static [(&'static str, &'static [&'static str])];

const AWS_SERVICES: ValueMap = &[
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

const AWS_EVENTS: ValueMap = &[
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

const AWS_IDENTITIES: ValueMap = &[
    ("Root", &["root-account"]),
    ("IAMUser", &["ram-user"]),
    ("AssumedRole", &["assumed-role"]),
    ("SAMLUser", &["saml-user"]),
    ("WebIdentityUser", &["oidc-user"]),
    ("IdentityCenterUser", &["cloudsso-user"]),
    ("AWSService", &["system"]),
];

const AWS_OUTCOMES: ValueMap = &[("Success", &["success"]), ("Failure", &["failure"])];

const AWS_ERRORS: ValueMap = &[
    ("AccessDenied", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    ("AccessDeniedException", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    ("UnauthorizedOperation", &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"]),
    (
        "Client.UnauthorizedOperation",
        &["nopermission*", "forbidden*", "accessforbidden", "notauthorized"],
    ),
];
