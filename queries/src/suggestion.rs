//! Suggestions for unknown names: the "did you mean" of every error message.

use strsim::damerau_levenshtein;

/// The name in `known` that was probably meant by `name`, compared without regard to case. `None`
/// where more than two characters of the nearest name, and more than a third of its length, would
/// have to change.
///
/// ```
/// use trailhound_queries::suggestion::nearest;
///
/// assert_eq!(nearest("evnets", ["events", "findings"]), Some("events"));
/// assert_eq!(nearest("nothing", ["events", "findings"]), None);
/// ```
#[must_use]
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (damerau_levenshtein(&known.to_lowercase(), &name), known))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .map(|(_, known)| known)
}

/// The end of an error message about the unknown name `name`: "; did you mean `...`?" where a
/// name in `known` is near, else "; " and `otherwise`, or nothing where `otherwise` is empty.
///
/// ```
/// use trailhound_queries::suggestion::did_you_mean;
///
/// let hint = did_you_mean("evnets", ["events", "findings"], "");
/// assert_eq!(hint, "; did you mean `events`?");
/// let hint = did_you_mean("nothing", ["events"], "`SHOW TABLES` lists them");
/// assert_eq!(hint, "; `SHOW TABLES` lists them");
/// ```
#[must_use]
pub fn did_you_mean<'k>(
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    otherwise: &str,
) -> String {
    match nearest(name, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if otherwise.is_empty() => String::new(),
        None => format!("; {otherwise}"),
    }
}
