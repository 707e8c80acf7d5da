//! Random SQL statements over the rows of one common table expression, which PostgreSQL and Trailhound read alike.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64Mcg;

/// The rows that every statement reads: `r(id, k, i, j, n, f, s, t, d, ts, tz, iv, b, a)`, with NULLs.
pub(crate) const ROWS: &str = "WITH r(id, k, i, j, n, f, s, t, d, ts, tz, iv, b, a) AS (VALUES \
(1, 'x', 7, 3::bigint, 1.25, 2.5::float8, 'RunInstances', 'eu-west', DATE '2026-11-20', TIMESTAMP '2026-11-20 05:30:05.25', TIMESTAMPTZ '2026-11-20 05:30:05.25+00', INTERVAL '1 day 02:03:04', true, ARRAY['a', 'b', 'c']), \
(2, 'x', -7, 2::bigint, -0.50, -2.5::float8, 'DescribeInstances', 'cn-hangzhou', DATE '2026-01-31', TIMESTAMP '2026-01-31 23:59:59', TIMESTAMPTZ '2026-03-29 00:30:00+00', INTERVAL '-3 hours', false, ARRAY['b']), \
(3, 'y', 0, 5::bigint, 100.00, 0.1::float8, '', NULL, DATE '2024-02-29', TIMESTAMP '2024-02-29 00:00:00', TIMESTAMPTZ '2026-10-25 00:30:00+00', INTERVAL '1 mon', NULL, NULL), \
(4, 'y', 2147483647, -1::bigint, 3.14, 1000000.0::float8, '  spaces  ', 'x,y,,z', DATE '1999-12-31', TIMESTAMP '1999-12-31 12:00:00', TIMESTAMPTZ '2025-12-31 18:00:00+00', INTERVAL '1 year 2 mons 3 days', true, ARRAY['x', NULL]), \
(5, NULL, NULL, 9000000000::bigint, NULL, NULL, NULL, 'Wert', NULL, NULL, NULL, NULL, true, ARRAY['c', 'a']), \
(6, 'z', 12, 12::bigint, 0.00, 33.3::float8, 'CreateUser_01', '10.0.0.1', DATE '2026-11-21', TIMESTAMP '2026-11-21 17:45:00.000001', TIMESTAMPTZ '2026-11-20 17:45:00.000001+00', INTERVAL '90 minutes', false, ARRAY['d', 'e', 'f', 'g']))";

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Number,
    Float,
    Text,
    Bool,
    Date,
    Wall,
    Point,
    Span,
}

use Kind::{Bool, Date, Float, Int, Number, Point, Span, Text, Wall};

const KINDS: [Kind; 9] = [Int, Number, Float, Text, Bool, Date, Wall, Point, Span];

/// Templates of expressions: the kind of the result, and the text with the kinds of its parts as `{i}`, `{n}`, `{f}`, `{s}`,
/// `{b}`, `{d}`, `{w}`, `{p}`, `{v}`.
const TEMPLATES: &[(Kind, &str)] = &[
    (Int, "({i} + {i})"),
    (Int, "({i} - {i})"),
    (Int, "({i} * 3)"),
    (Int, "({i} / 2)"),
    (Int, "({i} % 5)"),
    (Int, "(i / NULLIF({i}, 0))"),
    (Int, "abs({i})"),
    (Int, "length({s})"),
    (Int, "octet_length({s})"),
    (Int, "strpos({s}, 'n')"),
    (Int, "position('s' IN {s})"),
    (Int, "ascii({s})"),
    (Int, "coalesce({i}, -1)"),
    (Int, "nullif({i}, 7)"),
    (Int, "greatest({i}, {i}, 3)"),
    (Int, "least({i}, 2)"),
    (Int, "CASE WHEN {b} THEN {i} ELSE 0 END"),
    (Int, "({d} - {d})"),
    (Int, "cardinality(a)"),
    (Int, "array_length(a, 1)"),
    (Int, "array_position(a, 'b')"),
    (Int, "mod({i}, 4)"),
    (Int, "gcd({i}, 12)"),
    (Int, "({f})::int"),
    (Int, "round({n})::int"),
    (Int, "regexp_count({s}, '[aeiou]')"),
    (Int, "('1' || '2')::int"),
    (Int, "{b}::int"),
    (Int, "j"),
    (Int, "bit_length({s})"),
    (Number, "({n} + {n})"),
    (Number, "({n} - {i})"),
    (Number, "({n} * {n})"),
    (Number, "round({n} / NULLIF({n}, 0), 6)"),
    (Number, "(100.0 * {i} / 7)"),
    (Number, "round({n}, 1)"),
    (Number, "round({n})"),
    (Number, "trunc({n}, 1)"),
    (Number, "ceil({n})"),
    (Number, "floor({n})"),
    (Number, "abs({n})"),
    (Number, "sign({n})"),
    (Number, "mod({n}, 0.7)"),
    (Number, "({n})::numeric(10, 1)"),
    (Number, "extract(epoch FROM {p})"),
    (Number, "extract(day FROM {d})"),
    (Number, "extract(dow FROM {p})"),
    (Number, "extract(hour FROM {p})"),
    (Number, "extract(second FROM {w})"),
    (Number, "extract(week FROM {w})"),
    (Number, "extract(isoyear FROM {d})"),
    (Number, "extract(epoch FROM {v})"),
    (Number, "extract(quarter FROM {d})"),
    (Number, "extract(timezone FROM {p})"),
    (Number, "extract(doy FROM {w})"),
    (Number, "coalesce({n}, {i})"),
    (Number, "-{n}"),
    (Number, "('3.50')::numeric"),
    (Number, "({f})::numeric(20, 4)"),
    (Number, "sqrt(abs({n}))"),
    (Number, "power({n}, 2)"),
    (Int, "width_bucket({n}, 0.0, 3.5, 7)"),
    (Float, "({f} + {f})"),
    (Float, "({f} * {i})"),
    (Float, "({f} / NULLIF({f}, 0))"),
    (Float, "sqrt(abs({f}))"),
    (Float, "power({f}, 2)"),
    (Float, "exp(1.5::float8)"),
    (Float, "ln(abs({f}) + 1)"),
    (Float, "round({f})"),
    (Float, "ceil({f})"),
    (Float, "floor({f})"),
    (Float, "trunc({f})"),
    (Float, "abs({f})"),
    (Float, "sin({f})"),
    (Float, "degrees({f})"),
    (Float, "date_part('hour', {p})"),
    (Float, "date_part('epoch', {v})"),
    (Float, "date_part('year', {d})"),
    (Float, "({n})::float8"),
    (Float, "({s} || '1')::float8"),
    (Float, "round({i})"),
    (Float, "cbrt({f})"),
    (Text, "lower({s})"),
    (Text, "upper({s})"),
    (Text, "({s} || {s})"),
    (Text, "({s} || {i})"),
    (Text, "(s || NULL)"),
    (Text, "concat({s}, {i}, {b}, NULL, {d})"),
    (Text, "concat_ws('-', {s}, NULL, {i})"),
    (Text, "left({s}, {k})"),
    (Text, "right({s}, {k})"),
    (Text, "substr({s}, {k})"),
    (Text, "substr({s}, {k}, 3)"),
    (Text, "substring({s} FROM 2 FOR 3)"),
    (Text, "substring({s} FROM '[A-Z]+')"),
    (Text, "split_part({t}, ',', {k})"),
    (Text, "replace({s}, 'n', '<>')"),
    (Text, "reverse({s})"),
    (Text, "lpad({s}, 8, '*.')"),
    (Text, "rpad({s}, 6)"),
    (Text, "trim({s})"),
    (Text, "btrim({s}, 'R s')"),
    (Text, "ltrim({s}, ' D')"),
    (Text, "rtrim({s})"),
    (Text, "repeat({s}, 2)"),
    (Text, "initcap({s})"),
    (Text, "translate({s}, 'aeR', '12')"),
    (Text, "overlay({s} PLACING 'ZZ' FROM 2)"),
    (Text, "md5({s})"),
    (Text, "to_hex({i})"),
    (Text, "chr(65 + abs({k}))"),
    (Text, "format('%s|%10s|%-4s|%L', {s}, {i}, {b}, {s})"),
    (Text, "quote_literal({s})"),
    (Text, "regexp_replace({s}, '[aeiou]+', '#', 'g')"),
    (Text, "regexp_replace({s}, '(.)(.)', '\\2\\1')"),
    (Text, "({i})::text"),
    (Text, "({b})::text"),
    (Text, "({d})::text"),
    (Text, "({p})::text"),
    (Text, "({w})::text"),
    (Text, "({v})::text"),
    (Text, "({f})::text"),
    (Text, "round({n}, 2)::text"),
    (Text, "to_char({p}, 'YYYY-MM-DD HH24:MI:SS')"),
    (Text, "to_char({w}, 'Dy, DD Mon YYYY HH12:MI AM')"),
    (Text, "to_char({d}, 'FMMonth FMDD, IYYY-IW-ID Q')"),
    (Text, "to_char({p}, 'TZH:TZM MS US DDD WW')"),
    (Text, "to_char({v}, 'HH24:MI:SS')"),
    (Text, "concat(s::varchar(2), '|', s::varchar(5), '|', s::text)"),
    (Text, "concat(ts::timestamp(0), '|', ts::timestamp(3), '|', ts::time)"),
    (Text, "concat(n::numeric(10, 1), '|', n::numeric(10, 0), '|', n::int)"),
    (Text, "to_char({i}, '999,999')"),
    (Text, "to_char({i}, 'FM9999999990')"),
    (Text, "to_char({n}, 'FM999,990.00')"),
    (Text, "to_char({n}, 'S99D99')"),
    (Text, "to_char({n}, '0000.9MI')"),
    (Text, "to_char({n}, 'FM99.99PR')"),
    (Text, "to_char({n}, '\"n = \"999.000')"),
    (Text, "to_char({f}, '9G999G999.99SG')"),
    (Text, "to_char({f}, 'PL90.9')"),
    (Text, "to_char({i}, '99999th')"),
    (Text, "to_char({i}, '999')"),
    (Text, "array_to_string(a, ',')"),
    (Text, "array_to_string(a, '|', '?')"),
    (Text, "a[{k}]"),
    (Text, "(a[1:2])::text"),
    (Text, "(a || 'q')::text"),
    (Text, "array_append(a, {s})::text"),
    (Text, "array_remove(a, 'b')::text"),
    (Text, "string_to_array({t}, ',')::text"),
    (Text, "regexp_match({s}, '([A-Z])[a-z]+')::text"),
    (Text, "regexp_split_to_array({s}, '[aeiou]')::text"),
    (Text, "encode({s}::bytea, 'hex')"),
    (Text, "encode({s}::bytea, 'base64')"),
    (Text, "encode(sha256({s}::bytea), 'hex')"),
    (Text, "coalesce({t}, {s}, '?')"),
    (Text, "CASE {i} WHEN 7 THEN 'seven' WHEN 0 THEN 'zero' END"),
    (Text, "({s})::varchar(3)"),
    (Text, "nullif({s}, '')"),
    (Text, "age({w}, {w})::text"),
    (Bool, "({i} > {i})"),
    (Bool, "({n} <= {f})"),
    (Bool, "({s} = {s})"),
    (Bool, "({s} < 'E')"),
    (Bool, "({s} LIKE '%ns%')"),
    (Bool, "({s} ILIKE 'd_s%')"),
    (Bool, "({s} ~ '^[A-Z][a-z]+')"),
    (Bool, "({s} ~* 'INST')"),
    (Bool, "({s} !~ 'a')"),
    (Bool, "({s} SIMILAR TO '%(Run|User)%')"),
    (Bool, "({p} > '2026-11-20')"),
    (Bool, "({p} >= '2026-11-20 08:00:00' AND {p} < '2026-11-21')"),
    (Bool, "({d} BETWEEN '2026-01-01' AND '2026-12-31')"),
    (Bool, "({i} IN (7, 12, NULL))"),
    (Bool, "({s} IN ('', 'RunInstances'))"),
    (Bool, "({b} AND {b})"),
    (Bool, "({b} OR NOT {b})"),
    (Bool, "({i} IS DISTINCT FROM {i})"),
    (Bool, "({s} IS NOT DISTINCT FROM NULL)"),
    (Bool, "({v} > INTERVAL '1 hour')"),
    (Bool, "({p} = {w})"),
    (Bool, "({w} < {d})"),
    (Bool, "('b' = ANY (a))"),
    (Bool, "({s} <> ALL (ARRAY['x', 'Wert']))"),
    (Bool, "({i} = '7')"),
    (Bool, "starts_with({s}, 'R')"),
    (Bool, "regexp_like({s}, 'user', 'i')"),
    (Bool, "(a @> ARRAY['b'])"),
    (Bool, "({b} IS NOT TRUE)"),
    (Bool, "('yes')::boolean"),
    (Date, "({d} + 1)"),
    (Date, "({d} - 30)"),
    (Date, "({p})::date"),
    (Date, "({w})::date"),
    (Date, "DATE '2026-11-20'"),
    (Date, "to_date('20 Nov 2026', 'DD Mon YYYY')"),
    (Date, "make_date(2026, 2, 28)"),
    (Date, "greatest({d}, '2026-01-01')"),
    (Date, "('2026-11-' || '07')::date"),
    (Wall, "date_trunc('day', {w})"),
    (Wall, "date_trunc('week', {w})"),
    (Wall, "date_trunc('quarter', {w})"),
    (Wall, "({w} + {v})"),
    (Wall, "({w} - {v})"),
    (Wall, "({d} + {v})"),
    (Wall, "({p} AT TIME ZONE 'Asia/Shanghai')"),
    (Wall, "({p})::timestamp"),
    (Wall, "({d})::timestamp"),
    (Wall, "({w} + INTERVAL '1 month')"),
    (Wall, "make_timestamp(2026, 3, 29, 2, 30, 1.5)"),
    (Wall, "date_bin('15 minutes', {w}, TIMESTAMP '2001-01-01')"),
    (Wall, "({w})::timestamp(0)"),
    (Wall, "date_trunc('month', {w}) + INTERVAL '1 month' - INTERVAL '1 day'"),
    (Point, "date_trunc('day', {p})"),
    (Point, "date_trunc('hour', {p})"),
    (Point, "date_trunc('month', {p})"),
    (Point, "date_trunc('day', {p}, 'Asia/Tokyo')"),
    (Point, "({p} + {v})"),
    (Point, "({p} - {v})"),
    (Point, "({p} + INTERVAL '1 day')"),
    (Point, "({w} AT TIME ZONE 'Europe/Berlin')"),
    (Point, "({w})::timestamptz"),
    (Point, "({d})::timestamptz"),
    (Point, "'2026-03-29 02:30:00'::timestamptz"),
    (Point, "to_timestamp('2026-11-14 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')"),
    (Point, "to_timestamp({f})"),
    (Point, "date_bin('1 hour', {p}, '2001-01-01')"),
    (Point, "coalesce({p}, {w})"),
    (Point, "CAST('2026-11-14 00:00:00' AS TIMESTAMPTZ)"),
    (Point, "make_timestamptz(2026, 7, 1, 12, 0, 0)"),
    (Span, "({p} - {p})"),
    (Span, "({w} - {w})"),
    (Span, "({v} + {v})"),
    (Span, "({v} * 2)"),
    (Span, "({v} / 4)"),
    (Span, "({v} * 1.5)"),
    (Span, "age({w}, {w})"),
    (Span, "age({p}, {p})"),
    (Span, "INTERVAL '1 day 12 hours'"),
    (Span, "({i} % 100) * INTERVAL '1 minute'"),
    (Span, "justify_hours({v})"),
    (Span, "-{v}"),
    (Span, "date_trunc('hour', {v})"),
    (Span, "('36 hours')::interval"),
];

/// Templates of aggregates.
const AGGREGATES: &[&str] = &[
    "count(*)",
    "count({s})",
    "count(DISTINCT {s})",
    "sum({i})",
    "sum(j)",
    "sum({n})",
    "sum({f})",
    "avg({i})",
    "avg({n})",
    "avg({f})",
    "min({i})",
    "max({p})",
    "min({s})",
    "max({d})",
    "string_agg({s}, ',' ORDER BY id)",
    "string_agg(DISTINCT k, '+' ORDER BY k)",
    "array_agg(k ORDER BY id)::text",
    "bool_and({b})",
    "bool_or({b})",
    "every({b})",
    "count(*) FILTER (WHERE {b})",
    "sum({i}) FILTER (WHERE i > 0)",
    "round(avg({i}), 2)",
    "round(100.0 * count(*) FILTER (WHERE {b}) / count(*), 1)",
    "sum(i) / count(*)",
    "sum(j) / count(*)",
    "max({p}) - min({p})",
    "bit_or(i)",
    "round(stddev_samp({f})::numeric, 6)",
    "corr(i, f)",
    "percentile_cont(0.5) WITHIN GROUP (ORDER BY {f})",
    "min({n})",
    "max(length({s}))",
    "sum(CASE WHEN {b} THEN 1 ELSE 0 END)",
];

/// Templates of window functions.
const WINDOWS: &[&str] = &[
    "row_number() OVER (ORDER BY id)",
    "rank() OVER (ORDER BY k)",
    "dense_rank() OVER (ORDER BY k DESC)",
    "lag({i}) OVER (ORDER BY id)",
    "lead({s}, 2, 'none') OVER (ORDER BY id)",
    "sum({i}) OVER (PARTITION BY k ORDER BY id)",
    "count(*) OVER (PARTITION BY k)",
    "first_value({s}) OVER (ORDER BY id)",
    "last_value({i}) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "avg({n}) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "ntile(3) OVER (ORDER BY id)",
    "max({p}) OVER (PARTITION BY k)",
    "nth_value({i}, 2) OVER (ORDER BY id)",
    "tz - lag(tz) OVER (ORDER BY id)",
    "sum(j) OVER (ORDER BY id)",
    "percent_rank() OVER (ORDER BY k)",
];

/// Templates of statements that combine rows: unions, joins, quantified comparisons, row values, subqueries as values. A
/// second table is `m(k, z)`, with a key that `r` lacks.
const RELATIONS: &[&str] = &[
    "SELECT {i} AS x FROM r UNION ALL SELECT {n} FROM r ORDER BY 1",
    "SELECT {n} AS x FROM r UNION ALL SELECT {f} FROM r ORDER BY 1",
    "SELECT {i} AS x FROM r UNION SELECT j FROM r ORDER BY 1",
    "SELECT {d} AS x FROM r UNION ALL SELECT {p} FROM r ORDER BY 1",
    "SELECT {p} AS x FROM r UNION ALL SELECT {d} FROM r ORDER BY 1",
    "SELECT {w} AS x FROM r UNION SELECT {p} FROM r ORDER BY 1",
    "SELECT NULL AS x UNION ALL SELECT {n} FROM r ORDER BY 1",
    "SELECT 1 AS x UNION ALL SELECT 1.5 UNION ALL SELECT 2.25::float8 ORDER BY 1",
    "SELECT {i} AS x FROM r INTERSECT SELECT {i} FROM r ORDER BY 1",
    "SELECT {s} AS x FROM r EXCEPT SELECT {s} FROM r ORDER BY 1",
    "SELECT {i} AS x FROM r EXCEPT ALL SELECT {n} FROM r ORDER BY 1",
    "SELECT x FROM (VALUES ({k}), (1.5), (NULL)) AS v(x) ORDER BY 1",
    "SELECT k, id, z FROM r LEFT JOIN m USING (k) ORDER BY 2, 3",
    "SELECT k, id, z FROM r RIGHT JOIN m USING (k) ORDER BY 3, 2",
    "SELECT k, id, z FROM r FULL JOIN m USING (k) ORDER BY 3, 2",
    "SELECT k, z FROM r NATURAL JOIN m ORDER BY 2, 1",
    "SELECT r.k, m.k, id FROM r FULL JOIN m ON r.k = m.k ORDER BY 3, 2",
    "SELECT r.id, o.id FROM r JOIN r AS o ON r.j < o.i ORDER BY 1, 2",
    "SELECT id FROM r WHERE i < ANY (SELECT j FROM r WHERE {b}) ORDER BY 1",
    "SELECT id FROM r WHERE j >= ALL (SELECT j FROM r WHERE {b}) ORDER BY 1",
    "SELECT id FROM r WHERE tz <= ALL (SELECT tz FROM r WHERE tz IS NOT NULL) ORDER BY 1",
    "SELECT id FROM r WHERE i = ANY (SELECT {i} FROM r) ORDER BY 1",
    "SELECT id FROM r WHERE j <> ALL (SELECT {i} FROM r) ORDER BY 1",
    "SELECT id FROM r WHERE i > ANY (ARRAY[{k}, {k}]) ORDER BY 1",
    "SELECT id FROM r WHERE s ~ ANY (ARRAY['^R', 'x$']) ORDER BY 1",
    "SELECT id FROM r WHERE s LIKE ANY (ARRAY['R%', '%x']) ORDER BY 1",
    "SELECT id FROM r WHERE (i, j) = ({k}, 3) ORDER BY 1",
    "SELECT id FROM r WHERE (k, i) < ('y', {k}) ORDER BY 1",
    "SELECT id FROM r WHERE (k, i) NOT IN (('x', 7), ('y', NULL)) ORDER BY 1",
    "SELECT id FROM r WHERE (tz, k) > ('2026-03-29', 'a') ORDER BY 1",
    "SELECT id FROM r WHERE i IN (SELECT {i} FROM r WHERE {b}) ORDER BY 1",
    "SELECT id FROM r WHERE j NOT IN (SELECT {i} FROM r WHERE {b}) ORDER BY 1",
    "SELECT id FROM r WHERE k NOT IN (SELECT m.k FROM m) ORDER BY 1",
    "SELECT id FROM r WHERE EXISTS (SELECT 1 FROM m WHERE m.k = r.k AND {b}) ORDER BY 1",
    "SELECT id, EXISTS (SELECT 1 FROM m WHERE m.k = r.k) AS x FROM r ORDER BY 1",
    "SELECT id, i IN (SELECT z FROM m) AS x FROM r ORDER BY 1",
    "SELECT id, (SELECT max(z) FROM m WHERE m.k = r.k) AS x FROM r ORDER BY 1",
    "SELECT id, -2 ^ 2 AS x, (-2) ^ 2 AS y FROM r ORDER BY 1",
    "SELECT id, s::char(3) AS x FROM r ORDER BY 1",
    "SELECT id, lag(tz, 1, '2026-11-29') OVER (ORDER BY id) AS x FROM r ORDER BY 1",
    "SELECT id, lead(n, 1, 0.5) OVER (ORDER BY id) AS x FROM r ORDER BY 1",
    "SELECT DISTINCT ON (k) k, id FROM r ORDER BY k, {i} + 0 DESC NULLS LAST, id",
    "SELECT k, count(*) FROM r GROUP BY ROLLUP (k) ORDER BY 1 NULLS LAST, 2",
    "SELECT k, b, sum({i}) FROM r GROUP BY GROUPING SETS ((k), (b)) ORDER BY 1, 2, 3",
    "SELECT k, count(*) AS c FROM r GROUP BY k HAVING count(*) > 1 ORDER BY 2 DESC, 1 NULLS FIRST",
    "SELECT id, x FROM r CROSS JOIN LATERAL (SELECT {i} + 1 AS x) AS l ORDER BY 1",
    "SELECT id, x FROM r, unnest(a) AS u(x) ORDER BY 1, 2",
    "SELECT a.x, b.x FROM generate_series(1, 3) AS a(x), generate_series(1, 2) AS b(x) ORDER BY 1, 2",
    "SELECT id FROM r ORDER BY {i} + 0 NULLS FIRST, id LIMIT 3 OFFSET 1",
    "SELECT id FROM r WHERE {b} IS NOT TRUE ORDER BY 1",
];

/// The second table of [`RELATIONS`].
const KEYS: &str = "m(k, z) AS (VALUES ('x', 1), ('z', 2), ('q', 3))";

/// Makes statements.
pub(crate) struct Statements {
    pub(crate) random: Pcg64Mcg,
}

impl Statements {
    /// One statement.
    pub(crate) fn next(&mut self) -> String {
        let text = match self.random.random_range(0..20) {
            0..=11 => {
                let kind = *KINDS.choose(&mut self.random).expect("kinds");
                let (one, two) = (self.expression(kind, 2), self.expression(kind, 1));
                format!("SELECT id, {one} AS x, {two} AS y FROM r ORDER BY id")
            }
            12..=13 => {
                format!("SELECT id, k FROM r WHERE {} ORDER BY id", self.expression(Bool, 2))
            }
            14 => format!("SELECT id, {} FROM r ORDER BY 2, 1", self.expression(Text, 1)),
            15..=17 => {
                let aggregate = *AGGREGATES.choose(&mut self.random).expect("aggregates");
                let aggregate = self.fill(aggregate, 1);
                match self.random.random_range(0..3) {
                    0 => format!("SELECT {aggregate} AS x FROM r"),
                    1 => format!(
                        "SELECT k, {aggregate} AS x FROM r GROUP BY k ORDER BY k NULLS FIRST"
                    ),
                    _ => {
                        let key = self.expression(Point, 1);
                        format!("SELECT {key} AS g, {aggregate} AS x FROM r GROUP BY 1 ORDER BY 1")
                    }
                }
            }
            _ => {
                let window = *WINDOWS.choose(&mut self.random).expect("windows");
                format!("SELECT id, {} AS x FROM r ORDER BY id", self.fill(window, 1))
            }
        };
        format!("{ROWS} {text}")
    }

    /// One statement that combines rows.
    pub(crate) fn next_relation(&mut self) -> String {
        let template = *RELATIONS.choose(&mut self.random).expect("relations");
        format!("{ROWS}, {KEYS} {}", self.fill(template, 1))
    }

    fn expression(&mut self, kind: Kind, depth: u32) -> String {
        if depth == 0 || self.random.random_range(0..6) == 0 {
            return self.leaf(kind);
        }
        let fitting: Vec<&str> =
            TEMPLATES.iter().filter(|(of, _)| *of == kind).map(|(_, template)| *template).collect();
        let template = *fitting.choose(&mut self.random).expect("a template");
        self.fill(template, depth - 1)
    }

    fn leaf(&mut self, kind: Kind) -> String {
        let leaves: &[&str] = match kind {
            Int => &["i", "i", "id", "5", "-3", "NULL::int"],
            Number => &["n", "n", "2.50", "-0.1"],
            Float => &["f", "f", "1.5::float8"],
            Text => &["s", "s", "t", "k", "'Run'", "'a-b'"],
            Bool => &["b", "b", "(i > 0)", "true"],
            Date => &["d", "d", "DATE '2026-03-01'"],
            Wall => &["ts", "ts", "TIMESTAMP '2026-05-06 07:08:09.5'"],
            Point => &["tz", "tz", "TIMESTAMPTZ '2026-06-01 12:00:00+00'"],
            Span => &["iv", "iv", "INTERVAL '2 days 03:00:00'"],
        };
        (*leaves.choose(&mut self.random).expect("leaves")).to_owned()
    }

    /// Fills the parts of a template.
    fn fill(&mut self, template: &str, depth: u32) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            text.push_str(&rest[..open]);
            let part = &rest[open + 1..=open + 1];
            text.push_str(&match part {
                "i" => self.expression(Int, depth),
                "n" => self.expression(Number, depth),
                "f" => self.expression(Float, depth),
                "s" => self.expression(Text, depth),
                "b" => self.expression(Bool, depth),
                "d" => self.expression(Date, depth),
                "w" => self.expression(Wall, depth),
                "p" => self.expression(Point, depth),
                "v" => self.expression(Span, depth),
                "t" => "t".to_owned(),
                _ => self.random.random_range(-2..5).to_string(),
            });
            rest = &rest[open + 3..];
        }
        text + rest
    }
}
