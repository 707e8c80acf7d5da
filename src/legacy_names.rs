//! Names of outbox states from before 0.2.0. Until 0.3.0, inputs accept them and outputs give them
//! beside the new names.

pub(crate) use trailhound_detect::store::outbox::DEAD_LETTERED;

/// Name of [`DEAD_LETTERED`] before 0.2.0.
pub(crate) const PARKED: &str = "parked";

/// True where `state` is the state of a message that its sink has rejected for good, under either
/// name.
pub(crate) fn is_dead_lettered(state: &str) -> bool {
    matches!(state, DEAD_LETTERED | PARKED)
}

/// The name of `state` since 0.2.0.
pub(crate) fn current_state(state: &str) -> &str {
    if is_dead_lettered(state) { DEAD_LETTERED } else { state }
}

/// The name of `state` before 0.2.0.
pub(crate) fn former_state(state: &str) -> &str {
    if is_dead_lettered(state) { PARKED } else { state }
}
