//! SQL views over the lake's tables. The comment at the top of each file says what the view shows.

/// Name and query of each view.
pub(crate) const VIEWS: [(&str, &str); 12] = [
    ("signins", include_str!("../../views/signins.sql")),
    ("stops", include_str!("../../views/stops.sql")),
    ("root_activity", include_str!("../../views/root_activity.sql")),
    ("key_activity", include_str!("../../views/key_activity.sql")),
    ("member_activity", include_str!("../../views/member_activity.sql")),
    ("permission_changes", include_str!("../../views/permission_changes.sql")),
    ("network_changes", include_str!("../../views/network_changes.sql")),
    ("sources", include_str!("../../views/sources.sql")),
    ("coverage", include_str!("../../views/coverage.sql")),
    ("reconciliation", include_str!("../../views/reconciliation.sql")),
    ("comprehension", include_str!("../../views/comprehension.sql")),
    ("copies", include_str!("../../views/copies.sql")),
];
