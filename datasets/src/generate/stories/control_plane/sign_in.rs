//! Calls of the attack on sign-ins, sessions and keys.

use super::steps::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[
    (
        "AT-CRED-001",
        "Ims",
        "CreateAccessKey",
        r#"{"UserPrincipalName":"night-shift@1000000000000001.onaliyun.com"}"#,
    ),
    (
        "AT-CRED-002",
        "Ims",
        "UpdateAccessKey",
        r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0004","Status":"active"}"#,
    ),
];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[
    (
        "Ims",
        "UpdateAccessKey",
        r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0005","Status":"Inactive"}"#,
    ),
    ("Ims", "DeleteAccessKey", r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0005"}"#),
];
