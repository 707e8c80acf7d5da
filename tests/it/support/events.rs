//! A small sign-in event.

const EVENT: &str = r#"{"eventId":"E1","eventName":"ConsoleSignin","eventType":"ConsoleSignin","serviceName":"AasSub","eventTime":"2026-09-21T02:14:05Z","sourceIpAddress":"198.51.100.9","additionalEventData":{"mfaChecked":"false"},"userIdentity":{"type":"ram-user","accountId":"1000000000000001","principalId":"2","userName":"NAME"}}"#;

pub(crate) fn event(name: &str) -> String {
    EVENT.replace("NAME", name)
}
