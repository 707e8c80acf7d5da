--! title = { en = "What was suppressed, and by what", zh = "已抑制的检测结果" }
--! about = { en = "Findings that an exception or a change window covers. They are kept, and here counted.", zh = "被例外或变更窗口覆盖的检测结果。它们被保留并在此计数。" }
--! empty = { en = "Nothing was suppressed.", zh = "没有被抑制的检测结果。" }
SELECT suppressed_by, rule_id, max(title) AS title_en, max(title_zh) AS title_zh, count(*) FILTER (WHERE first_seen >= $since) AS findings,
       count(*) FILTER (WHERE first_seen < $since) AS period_before, coalesce(sum(count) FILTER (WHERE first_seen >= $since), 0) AS events,
       max(last_seen) AS last_seen
FROM findings WHERE status = 'suppressed' AND first_seen >= $before AND first_seen < $until
GROUP BY suppressed_by, rule_id ORDER BY findings DESC, suppressed_by, rule_id
