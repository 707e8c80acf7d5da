//! The calls that an attack or everyday work consists of.

/// A call of the attack: the rules that must flag it, separated by space, service, event name, parameters as JSON.
pub(super) type AttackStep = (&'static str, &'static str, &'static str, &'static str);

/// An everyday call: service, event name, parameters as JSON.
pub(super) type HarmlessCall = (&'static str, &'static str, &'static str);
