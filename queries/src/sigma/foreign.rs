//! Values of other clouds: CloudTrail's values are mapped to ActionTrail's where there is a counterpart, and values that
//! cannot occur in an event of ActionTrail are refused, because a rule that compares them never fires.

use super::fields::{Dialect, FieldKind};

/// Texts that only events of another cloud have, in lower case.
const FOREIGN_TEXTS: [&str; 7] = [
    "amazonaws.com",
    "aws internal",
    "aws-internal",
    "arn:aws",
    "googleapis.com",
    "gserviceaccount.com",
    "microsoft.",
];
/// Fields whose values the platform writes: an address, a service, a kind of identity.
const PLATFORM_FIELDS: [&str; 8] = [
    "eventSource",
    "serviceName",
    "eventType",
    "userIdentity.type",
    "userIdentity.arn",
    "userIdentity.principalId",
    "sourceIpAddress",
    "errorCode",
];
/// Events of CloudTrail whose names ActionTrail does not have.
const FOREIGN_EVENTS: [&str; 17] = [
    "ConsoleLogin",
    "EnableMFADevice",
    "DeactivateMFADevice",
    "AttachUserPolicy",
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "DetachUserPolicy",
    "DetachGroupPolicy",
    "DetachRolePolicy",
    "UpdateAssumeRolePolicy",
    "CreateOpenIDConnectProvider",
    "AssumeRoleWithWebIdentity",
    "UpdateAccountPasswordPolicy",
    "DeleteAccountPasswordPolicy",
    "AuthorizeSecurityGroupIngress",
    "RevokeSecurityGroupIngress",
    "DeleteFlowLogs",
];

/// Checks that `value` can occur in the field `name`. `is_pattern` says that it is a part or pattern of a value.
///
/// # Errors
/// The reason why it cannot.
pub(super) fn check_value(
    dialect: Dialect,
    name: &str,
    value: &str,
    is_pattern: bool,
) -> Result<(), String> {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    let folded = value.to_lowercase().replace("\\.", ".");
    let is_platform = PLATFORM_FIELDS.iter().any(|known| is(known))
        || dialect == Dialect::CloudTrail && is("userAgent");
    if is_platform && let Some(text) = FOREIGN_TEXTS.iter().find(|text| folded.contains(**text)) {
        return Err(format!(
            "`{name}`: `{value}` cannot occur in an event of ActionTrail: `{text}` belongs to another cloud"
        ));
    }
    if is_pattern {
        return Ok(());
    }
    let counterpart = |kind: FieldKind| {
        let values = map_value(kind, value).unwrap_or_default();
        values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ")
    };
    let of_cloudtrail = |kind| {
        format!("`{name}`: `{value}` is CloudTrail's; ActionTrail has {}", counterpart(kind))
    };
    if dialect == Dialect::CloudTrail
        && is("userIdentity.userName")
        && folded == "hidden_due_to_security_reasons"
    {
        return Err(format!("`{name}`: ActionTrail never writes `{value}`"));
    }
    if is("eventName") && FOREIGN_EVENTS.iter().any(|event| event.eq_ignore_ascii_case(value)) {
        return Err(of_cloudtrail(FieldKind::AwsEvent));
    }
    if is("userIdentity.type") && map_value(FieldKind::AwsIdentity, value).is_ok() {
        return Err(of_cloudtrail(FieldKind::AwsIdentity));
    }
    if is("sourceIpAddress") && value.contains('/') && value.parse::<ipnet::IpNet>().is_ok() {
        return Err(format!("`{name}`: `{value}` is a range; compare it by `{name}|cidr`"));
    }
    Ok(())
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
