--! title = { en = "What was not understood", zh = "未能解析的内容" }
--! about = { en = "Events with a fact in a form that was not understood. Rules that read the fact cannot judge them.", zh = "含有未能解析的事实的事件；依赖该事实的规则无法对其作出判断。" }
--! empty = { en = "Every fact of every event was understood.", zh = "所有事件的事实均已解析。" }
SELECT source, account_id, replace(flag, '_not_understood', '') AS fact, count(*) AS events,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM (
    SELECT source, account_id, event_time, unnest(flags) AS flag
    FROM events WHERE event_time >= $since AND event_time < $until
)
WHERE flag LIKE '%\_not\_understood'
GROUP BY source, account_id, flag ORDER BY events DESC, source, account_id, fact
