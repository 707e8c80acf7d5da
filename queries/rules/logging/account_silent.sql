-- No events of an account for three times as long as its longest pause in the week before, and for at least an hour. The silence is over, or goes on while
-- events of other accounts arrive. The event is the last before the silence.
WITH hours AS (
    SELECT coalesce(account_id, '') AS account, date_bin(INTERVAL '1 hour', event_time) AS hour, min(event_time) AS first_time, max(event_time) AS last_time,
           last_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM events
    -- Events with a time in the future do not show how late it is.
    WHERE event_time IS NOT NULL AND account_id IS NOT NULL AND event_time <= ingested_at + INTERVAL '1 day'
    GROUP BY coalesce(account_id, ''), date_bin(INTERVAL '1 hour', event_time)
),
quiet AS (
    SELECT account, hour, last_time, event_key,
           date_part('epoch', lead(first_time) OVER (PARTITION BY account ORDER BY hour)) - date_part('epoch', last_time) AS seconds,
           date_part('epoch', max(last_time) OVER ()) - date_part('epoch', last_time) AS seconds_so_far
    FROM hours
),
compared AS (
    SELECT *,
           max(seconds) OVER (PARTITION BY account ORDER BY hour RANGE BETWEEN INTERVAL '6 days' PRECEDING AND INTERVAL '1 hour' PRECEDING) AS usual,
           count(*) OVER (PARTITION BY account ORDER BY hour RANGE BETWEEN INTERVAL '6 days' PRECEDING AND INTERVAL '1 hour' PRECEDING) AS hours_before,
           min(hour) OVER (PARTITION BY account ORDER BY hour RANGE BETWEEN INTERVAL '6 days' PRECEDING AND INTERVAL '1 hour' PRECEDING) AS known_since
    FROM quiet
),
silent AS (
    SELECT event_key, usual
    FROM compared
    WHERE coalesce(seconds, seconds_so_far) >= greatest(3600, 3 * usual)
      AND hours_before >= 24
      AND known_since <= hour - INTERVAL '5 days'
)
SELECT
    events.*,
    concat_ws('; ', 'nothing from account ' || account_id || ' after this event', 'for more than three times ' || CAST(CAST(ceil(usual / 60) AS BIGINT) AS VARCHAR) || ' minutes, the longest pause of the days before') AS why,
    'whether nothing was done or nothing was recorded' AS unknowns
FROM silent
JOIN events ON events.event_key = silent.event_key
