//! IP geolocation databases in MaxMind's format (optional): countries, coordinates and networks.

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trailhound_datasets::samples;

/// Written instead of a path: the built-in sample database, which test cases of rules use.
const SAMPLE: &str = "sample";

/// Number of networks that are read to find out which fields a database holds.
const SAMPLED_NETWORKS: usize = 10_000;

/// Mean radius of the earth, in kilometres.
const EARTH_KM: f64 = 6371.0;

/// An IP database. Until it is opened, every lookup returns `None`.
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
    /// Opens the database file; a relative path starts at `folder`. The database must hold the
    /// field `required_field`: otherwise every lookup would silently return nothing.
    ///
    /// # Errors
    /// The file, and why it cannot be read or which field it lacks.
    pub(super) fn open(&mut self, folder: &Path, required_field: &[&str]) -> Result<(), String> {
        let path = folder.join(&self.path);
        let refused = |e: &dyn fmt::Display| {
            format!("`{}` is not an IP database in MaxMind's format: {e}", path.display())
        };
        let reader = match &self.reader {
            Some(reader) => Arc::clone(reader),
            None => Arc::new(Reader::open_readfile(&path).map_err(|e| refused(&e))?),
        };
        if !has_field(&reader, required_field).map_err(|e| refused(&e))? {
            let kind = &reader.metadata().database_type;
            return Err(format!(
                "`{}` is a database of type `{kind}`, which has no field `{}`",
                path.display(),
                required_field.join(".")
            ));
        }
        self.reader = Some(reader);
        Ok(())
    }

    /// Decodes the field at `path` in the record of `ip`; `None` where there is none.
    fn lookup_field<T: DeserializeOwned>(&self, ip: IpAddr, path: &[&str]) -> Option<T> {
        let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
        self.reader.as_ref()?.lookup(ip).ok()?.decode_path(&path).ok()?
    }

    /// ISO code of the country; `None` where it is unknown.
    pub(crate) fn country(&self, ip: IpAddr) -> Option<String> {
        self.lookup_field(ip, &["country", "iso_code"])
    }

    /// Latitude and longitude, in degrees.
    fn coordinates(&self, ip: IpAddr) -> Option<(f64, f64)> {
        Some((
            self.lookup_field(ip, &["location", "latitude"])?,
            self.lookup_field(ip, &["location", "longitude"])?,
        ))
    }

    /// Autonomous system number; `None` where it is unknown.
    pub(crate) fn asn(&self, ip: IpAddr) -> Option<u32> {
        self.lookup_field(ip, &["autonomous_system_number"])
    }

    /// Great-circle distance between the locations of two addresses, in kilometres (haversine
    /// formula).
    pub(crate) fn distance_km(&self, a: IpAddr, b: IpAddr) -> Option<f64> {
        let ((lat_a, lon_a), (lat_b, lon_b)) = (self.coordinates(a)?, self.coordinates(b)?);
        let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
        let arc = half(lat_a, lat_b)
            + lat_a.to_radians().cos() * lat_b.to_radians().cos() * half(lon_a, lon_b);
        Some(2.0 * EARTH_KM * arc.sqrt().min(1.0).asin())
    }
}

/// True where one of the first [`SAMPLED_NETWORKS`] networks has a value at `path`.
fn has_field(reader: &Reader<Vec<u8>>, path: &[&str]) -> Result<bool, MaxMindDbError> {
    let path: Vec<PathElement<'_>> = path.iter().map(|key| PathElement::Key(key)).collect();
    for network in reader.networks(WithinOptions::default())?.take(SAMPLED_NETWORKS) {
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
        let distance_km =
            database.distance_km(ip("203.0.113.9"), ip("198.51.100.9")).expect("both are known");
        assert!((8_800.0..9_300.0).contains(&distance_km), "{distance_km}");
        let mut database = database;
        assert_eq!(database.open(Path::new(""), &["location", "latitude"]), Ok(()));
        let refused = database
            .open(Path::new(""), &["traits", "is_anonymous"])
            .expect_err("the sample lacks the field");
        assert!(
            refused.contains("type `Trailhound-Sample`, which has no field `traits.is_anonymous`"),
            "{refused}"
        );
        assert_eq!(AddressDatabase::default().country(ip("203.0.113.9")), None);
    }
}
