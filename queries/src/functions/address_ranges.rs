//! The function `internet_share`: how much of the internet a list of address ranges covers. Two halves cover it as well as
//! `0.0.0.0/0` does.

use super::arguments::{FunctionArguments, texts_or_lists};
use crate::parameters::Parameters;
use datafusion::arrow::array::{ArrayRef, Float64Array};
use datafusion::common::Result;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// `internet_share(texts)`: see [`share_of`].
pub(super) fn internet_share(args: &FunctionArguments<'_>, _: &Parameters) -> Result<ArrayRef> {
    let ranges = texts_or_lists(args, 0)?;
    let share = |row| share_of(&ranges.get(row)?);
    Ok(Arc::new((0..args.rows).map(share).collect::<Float64Array>()))
}

/// The share of the addresses of IPv4, or of the global unicast addresses of IPv6 (`2000::/3`), that lies in at least one
/// range of `texts`; the larger of the two. A text can hold several ranges, separated by commas or space. A range may have
/// host bits, and an address is a range of one. `None` where no text has a range.
fn share_of(texts: &[String]) -> Option<f64> {
    let ranges: Vec<IpNet> = texts
        .iter()
        .flat_map(|text| text.split(|c: char| matches!(c, ',' | ';') || c.is_whitespace()))
        .filter_map(|text| text.parse().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into())))
        .collect();
    if ranges.is_empty() {
        return None;
    }
    let mut four = 0.0;
    let mut six = 0.0;
    let unicast: IpNet = IpNet::V6("2000::/3".parse().ok()?);
    for range in IpNet::aggregate(&ranges) {
        match range {
            IpNet::V4(range) => four += 0.5_f64.powi(i32::from(range.prefix_len())),
            IpNet::V6(_) if range.contains(&unicast) => six = 1.0,
            IpNet::V6(range) if unicast.contains(&IpNet::V6(range)) => {
                six +=
                    0.5_f64.powi(i32::from(range.prefix_len()) - i32::from(unicast.prefix_len()));
            }
            IpNet::V6(_) => {}
        }
    }
    Some(f64::max(four, six))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_count_once() {
        let share = |texts: &[&str]| {
            share_of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(share(&["0.0.0.0/0"]), Some(1.0));
        assert_eq!(share(&["::/0"]), Some(1.0));
        assert_eq!(share(&["0.0.0.0/1", "128.0.0.0/1"]), Some(1.0));
        assert_eq!(share(&["10.1.2.3/0"]), Some(1.0));
        assert_eq!(share(&["10.0.0.0/8,0.0.0.0/1"]), Some(0.5));
        assert_eq!(share(&["2000::/3"]), Some(1.0));
        assert_eq!(share(&["2000::/4", "fe80::/10"]), Some(0.5));
        assert_eq!(share(&["10.0.0.1"]), Some(0.5_f64.powi(32)));
        assert_eq!(share(&["sg-1", ""]), None);
        assert_eq!(share(&[]), None);
    }
}
