//! Databases of addresses in MaxMind's format, where the company has one: countries, places and networks.

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::samples;

/// Written in a path's place: the sample database, which test cases of rules use.
const SAMPLE: &str = "sample";

/// Networks of a database looked at to see what it tells.
const NETWORKS_TRIED: usize = 10_000;

/// Mean radius of the earth.
const EARTH_KM: f64 = 6371.0;

/// A database; nothing is known of any address until it is opened.
#[derive(Clone, Default)]
pub struct AddressDatabase {
    path: PathBuf,
    reader: Option<Arc<Reader<Vec<u8>>>>,
}

impl fmt::Debug for AddressDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AddressDatabase").field(&self.path).finish()
    }
}

impl<'de> Deserialize<'de> for AddressDatabase {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        let reader = if path == Path::new(SAMPLE) {
            let reader = Reader::from_source(samples::ADDRESSES.to_vec())
                .map_err(serde::de::Error::custom)?;
            Some(Arc::new(reader))
        } else {
            None
        };
        Ok(Self { path, reader })
    }
}

impl AddressDatabase {
    /// Opens it; a relative path counts from `folder`.
    ///
    /// # Errors
    /// Which file cannot be read and why.
    /// It must hold `wanted`: of another kind of database nothing would ever be known, and nobody would be told.
    pub(super) fn open(&mut self, folder: &Path, wanted: &[&str]) -> Result<(), String> {
        let path = folder.join(&self.path);
        let refused = |e: &dyn fmt::Display| {
            format!("`{}` is no database of addresses in MaxMind's format: {e}", path.display())
        };
        let reader = match &self.reader {
            Some(reader) => Arc::clone(reader),
            None => Arc::new(Reader::open_readfile(&path).map_err(|e| refused(&e))?),
        };
        if !holds(&reader, wanted).map_err(|e| refused(&e))? {
            let kind = &reader.metadata().database_type;
            return Err(format!(
                "`{}` is a database of the kind `{kind}`, which does not tell {}",
                path.display(),
                wanted.join(" ")
            ));
        }
        self.reader = Some(reader);
        Ok(())
    }

    /// What the database says of an address under `path`.
    fn say<T: DeserializeOwned>(&self, ip: IpAddr, path: &[&str]) -> Option<T> {
        let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
        self.reader.as_ref()?.lookup(ip).ok()?.decode_path(&path).ok()?
    }

    /// ISO code of the country; `None` where it is not known.
    pub(crate) fn country(&self, ip: IpAddr) -> Option<String> {
        self.say(ip, &["country", "iso_code"])
    }

    /// Latitude and longitude in degrees.
    fn place(&self, ip: IpAddr) -> Option<(f64, f64)> {
        Some((self.say(ip, &["location", "latitude"])?, self.say(ip, &["location", "longitude"])?))
    }

    /// Number of the network.
    pub(crate) fn asn(&self, ip: IpAddr) -> Option<u32> {
        self.say(ip, &["autonomous_system_number"])
    }

    /// Kilometres between two addresses, over the ground.
    pub(crate) fn kilometres(&self, a: IpAddr, b: IpAddr) -> Option<f64> {
        let ((lat_a, lon_a), (lat_b, lon_b)) = (self.place(a)?, self.place(b)?);
        let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
        let arc = half(lat_a, lat_b)
            + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_a, lon_b);
        Some(2.0 * EARTH_KM * arc.sqrt().min(1.0).asin())
    }
}

/// True where one of the first networks has something under `path`.
fn holds(reader: &Reader<Vec<u8>>, path: &[&str]) -> Result<bool, MaxMindDbError> {
    let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
    for network in reader.networks(WithinOptions::default())?.take(NETWORKS_TRIED) {
        if network?.decode_path::<serde::de::IgnoredAny>(&path)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_countries_places_and_networks_where_they_are_known() {
        let database: AddressDatabase = serde_json::from_str("\"sample\"").expect("the sample");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(database.country(ip("203.0.113.9")).as_deref(), Some("CN"));
        assert_eq!(database.country(ip("2001:db8:a01::1")).as_deref(), Some("BR"));
        assert_eq!(database.country(ip("10.0.0.1")), None);
        assert_eq!(database.asn(ip("192.0.2.1")), Some(64498));
        let kilometres =
            database.kilometres(ip("203.0.113.9"), ip("198.51.100.9")).expect("both are known");
        assert!((8_800.0..9_300.0).contains(&kilometres), "{kilometres}");
        let mut database = database;
        assert_eq!(database.open(Path::new(""), &["location", "latitude"]), Ok(()));
        let refused = database
            .open(Path::new(""), &["traits", "is_anonymous"])
            .expect_err("it tells nothing of that");
        assert!(
            refused.contains("kind `Trailhound-Sample`, which does not tell traits is_anonymous"),
            "{refused}"
        );
        assert_eq!(AddressDatabase::default().country(ip("203.0.113.9")), None);
    }
}
