//! Values of settings: how each is read, and as what it is shown.

use trailhound_queries::session::ad_hoc::time_zone_name;

/// Why a value is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The value is not valid; with the valid ones.
    Invalid(String),
    /// PostgreSQL accepts the value, but this server does not; with the value in force.
    NotHere(String),
}

type Accepted = Result<String, Refusal>;

/// The truth value of a text, as PostgreSQL reads it.
fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some(true),
        "off" | "false" | "no" | "0" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// Accepts only `holds`.
pub(super) fn fixed(value: &str, holds: &str) -> Accepted {
    let equal = match (truth(value), truth(holds)) {
        (Some(value), Some(holds)) => value == holds,
        _ => value.eq_ignore_ascii_case(holds),
    };
    if equal { Ok(holds.to_owned()) } else { Err(Refusal::NotHere(format!("{holds:?} for all"))) }
}

/// A truth value.
pub(super) fn boolean(value: &str) -> Accepted {
    truth(value)
        .map(|value| if value { "on" } else { "off" }.to_owned())
        .ok_or_else(|| Refusal::Invalid("on or off".to_owned()))
}

/// One of `words`; upper and lower case are the same.
pub(super) fn one_of(value: &str, words: &[&str]) -> Accepted {
    let known = words.iter().find(|word| word.eq_ignore_ascii_case(value));
    known
        .map(|word| (*word).to_owned())
        .ok_or_else(|| Refusal::Invalid(format!("one of {}", words.join(", "))))
}

/// A whole number from `min` to `max`.
pub(super) fn number(value: &str, min: i64, max: i64) -> Accepted {
    match value.trim().parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
        _ => Err(Refusal::Invalid(format!("a number from {min} to {max}"))),
    }
}

/// Units of time with their milliseconds.
const UNITS: [(&str, f64); 6] = [
    ("us", 0.001),
    ("ms", 1.0),
    ("s", 1_000.0),
    ("min", 60_000.0),
    ("h", 3_600_000.0),
    ("d", 86_400_000.0),
];

/// A time in milliseconds, from a number with a unit such as `30s`; without a unit it is
/// milliseconds.
///
/// # Errors
/// The text is no time.
pub(super) fn milliseconds(value: &str) -> Result<u64, Refusal> {
    let value = value.trim();
    let end = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let unit = if unit.is_empty() { "ms" } else { unit.trim() };
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let millis = number.trim().parse::<f64>().ok().zip(factor).map(|(number, f)| number * f);
    // As many as PostgreSQL allows.
    match millis {
        Some(millis) if (0.0..=f64::from(i32::MAX)).contains(&millis) => Ok(millis.round() as u64),
        _ => Err(Refusal::Invalid("a time such as 500, 30s or 5min".to_owned())),
    }
}

/// The text of a time in the largest unit that gives a whole number.
pub(super) fn duration(millis: u64) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    let whole = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let (size, unit) =
        whole.into_iter().find(|(size, _)| millis.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{}{unit}", millis / size)
}

/// `ISO` with an order of day, month and year. Any order is accepted: it only concerns
/// styles other than ISO.
pub(super) fn date_style(value: &str) -> Accepted {
    let mut order = "MDY";
    for part in value.split(',').map(|part| part.trim().to_lowercase()) {
        match part.as_str() {
            "iso" | "default" | "" => {}
            "mdy" | "us" | "noneuro" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            "sql" | "postgres" | "german" => {
                return Err(Refusal::NotHere("\"ISO\" for all".to_owned()));
            }
            _ => return Err(Refusal::Invalid("ISO, MDY or ISO, DMY or ISO, YMD".to_owned())),
        }
    }
    Ok(format!("ISO, {order}"))
}

/// UTF-8 under any of its names.
pub(super) fn encoding(value: &str) -> Accepted {
    let name: String =
        value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if ["utf8", "unicode", "default"].contains(&name.as_str()) {
        Ok("UTF8".to_owned())
    } else {
        Err(Refusal::NotHere("\"UTF8\" for all".to_owned()))
    }
}

/// A zone of the time zone database; upper and lower case are the same.
pub(super) fn time_zone(value: &str) -> Accepted {
    if ["0", "z", "default", "local"].iter().any(|name| name.eq_ignore_ascii_case(value)) {
        return Ok("UTC".to_owned());
    }
    let expected = "a name of the time zone database such as Asia/Shanghai".to_owned();
    time_zone_name(value).map(str::to_owned).map_err(|_| Refusal::Invalid(expected))
}

/// The names of a list such as `"$user", public`, without quotes.
pub(super) fn list(value: &str) -> Vec<String> {
    let (mut names, mut name) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                name.push('"');
                rest.next();
            }
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => {
                push_name(&mut names, &mut name, was_quoted);
                was_quoted = false;
            }
            c => name.push(c),
        }
    }
    push_name(&mut names, &mut name, was_quoted);
    names
}

fn push_name(names: &mut Vec<String>, name: &mut String, quoted: bool) {
    let written = std::mem::take(name);
    let written = written.trim();
    if !written.is_empty() {
        names.push(if quoted { written.to_owned() } else { written.to_lowercase() });
    }
}

/// A list of schemas. Names without a schema are not looked for in `information_schema`.
pub(super) fn search_path(value: &str) -> Accepted {
    let names = list(value);
    if names.iter().any(|name| name == "information_schema") {
        let holds =
            "never searched for tables of information_schema; write their schema".to_owned();
        return Err(Refusal::NotHere(holds));
    }
    let is_plain = |name: &String| {
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let quoted = names.iter().map(|name| {
        if is_plain(name) { name.clone() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    });
    Ok(quoted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (written, shown) in
            [("0", "0"), ("1500", "1500ms"), ("30s", "30s"), ("0.5 h", "30min"), ("48h", "2d")]
        {
            assert_eq!(duration(milliseconds(written).expect(written)), shown);
        }
        assert!(milliseconds("-1").is_err());
        assert!(milliseconds("1 year").is_err());
    }

    #[test]
    fn lists_keep_quoted_names() {
        assert_eq!(list("\"$user\", Public"), ["$user", "public"]);
        assert_eq!(list("\"a,\"\"b\""), ["a,\"b"]);
        assert!(list("").is_empty());
        assert_eq!(search_path("'x' , PUBLIC").expect("a path"), "\"'x'\", public");
    }
}
