//! PostgreSQL's functions over dates, times and intervals. Those over points in time read the wall clocks of the session's
//! zone.

use super::clock::{self, from_wall, out_of_range, to_wall};
use super::function::Env;
use super::interval::{DAY, HOUR, Interval, MINUTE, SECOND, between};
use super::numeric;
use super::pg_type::PgType;
use super::template::{Moment, Template};
use super::value::Value;
use chrono::NaiveDate;
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result, exec_err};
use std::sync::Arc;

type Outcome<'v> = Result<Value<'v>>;

/// Most values that `generate_series` makes.
const SERIES_MAX: usize = 1_000_000;

fn unit(args: &[Value<'_>]) -> Result<&'static str> {
    let written = args[0].as_text()?;
    clock::unit_name(written).ok_or_else(|| unknown_unit(written))
}

fn unknown_unit(written: &str) -> DataFusionError {
    DataFusionError::Execution(format!("unit \"{written}\" not recognized, or not for this type"))
}

pub(super) fn date_trunc<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    truncated(args, Tz::UTC)
}

pub(super) fn date_trunc_in_session<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    truncated(args, env.zone)
}

pub(super) fn date_trunc_in_zone<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    truncated(args, clock::zone(args[2].as_text()?)?)
}

fn truncated<'v>(args: &[Value<'v>], zone: Tz) -> Outcome<'v> {
    let (unit, time) = (unit(args)?, args[1].as_time()?);
    let local = to_wall(zone, time)?;
    let Some(begin) = clock::truncate(unit, local)? else { return Err(unknown_unit(unit)) };
    // Hours and shorter units keep the offset that holds, also where a wall clock shows an hour twice.
    let short = matches!(unit, "hour" | "minute" | "second" | "milliseconds" | "microseconds");
    Ok(Value::Time(if short { time - (local - begin) } else { from_wall(zone, begin)? }))
}

pub(super) fn date_trunc_interval<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let Interval { months, days, micros } = args[1].as_interval()?;
    let whole_months =
        |length: i32| Interval { months: months / length * length, ..Interval::default() };
    let whole_time = |length: i64| Interval { months, days, micros: micros / length * length };
    Ok(Value::Interval(match unit(args)? {
        "microseconds" => whole_time(1),
        "milliseconds" => whole_time(1000),
        "second" => whole_time(SECOND),
        "minute" => whole_time(MINUTE),
        "hour" => whole_time(HOUR),
        "day" => Interval { months, days, micros: 0 },
        "month" => whole_months(1),
        "quarter" => whole_months(3),
        "year" => whole_months(12),
        "decade" => whole_months(120),
        "century" => whole_months(1200),
        "millennium" => whole_months(12000),
        other => return Err(unknown_unit(other)),
    }))
}

/// The field that the first argument names, in millionths.
fn field(env: &Env<'_>, args: &[Value<'_>]) -> Result<i128> {
    let unit = unit(args)?;
    let (value, type_) = (&args[1], &env.arg_types[1]);
    let found = match type_ {
        PgType::Date => {
            let of_day = matches!(
                unit,
                "day"
                    | "week"
                    | "month"
                    | "quarter"
                    | "year"
                    | "decade"
                    | "century"
                    | "millennium"
                    | "dow"
                    | "doy"
                    | "isodow"
                    | "isoyear"
                    | "epoch"
                    | "julian"
            );
            let days = value.as_date()?;
            if unit == "julian" {
                return Ok((i128::from(days) + 2_440_588) * 1_000_000);
            }
            if of_day { clock::field(unit, i64::from(days) * DAY)? } else { None }
        }
        PgType::Time => {
            let of_clock = matches!(
                unit,
                "hour" | "minute" | "second" | "milliseconds" | "microseconds" | "epoch"
            );
            if of_clock { clock::field(unit, value.as_time()?)? } else { None }
        }
        PgType::Interval => clock::interval_field(unit, value.as_interval()?),
        PgType::TimestampTz => {
            let utc = value.as_time()?;
            let offset = clock::offset_seconds(env.zone, utc)?;
            match unit {
                "epoch" => Some(i128::from(utc)),
                "timezone" => Some(i128::from(offset) * 1_000_000),
                "timezone_hour" => Some(i128::from(offset / 3600) * 1_000_000),
                "timezone_minute" => Some(i128::from(offset / 60 % 60) * 1_000_000),
                unit => clock::field(unit, to_wall(env.zone, utc)?)?,
            }
        }
        _ => clock::field(unit, value.as_time()?)?,
    };
    found.ok_or_else(|| unknown_unit(unit))
}

/// `extract(field from value)`: a number of as many digits as its type has.
pub(super) fn extract<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let scale = match env.returns {
        PgType::Numeric { scale, .. } => *scale,
        _ => 6,
    };
    Ok(Value::Number { digits: numeric::rescale(field(env, args)?, 6, scale)?, scale })
}

/// `date_part(field, value)`: as `extract`, a float.
pub(super) fn date_part<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Float(numeric::to_float((field(env, args)?, 6))))
}

/// `timezone(zone, timestamptz)`: what the wall clocks of the zone show.
pub(super) fn timezone_wall<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(to_wall(clock::zone(args[0].as_text()?)?, args[1].as_time()?)?))
}

/// `timezone(zone, timestamp)`: the point in time at which the wall clocks of the zone show this.
pub(super) fn timezone_point<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(from_wall(clock::zone(args[0].as_text()?)?, args[1].as_time()?)?))
}

pub(super) fn date_bin<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(clock::bin(args[0].as_interval()?, args[1].as_time()?, args[2].as_time()?)?))
}

pub(super) fn age<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(clock::age(args[0].as_time()?, args[1].as_time()?)?))
}

pub(super) fn age_in_session<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (left, right) = (args[0].as_time()?, args[1].as_time()?);
    Ok(Value::Interval(clock::age(to_wall(env.zone, left)?, to_wall(env.zone, right)?)?))
}

fn template(env: &Env<'_>, text: &str) -> Result<Arc<Template>> {
    if let Some(known) = env.templates.borrow().get(text) {
        return Ok(Arc::clone(known));
    }
    let read = Arc::new(Template::new(text)?);
    env.templates.borrow_mut().insert(text.to_owned(), Arc::clone(&read));
    Ok(read)
}

pub(super) fn to_char_wall<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    written(env, args, Moment::Wall(args[0].as_time()?))
}

pub(super) fn to_char_point<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    written(env, args, Moment::InZone(args[0].as_time()?, env.zone))
}

pub(super) fn to_char_interval<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    written(env, args, Moment::Span(args[0].as_interval()?))
}

fn written<'v>(env: &Env<'_>, args: &[Value<'v>], moment: Moment) -> Outcome<'v> {
    let template_text = args[1].as_text()?;
    // PostgreSQL gives NULL for an empty template.
    if template_text.is_empty() {
        return Ok(Value::Null);
    }
    Ok(Value::text(template(env, template_text)?.write(moment)?))
}

pub(super) fn to_timestamp_text<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (local, offset) = template(env, args[1].as_text()?)?.read(args[0].as_text()?)?;
    Ok(Value::Time(match offset {
        Some(seconds) => local - seconds * SECOND,
        None => from_wall(env.zone, local)?,
    }))
}

pub(super) fn to_date<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (local, _) = template(env, args[1].as_text()?)?.read(args[0].as_text()?)?;
    Ok(Value::Date(i32::try_from(local.div_euclid(DAY)).map_err(|_| out_of_range())?))
}

pub(super) fn to_timestamp_epoch<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let micros = (args[0].as_float()? * 1e6).round_ties_even();
    if !micros.is_finite() || micros.abs() > 8e18 {
        return Err(out_of_range());
    }
    let micros = micros as i64;
    clock::wall(micros)?;
    Ok(Value::Time(micros))
}

fn ymd(args: &[Value<'_>]) -> Result<i64> {
    let (year, month, day) = (args[0].as_int()?, args[1].as_int()?, args[2].as_int()?);
    let date = i32::try_from(year).ok().filter(|year| *year > 0).and_then(|year| {
        NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)
    });
    match date {
        Some(date) => Ok(clock::days(date).into()),
        None => exec_err!("date field value out of range: {year}-{month}-{day}"),
    }
}

fn hms(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let valid =
        (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..60.0).contains(&second);
    if !valid {
        return exec_err!("time field value out of range: {hour}:{minute}:{second}");
    }
    let micros = (second * 1e6).round_ties_even() as i64;
    let all = hour * HOUR + minute * MINUTE + micros;
    if all > DAY { exec_err!("time field value out of range") } else { Ok(all) }
}

pub(super) fn make_date<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Date(i32::try_from(ymd(args)?).map_err(|_| out_of_range())?))
}

pub(super) fn make_time<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(hms(args[0].as_int()?, args[1].as_int()?, args[2].as_float()?)?))
}

fn wall_of_parts(args: &[Value<'_>]) -> Result<i64> {
    let time = hms(args[3].as_int()?, args[4].as_int()?, args[5].as_float()?)?;
    Ok(ymd(args)? * DAY + time)
}

pub(super) fn make_timestamp<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(wall_of_parts(args)?))
}

pub(super) fn make_timestamptz<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let zone = args.get(6).map_or(Ok(env.zone), |zone| clock::zone(zone.as_text()?))?;
    Ok(Value::Time(from_wall(zone, wall_of_parts(args)?)?))
}

pub(super) fn justify_hours<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let Interval { months, mut days, mut micros } = args[0].as_interval()?;
    days += i32::try_from(micros / DAY).map_err(|_| out_of_range())?;
    micros %= DAY;
    if days > 0 && micros < 0 {
        (days, micros) = (days - 1, micros + DAY);
    } else if days < 0 && micros > 0 {
        (days, micros) = (days + 1, micros - DAY);
    }
    Ok(Value::Interval(Interval { months, days, micros }))
}

pub(super) fn justify_days<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let Interval { mut months, mut days, micros } = args[0].as_interval()?;
    months += days / 30;
    days %= 30;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    Ok(Value::Interval(Interval { months, days, micros }))
}

fn days_of(micros: i64) -> Result<i32> {
    i32::try_from(micros.div_euclid(DAY)).map_err(|_| out_of_range())
}

/// `timestamp - timestamp`, and the same of points in time.
pub(super) fn minus_time<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(between(args[0].as_time()?, args[1].as_time()?)?))
}

pub(super) fn date_minus_date<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Int(i64::from(args[0].as_date()?) - i64::from(args[1].as_date()?)))
}

pub(super) fn date_plus_days<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let days = i64::from(args[0].as_date()?) + args[1].as_int()?;
    let days = i32::try_from(days).map_err(|_| out_of_range())?;
    clock::date(days)?;
    Ok(Value::Date(days))
}

pub(super) fn date_minus_days<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    date_plus_days(env, &[args[0].clone(), Value::Int(-args[1].as_int()?)])
}

pub(super) fn date_plus_interval<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let midnight = i64::from(args[0].as_date()?) * DAY;
    Ok(Value::Time(clock::plus_on_wall(midnight, args[1].as_interval()?)?))
}

pub(super) fn date_minus_interval<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let midnight = i64::from(args[0].as_date()?) * DAY;
    Ok(Value::Time(clock::plus_on_wall(midnight, args[1].as_interval()?.negated()?)?))
}

pub(super) fn wall_plus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(clock::plus_on_wall(args[0].as_time()?, args[1].as_interval()?)?))
}

pub(super) fn wall_minus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(clock::plus_on_wall(args[0].as_time()?, args[1].as_interval()?.negated()?)?))
}

pub(super) fn point_plus<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(clock::plus_in_zone(env.zone, args[0].as_time()?, args[1].as_interval()?)?))
}

pub(super) fn point_minus<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let back = args[1].as_interval()?.negated()?;
    Ok(Value::Time(clock::plus_in_zone(env.zone, args[0].as_time()?, back)?))
}

pub(super) fn time_plus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time((args[0].as_time()? + args[1].as_interval()?.micros % DAY).rem_euclid(DAY)))
}

pub(super) fn time_minus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time((args[0].as_time()? - args[1].as_interval()?.micros % DAY).rem_euclid(DAY)))
}

pub(super) fn time_minus_time<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let micros = args[0].as_time()? - args[1].as_time()?;
    Ok(Value::Interval(Interval { micros, ..Interval::default() }))
}

pub(super) fn date_plus_time<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Time(i64::from(args[0].as_date()?) * DAY + args[1].as_time()?))
}

pub(super) fn interval_plus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(args[0].as_interval()?.plus(args[1].as_interval()?)?))
}

pub(super) fn interval_minus<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(args[0].as_interval()?.plus(args[1].as_interval()?.negated()?)?))
}

pub(super) fn interval_times<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(args[0].as_interval()?.times(args[1].as_float()?)?))
}

pub(super) fn interval_divided<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let divisor = args[1].as_float()?;
    if divisor == 0.0 {
        return exec_err!("division by zero");
    }
    Ok(Value::Interval(args[0].as_interval()?.divided(divisor)?))
}

pub(super) fn interval_negative<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    Ok(Value::Interval(args[0].as_interval()?.negated()?))
}

/// `-1`, `0` or `1`: how the first interval compares with the second.
pub(super) fn interval_compare<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let order = args[0].as_interval()?.ordering().cmp(&args[1].as_interval()?.ordering());
    Ok(Value::Int(order as i64))
}

fn series<'v>(
    (start, stop): (i64, i64),
    step: Interval,
    plus: impl Fn(i64) -> Result<i64>,
) -> Outcome<'v> {
    let forward = match step.ordering() {
        0 => return exec_err!("step size cannot equal zero"),
        length => length > 0,
    };
    let (mut items, mut at) = (Vec::new(), start);
    while if forward { at <= stop } else { at >= stop } {
        if items.len() >= SERIES_MAX {
            return exec_err!("generate_series makes at most {SERIES_MAX} values here");
        }
        items.push(Value::Time(at));
        at = plus(at)?;
    }
    Ok(Value::List(items))
}

pub(super) fn series_wall<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let step = args[2].as_interval()?;
    series((args[0].as_time()?, args[1].as_time()?), step, |at| clock::plus_on_wall(at, step))
}

pub(super) fn series_point<'v>(env: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let step = args[2].as_interval()?;
    series((args[0].as_time()?, args[1].as_time()?), step, |at| {
        clock::plus_in_zone(env.zone, at, step)
    })
}

pub(super) fn series_int<'v>(_: &Env<'_>, args: &[Value<'v>]) -> Outcome<'v> {
    let (mut at, stop) = (args[0].as_int()?, args[1].as_int()?);
    let step = args.get(2).map_or(Ok(1), Value::as_int)?;
    if step == 0 {
        return exec_err!("step size cannot equal zero");
    }
    let mut items = Vec::new();
    while if step > 0 { at <= stop } else { at >= stop } {
        if items.len() >= SERIES_MAX {
            return exec_err!("generate_series makes at most {SERIES_MAX} values here");
        }
        items.push(Value::Int(at));
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(Value::List(items))
}

/// The day of a wall clock.
pub(super) fn wall_day(micros: i64) -> Result<i32> {
    days_of(micros)
}
