//! Calls of the attack on networks, databases at the internet, names and discovery.

use super::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[];
