//! Calls of the attack on sign-ins, sessions and keys.

use super::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[];
