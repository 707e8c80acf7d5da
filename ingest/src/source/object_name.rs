//! The name of a trail's object, which states time, number of events, size and MD5. The statements are checked against the
//! content and never trusted.

/// The parts of a trail object's key. It is parsed from the right, because users choose the prefix on the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Account id in the folder of a multi-account trail.
    pub account_id: Option<String>,
    /// Region.
    pub region: String,
    /// Time, `YYYYMMDDHHMMSS` in UTC.
    pub time: String,
    /// Stated number of events.
    pub events: u64,
    /// Stated size in bytes. It is not documented whether before or after compression.
    pub bytes: u64,
    /// Stated MD5, in lower-case hex.
    pub md5: String,
}

impl ObjectName {
    /// Parses `.../AliyunLogs/<kind>/[<rd>/<account>/]<region>/<Y>/<M>/<D>/Actiontrail_<region>_<time>_<n>_<count>_<size>_<md5>.gz`.
    /// `None` for any other name.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let mut folders = path.rsplit(['/', '\\']);
        let file = folders.next()?;
        let stem = file.split('.').next()?;
        let mut parts = stem.rsplitn(6, '_');
        let md5 = parts
            .next()
            .filter(|md5| md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let bytes = parts.next()?.parse().ok()?;
        let events = parts.next()?.parse().ok()?;
        let _serial = parts.next().filter(|serial| serial.bytes().all(|b| b.is_ascii_digit()))?;
        let time = parts
            .next()
            .filter(|time| time.len() == 14 && time.bytes().all(|b| b.is_ascii_digit()))?;
        let region =
            parts.next()?.strip_prefix("Actiontrail_").or(stem.strip_prefix("actiontrail_"))?;
        let digits = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit())
        };
        let dated = [2, 2, 4]
            .into_iter()
            .all(|length| folders.next().is_some_and(|folder| digits(folder, length)));
        let account_id = if dated && folders.next().is_some_and(|folder| folder == region) {
            // The folder above the region is the kind, or account and resource directory with the kind above them.
            folders
                .next()
                .filter(|folder| folder.len() >= 4 && folder.bytes().all(|b| b.is_ascii_digit()))
                .filter(|_| folders.next().is_some_and(|directory| directory.starts_with("rd-")))
        } else {
            None
        };
        Some(Self {
            account_id: account_id.map(str::to_owned),
            region: region.to_owned(),
            time: time.to_owned(),
            events,
            bytes,
            md5: md5.to_ascii_lowercase(),
        })
    }
}

impl ObjectName {
    /// Describes each statement of the name that does not match the content. Size and MD5 are compared where they are known.
    #[must_use]
    pub fn mismatches(&self, events: u64, bytes: Option<u64>, md5: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        if self.events != events {
            found.push(format!(
                "mismatch: the name says {} events, the object holds {events}",
                self.events
            ));
        }
        if let Some(bytes) = bytes.filter(|bytes| *bytes != self.bytes) {
            found.push(format!(
                "mismatch: the name says {} bytes, the object has {bytes}",
                self.bytes
            ));
        }
        if let Some(md5) = md5.filter(|md5| *md5 != self.md5) {
            found.push(format!("mismatch: the name says MD5 {}, the object has {md5}", self.md5));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "8d2a62c7317236ee7bf50184a428d8a9";

    #[test]
    fn read_from_the_right_under_any_prefix() {
        let file = format!("Actiontrail_ap-southeast-6_20260925070451_1002_4_1146_{MD5}.gz");
        for (folder, account) in [
            ("actiontrail/AliyunLogs/Actiontrail/ap-southeast-6/2026/09/25", None),
            (
                "a/b/c/AliyunLogs/Actiontrail/rd-Ab12/1234567890123456/ap-southeast-6/2026/09/25",
                Some("1234567890123456"),
            ),
            ("", None),
            ("somewhere/else", None),
        ] {
            let name = ObjectName::parse(&format!("{folder}/{file}")).expect(folder);
            assert_eq!(name.account_id.as_deref(), account, "{folder}");
            assert_eq!(
                (name.region.as_str(), name.time.as_str(), name.events, name.bytes),
                ("ap-southeast-6", "20260925070451", 4, 1146)
            );
            assert_eq!(name.md5, MD5);
        }
    }

    #[test]
    fn other_names_claim_nothing() {
        for name in [
            "",
            "events.json",
            "Actiontrail_x_2026_1_2_3_4.gz",
            "54_1453812893059571256_937.snappy",
            "..",
            "a/../b\\c\n",
        ] {
            assert_eq!(ObjectName::parse(name), None, "{name}");
        }
    }
}
