--! title = { en = "Findings by rule", zh = "按规则统计的检测结果" }
--! about = { en = "Open findings, the gravest rules first, and how that compares with the period before.", zh = "未关闭的检测结果，最严重的规则在前，并与上期比较。" }
--! empty = { en = "No finding in this period, nor in the one before.", zh = "本期和上期都没有检测结果。" }
WITH looked AS (
    SELECT *, first_seen >= $since AS is_now,
           CASE severity WHEN 'critical' THEN 5 WHEN 'high' THEN 4 WHEN 'medium' THEN 3 WHEN 'low' THEN 2 ELSE 1 END AS grave
    FROM findings WHERE status = 'open' AND first_seen >= $before AND first_seen < $until
),
ruled AS (
    SELECT rule_id, max(title) AS title_en, max(title_zh) AS title_zh, max(grave) AS grave,
           count(*) FILTER (WHERE is_now) AS findings, count(*) FILTER (WHERE NOT is_now) AS period_before,
           coalesce(sum(count) FILTER (WHERE is_now), 0) AS events, count(DISTINCT account_id) FILTER (WHERE is_now) AS accounts,
           max(last_seen) AS last_seen
    FROM looked GROUP BY rule_id
)
SELECT CASE grave WHEN 5 THEN 'critical' WHEN 4 THEN 'high' WHEN 3 THEN 'medium' WHEN 2 THEN 'low' ELSE 'info' END AS severity,
       rule_id, title_en, title_zh, findings, period_before, findings - period_before AS change, events, accounts, last_seen
FROM ruled ORDER BY grave DESC, findings DESC, rule_id
