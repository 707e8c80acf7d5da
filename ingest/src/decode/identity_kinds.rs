//! The kinds of identity that ActionTrail documents: the values of `userIdentity.type`.

/// The kinds, in lower case.
const IDENTITY_TYPES: [&str; 7] = [
    "root-account",
    "ram-user",
    "assumed-role",
    "system",
    "saml-user",
    "oidc-user",
    "cloudsso-user",
];

/// True where `kind` is an identity type that the vendor documents.
pub(super) fn is_documented_identity(kind: &str) -> bool {
    let kind = kind.trim();
    IDENTITY_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))
        || kind.get(..13).is_some_and(|head| head.eq_ignore_ascii_case("alibaba-cloud"))
}
