-- A trail that is delivered by several sources: for each account with more than one source, each region and hour, the number of events,
-- how many of them each source has delivered, and how many it missed that others delivered. Each event is in `events` once and in
-- `event_copies` once for each further source. A source is checked from its own first event on.
-- Status: `complete`; `open` while the source may still deliver (nothing newer has come from it, and the account's newest event is less
-- than two hours later); `missed`; `silent` where nothing newer has come from it although other sources have continued.
--| account_id: Account; NULL for events that name none.
--| acs_region: Region; NULL likewise.
--| hour: Start of the hour, UTC.
--| source: Name of the source.
--| events: Events of the account, region and hour, from all sources.
--| seen: Events that the source has delivered.
--| missed: Events that only other sources have delivered.
--| seen_first: Events that the source was the first to deliver.
--| status: `complete`, `open`, `missed` or `silent`, see above.
WITH brought AS (
    SELECT source, account_id, acs_region, date_bin(INTERVAL '1 hour', event_time) AS hour, count(*) AS seen, count(*) AS first_seen
    FROM events GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT source, account_id, acs_region, date_bin(INTERVAL '1 hour', event_time), count(*), 0
    FROM event_copies GROUP BY 1, 2, 3, 4
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
