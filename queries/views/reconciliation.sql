-- A trail that comes by several ways: for each account with more than one source, each region and hour, how many events there are,
-- how many of them each source has brought, and how many it missed, which the others filled. Each event is in `events` once and in
-- `copies` once for each further source, so counting is enough. A source is held to account from its own first event on.
--
-- status: `complete`; `open` while the source may still bring it (nothing newer has come from it, and the account's newest event is
-- less than two hours away); `missed`; `silent` where nothing newer has come from it although others have gone on.
--| account_id: Account; NULL for events that name none.
--| acs_region: Region; NULL likewise.
--| hour: The hour, UTC, as its first moment.
--| source: Name of the source.
--| events: Events of that account, region and hour, from whatever source.
--| seen: Those that this source has brought.
--| missed: Those that it has not, which the others filled.
--| seen_first: Those that it was the first to bring.
--| status: `complete`, `open`, `missed` or `silent`, see above.
WITH brought AS (
    SELECT source, account_id, acs_region, date_bin(INTERVAL '1 hour', event_time) AS hour, count(*) AS seen, count(*) AS first_seen
    FROM events GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT source, account_id, acs_region, date_bin(INTERVAL '1 hour', event_time), count(*), 0
    FROM copies GROUP BY 1, 2, 3, 4
), by_source AS (
    SELECT source, coalesce(account_id, '') AS account, coalesce(acs_region, '') AS region, hour,
           sum(seen) AS seen, sum(first_seen) AS first_seen
    FROM brought GROUP BY 1, 2, 3, 4
), sources AS (
    SELECT source, account, min(hour) AS first_hour, max(hour) AS last_hour FROM by_source GROUP BY 1, 2
), hours AS (
    SELECT account, region, hour, sum(first_seen) AS events FROM by_source GROUP BY 1, 2, 3
), accounts AS (
    SELECT account, count(*) AS ways, max(last_hour) AS last_hour FROM sources GROUP BY 1
)
SELECT nullif(h.account, '') AS account_id, nullif(h.region, '') AS acs_region, h.hour, s.source, h.events,
       coalesce(b.seen, 0) AS seen, h.events - coalesce(b.seen, 0) AS missed, coalesce(b.first_seen, 0) AS seen_first,
       CASE WHEN coalesce(b.seen, 0) = h.events THEN 'complete'
            WHEN h.hour >= s.last_hour AND h.hour > a.last_hour - INTERVAL '2 hours' THEN 'open'
            WHEN h.hour > s.last_hour THEN 'silent'
            ELSE 'missed' END AS status
FROM hours h
JOIN accounts a ON a.account = h.account AND a.ways > 1
JOIN sources s ON s.account = h.account AND (h.hour IS NULL OR h.hour >= s.first_hour)
LEFT JOIN by_source b ON b.source = s.source AND b.account = h.account AND b.region = h.region AND b.hour IS NOT DISTINCT FROM h.hour
